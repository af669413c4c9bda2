import type * as Lance from '@lancedb/lancedb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Sink } from '../../src/connectors/connector.ts';
import { LanceDatabase, type Opened } from '../../src/connectors/lancedb/database.ts';
import { NotAppliedError, RefusedError } from '../../src/model/errors.ts';
import type { LoadStep } from '../../src/model/load.ts';
import { collected, type LanceBench, merged, onLance } from './bench.ts';
import { loadOf, stepOf, surely } from './steps.ts';

/** What LanceDB is asked for, by name; the rest of its methods only say what is to be asked. */
const OPERATIONS = new Set([
  ...['openTable', 'tableNames', 'dropTable', 'createEmptyTable', 'version', 'checkout', 'checkoutLatest', 'restore'],
  ...['countRows', 'listVersions', 'schema', 'stats', 'optimize', 'setUnenforcedPrimaryKey', 'toArrow', 'toArray'],
  ...['add', 'delete', 'execute', 'addColumns', 'alterColumns'],
]);

/** Proves of a write that it was not carried out. */
const CONFLICT = 'Commit conflict: too many concurrent writers';

/** Which operation fails, before it is carried out, in whatever database is opened meanwhile. */
let failing: number | undefined;
let operations = 0;

function watched<T extends object>(real: T): T {
  return new Proxy(real, {
    get: (_, name) => {
      const value = Reflect.get(real, name, real) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (OPERATIONS.has(String(name)) && ++operations === failing) return Promise.reject(new Error(CONFLICT));
        const result = value.apply(real, args) as unknown;
        const table = name === 'openTable' || name === 'createEmptyTable';
        if (result instanceof Promise) return table ? result.then((one: Lance.Table) => watched(one)) : result;
        return typeof result === 'object' && result !== null ? watched(result) : result;
      };
    },
  });
}

const open = LanceDatabase.prototype.open;
beforeEach(() => {
  const known = new WeakSet<Opened>();
  LanceDatabase.prototype.open = async function opened(this: LanceDatabase): Promise<Opened> {
    const one = await open.call(this);
    if (!known.has(one)) Object.assign(one, { connection: watched(one.connection) });
    known.add(one);
    return one;
  };
});
afterEach(() => {
  LanceDatabase.prototype.open = open;
  failing = undefined;
});

async function failed(at: number, work: () => Promise<unknown>): Promise<unknown> {
  operations = 0;
  failing = at;
  try {
    return await work().then(
      () => undefined,
      (error: unknown) => error,
    );
  } finally {
    failing = undefined;
  }
}

const proves = (thrown: unknown): boolean => thrown instanceof NotAppliedError || thrown instanceof RefusedError;

const KEYED = { key: ['id'], columns: { id: 'int64', name: 'text' } };
const BY = { key: ['id'] };
const OLD = [
  { id: 1, name: 'a' },
  { id: 2, name: 'b' },
];
const NEW = [
  { id: 2, name: 'B' },
  { id: 3, name: 'c' },
];

interface Way {
  readonly settings: Record<string, unknown>;
  /** What is there before the step. */
  begin(sink: Sink): Promise<void>;
  step(sink: Sink, step: LoadStep): Promise<unknown>;
  readonly after: readonly string[];
}

const loaded = async (sink: Sink): Promise<void> => {
  await merged(sink, loadOf(1), OLD, BY);
  await collected(sink, loadOf(2), NEW);
};

let backTo = '';

const WAYS: Readonly<Record<string, Way>> = {
  merge: {
    settings: KEYED,
    begin: loaded,
    step: (sink, step) => surely(sink, 'merge')(step, BY),
    after: ['1 a', '2 B', '3 c'],
  },
  appendLoad: {
    settings: { columns: KEYED.columns },
    begin: async (sink) => {
      await collected(sink, loadOf(1), OLD);
      await surely(sink, 'appendLoad')(stepOf(loadOf(1)));
      await collected(sink, loadOf(2), NEW);
    },
    step: (sink, step) => surely(sink, 'appendLoad')(step),
    after: ['1 a', '2 b', '2 B', '3 c'],
  },
  'versions.restore': {
    settings: KEYED,
    begin: async (sink) => {
      await merged(sink, loadOf(1), OLD, BY);
      backTo = await surely(sink, 'versions').current();
      await merged(sink, loadOf(3), NEW, BY);
      await surely(sink, 'versions').current();
      await collected(sink, loadOf(2), []);
    },
    step: (sink, step) => surely(sink, 'versions').restore(step, backTo),
    after: ['1 a', '2 b'],
  },
};

const lines = async (bench: LanceBench): Promise<readonly string[]> =>
  (await bench.rows()).map(({ id, name }) => `${id} ${name}`).sort();

const OPERATIONS_MAX = 200;

describe.each(Object.entries(WAYS))(
  '%s on LanceDB, of which one operation fails',
  (_, { settings, begin, step, after }) => {
    it('P22: says that nothing was done only where nothing was, and ends right when it is asked again', async () => {
      await onLanceEach(async (bench, at) => {
        const sink = bench.sink(settings);
        await begin(sink);
        const before = await lines(bench);
        const thrown = await failed(at, () => step(bench.sink(settings), stepOf(loadOf(2))));
        if (operations < at) return false;
        if (proves(thrown)) expect(await lines(bench), `operation ${at}`).toEqual(before);
        await step(bench.sink(settings), stepOf(loadOf(2)));
        expect(await lines(bench), `after operation ${at}`).toEqual([...after].sort());
        return true;
      });
    }, 120_000);
  },
);

/** Once for each operation, until there are no more. */
async function onLanceEach(work: (bench: LanceBench, at: number) => Promise<boolean>): Promise<void> {
  let more = true;
  for (let at = 1; more; at++) {
    expect(at).toBeLessThan(OPERATIONS_MAX);
    await onLance(async (bench) => {
      more = await work(bench, at);
    })({ skip: () => (more = false) } as never);
  }
}

describe('a change of columns on LanceDB, of which one operation fails', () => {
  it('P22: says that nothing was changed only where nothing was, and is finished by the next', async () => {
    const text = { kind: 'text' } as const;
    const actions = ['x', 'y'].map((name) => ({ kind: 'add' as const, column: { name, type: text, nullable: true } }));
    await onLanceEach(async (bench, at) => {
      await loaded(bench.sink(KEYED));
      const change = async (): Promise<void> =>
        await bench
          .sink(KEYED)
          .schema!.change(actions, { load: loadOf(2), later: true, signal: stepOf(loadOf(2)).signal });
      const columns = async (): Promise<readonly string[]> => {
        const both = await Promise.all([bench.table(), bench.table(loadOf(2).id)]);
        const schemas = await Promise.all(both.map((table) => table.schema()));
        return schemas.flatMap(({ fields }) => fields.map(({ name }) => name));
      };
      const before = await columns();
      const thrown = await failed(at, change);
      if (operations < at) return false;
      if (proves(thrown)) expect(await columns(), `operation ${at}`).toEqual(before);
      await change();
      expect((await columns()).filter((name) => /^[xy]$/.test(name))).toEqual(['x', 'y', 'x', 'y']);
      return true;
    });
  }, 60_000);
});
