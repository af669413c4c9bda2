import type { Connector } from '../connector.ts';
import { type ConnectionConfig, connectionSchema, type SinkConfig, sinkSchema } from './settings.ts';
import { openHttpSink } from './sink.ts';

/** HTTP APIs that take records in requests. What an API can do and how it answers is declared, not programmed. */
export const http: Connector<ConnectionConfig, never, SinkConfig> = {
  type: 'http',
  summary: 'Sends batches of records to an HTTP API, with a declared receipt for each record.',
  connection: connectionSchema,
  sink: { settings: sinkSchema, open: openHttpSink },
};
