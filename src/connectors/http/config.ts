import type { Connector, SinkSample } from '../connector.ts';
import { type ConnectionConfig, connectionSchema, type SinkConfig, sinkSchema } from './settings.ts';
import { openHttpSink } from './sink.ts';

const sample = (name: string, settings: Readonly<Record<string, unknown>>): SinkSample => ({
  name,
  connection: { url: 'https://api.example.com/items' },
  settings: { receipt: { shape: 'none' }, ...settings },
});

/** HTTP APIs that take records in requests. What an API can do and how it answers is declared, not programmed. */
export const http: Connector<ConnectionConfig, never, SinkConfig> = {
  type: 'http',
  summary: 'Sends batches of records to an HTTP API, with a declared receipt for each record.',
  connection: connectionSchema,
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
