import type { Connector, SinkSample } from '../connector.ts';
import { describeHttpSource } from './description.ts';
import { discoverHttp } from './discovery.ts';
import { type ConnectionConfig, connectionSchema, type SinkConfig, sinkSchema } from './settings.ts';
import { openHttpSink } from './sink.ts';
import { openHttpSource } from './source.ts';
import { type SourceConfig, sourceSchema } from './source-settings.ts';

const sample = (name: string, settings: Readonly<Record<string, unknown>>): SinkSample => ({
  name,
  connection: { url: 'https://api.example.com/items' },
  settings: { receipt: { shape: 'none' }, ...settings },
});

/**
 * HTTP APIs that take records in requests, and documents and APIs that records are read from. What an API can do and
 * how it answers is declared, not programmed.
 */
export const http: Connector<ConnectionConfig, SourceConfig, SinkConfig> = {
  type: 'http',
  summary:
    'Reads documents and paged APIs over HTTP; sends batches of records, with a declared receipt for each record.',
  connection: connectionSchema,
  source: { settings: sourceSchema, open: openHttpSource, describe: describeHttpSource, discover: discoverHttp },
  sink: {
    settings: sinkSchema,
    open: openHttpSink,
    samples: [
      sample('that only takes records', {}),
      sample('that can be asked', { lookup: { path: '/items?ids={{ ids }}', recordId: 'id' } }),
      sample('that knows idempotency keys', { idempotencyKey: { horizon: '24h' } }),
      sample('that replaces by key', { upsert: true }),
    ],
  },
};
