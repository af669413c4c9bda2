import type { Connector } from './connector.ts';

/**
 * Every connector that is shipped, by type. Each is loaded only when a flow names it: who does not use PostgreSQL
 * does not pay for its driver, and need not have it installed.
 */
export const CONNECTORS: Readonly<Record<string, () => Promise<Connector>>> = {
  files: async () => (await import('./files/config.ts')).files as Connector,
  http: async () => (await import('./http/config.ts')).http as Connector,
  lancedb: async () => (await import('./lancedb/config.ts')).lancedb as Connector,
  memory: async () => (await import('./memory/config.ts')).memory as Connector,
  mysql: async () => (await import('./mysql/config.ts')).mysql as Connector,
  nats: async () => (await import('./nats/config.ts')).nats as Connector,
  postgres: async () => (await import('./postgres/config.ts')).postgres as Connector,
  redis: async () => (await import('./redis/config.ts')).redis as Connector,
  s3: async () => (await import('./s3/config.ts')).s3 as Connector,
  singer: async () => (await import('./singer/config.ts')).singer as Connector,
  sqlite: async () => (await import('./sqlite/config.ts')).sqlite as Connector,
  stdin: async () => (await import('./stdio/config.ts')).stdin as Connector,
  stdout: async () => (await import('./stdio/config.ts')).stdout as Connector,
};
