import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import type { OpenContext, Sink } from '../src/connectors/connector.ts';
import { files } from '../src/connectors/files/config.ts';
import { http } from '../src/connectors/http/config.ts';
import { type MemoryAbility, memorySink } from '../src/connectors/memory/sink.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import { sqliteSink } from '../src/connectors/sqlite/sink.ts';
import type { DataRecord } from '../src/model/chunk.ts';
import type { Ports } from '../src/model/ports.ts';
import { keyed } from '../src/strategies/keyed.ts';
import { ledgeredAppend } from '../src/strategies/ledgered-append.ts';
import { openApiPeer } from '../src/testing/peer/api-peer.ts';
import type { Behaviour } from '../src/testing/peer/behaviour.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import {
  eachOnce,
  lastOfEachKey,
  type StrategyPlace,
  type StrategySubject,
} from '../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../src/testing/suites/strategy-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { newFolder } from './connectors/place.ts';
import { database } from './connectors/sqlite.ts';

const appends = { strategy: ledgeredAppend, model: eachOnce };
const puts = { strategy: keyed, model: lastOfEachKey };
const parsed = (text: string): DataRecord => JSON.parse(text) as DataRecord;

function overMemory(abilities: readonly MemoryAbility[]): StrategyPlace {
  const table = new MemoryTable();
  return {
    sink: (clock) => memorySink({ table, clock, abilities, visibilityLagMs: 200 }),
    held: async () =>
      (table.byKey.size > 0 ? [...table.byKey.values()] : table.effects).map(({ text }) => parsed(text)),
  };
}

function overSqlite(columns: string, show: (sink: Sink) => Sink['can']): StrategyPlace {
  const made = database(`create table t (${columns})`);
  const options = { folder: made.folder, file: 'db.sqlite', table: 't', base64: [], recordsPerBatch: 100 };
  return {
    sink(clock) {
      const sink = sqliteSink({ ...options, clock, key: ['id'] });
      return { ...sink, can: show(sink) };
    },
    held: async () => (made.read('select id, day from t') as [number, string][]).map(([id, day]) => ({ id, day })),
    close: made.remove,
  };
}

function overFile(show: (sink: Sink) => Pick<Sink, 'can' | 'facts'>): StrategyPlace {
  const root = newFolder('strategy');
  const path = join(root, 'out.ndjson');
  return {
    sink() {
      const context = { folder: root } as OpenContext;
      const sink = files.sink!.open({ root: '.' }, files.sink!.settings.parse({ path: 'out.ndjson' }), context);
      return { ...sink, ...show(sink) };
    },
    held: async () => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean).map(parsed) : []),
    close: () => rmSync(root, { recursive: true, force: true }),
  };
}

const RECEIPT = { shape: 'position', success: 'success', id: 'id' };

/** Over real sockets. While a request is under way no virtual time passes. */
async function overHttp(behaviour: Partial<Behaviour>, settings: Record<string, unknown>): Promise<StrategyPlace> {
  const peer = await openApiPeer({ shape: 'salesforce', ...behaviour });
  const config = http.sink!.settings.parse({ path: '/v1/records', receipt: RECEIPT, ...settings });
  const context = (ports: Ports): OpenContext => ({ ...openContext(), ports });
  return {
    sink: (ports) => http.sink!.open(http.connection.parse({ url: peer.url }), config, context(ports)),
    held: async () => peer.records() as readonly DataRecord[],
    close: () => peer.close(),
  };
}

const APPENDING: readonly (readonly MemoryAbility[])[] = [
  ['append'],
  ['append', 'find'],
  ['append', 'find', 'fence'],
  ['appendOnce'],
  ['commitOnce'],
  ['appendAt'],
  ['job'],
];

// By the batch: ids come in several windows here, and a look by id alone would take one of another window for this one.
const LOOKUP = { path: '/records?batch={{ batch.idempotencyKey }}', recordId: 'id', results: 'results' };
const KEY = { header: 'idempotency-key', horizonMs: 3_600_000, storesErrors: false };

const SUBJECTS: readonly StrategySubject[] = [
  ...APPENDING.map((abilities) => ({
    ...appends,
    name: `a memory sink with ${abilities.join(', ')}`,
    open: () => overMemory(abilities),
  })),
  { ...puts, name: 'a memory sink with put', open: () => overMemory(['put']) },
  {
    ...appends,
    name: 'a memory sink with append while the window is still read',
    job: { deliver: 'while-reading' },
    open: () => overMemory(['append']),
  },
  {
    ...appends,
    name: 'an SQLite table with markers',
    open: () => overSqlite('id integer, day text', ({ can }) => ({ commitOnce: can.commitOnce! })),
  },
  {
    ...appends,
    name: 'an SQLite table without',
    open: () => overSqlite('id integer, day text', ({ can }) => ({ append: can.append! })),
  },
  {
    ...puts,
    name: 'an SQLite table with a key',
    open: () => overSqlite('id integer primary key, day text', ({ can }) => ({ put: can.put! })),
  },
  { ...appends, name: 'a file', open: () => overFile(({ can, facts }) => ({ can, facts })) },
  { ...appends, name: 'an HTTP API that only takes records', open: () => overHttp({}, {}) },
  { ...appends, name: 'an HTTP API that can be asked', open: () => overHttp({}, { lookup: LOOKUP }) },
  {
    ...appends,
    name: 'an HTTP API that knows idempotency keys',
    open: () => overHttp({ idempotency: KEY }, { idempotencyKey: { horizon: '1h' } }),
  },
  {
    ...puts,
    name: 'an HTTP API that replaces by key',
    open: () => overHttp({ upsertKey: 'id' }, { upsert: true }),
  },
];

for (const subject of SUBJECTS) {
  register({ describe, it }, strategySuite({ ...subject, name: `U09, U22: ${subject.name}` }));
}
