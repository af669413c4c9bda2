import { afterAll, beforeAll, describe, it, vi } from 'vitest';
import type { OpenContext } from '../src/connectors/connector.ts';
import { postgres } from '../src/connectors/postgres/config.ts';
import type { DataRecord } from '../src/model/chunk.ts';
import { strategies } from '../src/strategies/all.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import {
  eachOnce,
  lastOfEachKey,
  type StrategyPlace,
  type StrategySubject,
} from '../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../src/testing/suites/strategy-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { Places } from './postgres-place.ts';

// Each of these stories is told many times over, on a real server.
vi.setConfig({ testTimeout: 120_000 });

let places: Places;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());

/** A table, and sinks that live in the virtual time of the suite; the server lives in its own. */
async function overPostgres(columns: string, settings: Record<string, unknown> = {}): Promise<StrategyPlace> {
  const { client, server } = places;
  const table = places.name();
  await client.query(`create table ${table} (${columns})`);
  const { host, port, user, database, password } = server;
  const connection = postgres.connection.parse({ host, port, user, database, password: 'env:TEST' });
  const parsed = postgres.sink!.settings.parse({ table, markerSchema: `books_${table}`, ...settings });
  return {
    sink: (ports) => {
      const context: OpenContext = { ...openContext({ 'env:TEST': password }), ports };
      return postgres.sink!.open(connection, parsed, context);
    },
    held: async () => (await client.query<DataRecord>(`select * from ${table}`)).rows,
    close: async () => void (await client.query(`drop table ${table}; drop schema if exists books_${table} cascade`)),
  };
}

const SUBJECTS: readonly StrategySubject[] = [
  {
    name: 'a PostgreSQL table with markers',
    strategy: strategies['ledgered-append']!,
    model: eachOnce,
    open: () => overPostgres('id int, day text'),
  },
  {
    name: 'a PostgreSQL table with a key',
    strategy: strategies.keyed!,
    model: lastOfEachKey,
    open: () => overPostgres('id int primary key, day text', { key: ['id'] }),
  },
];

for (const subject of SUBJECTS) {
  register({ describe, it }, strategySuite({ ...subject, name: `P02: ${subject.name}` }));
}
