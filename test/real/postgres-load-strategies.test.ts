import { afterAll, beforeAll, describe, it, vi } from 'vitest';
import type { OpenContext } from '../../src/connectors/connector.ts';
import { postgres } from '../../src/connectors/postgres/config.ts';
import type { DataRecord } from '../../src/model/chunk.ts';
import type { LoadSettings } from '../../src/model/load.ts';
import { strategies } from '../../src/strategies/all.ts';
import { openContext } from '../../src/testing/peer/open-context.ts';
import {
  eachLoadOnce,
  lastOfEachWindow,
  mergedInTime,
  mergedWithDeletions,
  newestLoad,
  type StrategyModel,
  type StrategyPlace,
  type StrategySubject,
} from '../../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../../src/testing/suites/strategy-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { Places } from '../postgres-place.ts';

// Each of these stories is told many times over, on a real server.
vi.setConfig({ testTimeout: 300_000 });

let places: Places;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());

const COLUMNS = { id: 'int', day: 'text', gone: 'boolean', note: 'text' };

/** A name in the database, and sinks that live in the virtual time of the suite; the server lives in its own. */
async function overPostgres(viewed: boolean): Promise<StrategyPlace> {
  const { client, server } = places;
  const table = places.name();
  const list = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`);
  await client.query(`create schema s_${table}${viewed ? '' : `; create table s_${table}.t (${list.join(', ')})`}`);
  const { host, port, user, database, password } = server;
  const connection = postgres.connection.parse({ host, port, user, database, password: 'env:TEST' });
  const markerSchema = `books_${table}`;
  const parsed = postgres.sink!.settings.parse({
    table: [`s_${table}`, 't'],
    markerSchema,
    ...(viewed ? { create: COLUMNS } : {}),
  });
  return {
    sink: (ports) => {
      const context: OpenContext = { ...openContext({ 'env:TEST': password }), ports };
      return postgres.sink!.open(connection, parsed, context);
    },
    held: async () => {
      const there = await client.query('select to_regclass($1) as name', [`s_${table}.t`]);
      if (there.rows[0].name === null) return [];
      const { rows } = await client.query<DataRecord>(`select * from s_${table}.t`);
      return rows.map((row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)));
    },
    close: async () => void (await client.query(`drop schema if exists s_${table}, ${markerSchema} cascade`)),
  };
}

interface Way {
  readonly ids: string;
  readonly strategy: string;
  readonly model: StrategyModel;
  readonly load?: LoadSettings;
  readonly about?: string;
  readonly viewed?: boolean;
}

const GONE: LoadSettings = { deleted: { column: 'gone', values: [true], how: 'remove' } };

const WAYS: readonly Way[] = [
  { ids: 'P02, P32, P34', strategy: 'transactional-writer', model: eachLoadOnce },
  {
    ids: 'P02, P10, P12',
    strategy: 'data-overwrite',
    model: lastOfEachWindow,
    load: { scope: { column: 'day' } },
    about: ' by day',
  },
  { ids: 'P02, P14, P15, P16', strategy: 'merger', model: mergedWithDeletions, load: GONE, about: ' with deletions' },
  { ids: 'P02, P24, P26', strategy: 'stateful-merger', model: mergedInTime, load: GONE, about: ' with a history' },
  { ids: 'P02, P03, P06', strategy: 'metadata-cleaner', model: lastOfEachWindow, viewed: true },
  { ids: 'P02, P36, P37', strategy: 'proxy', model: newestLoad, viewed: true },
];

function subjectOf({ ids, strategy, model, load = {}, about = '', viewed = false }: Way): StrategySubject {
  return {
    name: `${ids}: PostgreSQL${about}`,
    strategy: strategies[strategy]!,
    model,
    lane: { facts: { key: ['id'], window: 'day', load } },
    open: () => overPostgres(viewed),
  };
}

for (const way of WAYS) register({ describe, it }, strategySuite(subjectOf(way)));
