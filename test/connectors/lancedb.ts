import { createRequire } from 'node:module';
import type { LoadAbility, LoadFixture, LoadRecord, LoadSubject } from '../../src/testing/suites/load-subject.ts';
import type { Losing, SchemaFixture, SinkFixture, SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import { isUsable, LanceBench } from '../lancedb/bench.ts';

const KEYED = { key: ['n'], columns: { n: 'int64', version: 'int64' } };
const TOLD_BY_ROW = { columns: { n: 'int64', version: 'int64' } };
const KEYED_LOADS: readonly LoadAbility[] = ['load', 'merge', 'replace', 'versions'];
const ROW_LOADS: readonly LoadAbility[] = ['load', 'appendLoad', 'replace'];
const WHOLE = { never: 'a batch is one commit of the table' };

function fixture(settings: Record<string, unknown>): SinkFixture {
  const bench = new LanceBench();
  return {
    sink: bench.sink({ ...settings, recordsPerBatch: 100 }),
    another: () => bench.sink({ ...settings, recordsPerBatch: 100 }),
    record: (n, version = 0) => ({ n, version }),
    refused: { record: { n: 99, version: 0, unheard: 1 } },
    held: async () => (await bench.rows()).map(({ n, version }) => (version === '0' ? `${n}` : `${n}v${version}`)),
    lose: { 'half-applied': WHOLE },
    close: () => bench.close(),
  };
}

function withoutTable(settings: Record<string, unknown>): SchemaFixture {
  const bench = new LanceBench();
  return { sink: bench.sink(settings), another: () => bench.sink(settings), close: () => bench.close() };
}

export const lancedbSinks: readonly SinkSubject[] = isUsable
  ? [
      {
        name: 'a table of LanceDB with a key',
        abilities: ['put'],
        loads: KEYED_LOADS,
        schema: { open: () => withoutTable({ key: ['id'] }) },
        open: () => fixture(KEYED),
      },
      {
        name: 'a table of LanceDB without a key',
        abilities: ['commitOnce'],
        loads: ROW_LOADS,
        schema: { open: () => withoutTable({}) },
        open: () => fixture(TOLD_BY_ROW),
      },
    ]
  : [];

type Native = Record<string, (...given: unknown[]) => Promise<unknown>>;

/** Lets a process die, as far as its files can tell: after its first commit outside of the books it makes no other. */
class Killed {
  #armed = false;
  #dead = false;
  #watched = false;

  breakOff(bench: LanceBench): Losing {
    return async (call) => {
      if (!this.#watched) await this.#watch(bench);
      this.#armed = true;
      try {
        return await call();
      } finally {
        this.#armed = false;
        this.#dead = false;
      }
    };
  }

  async #watch(bench: LanceBench): Promise<void> {
    const { MergeInsertBuilder, connect } = createRequire(import.meta.url)('@lancedb/lancedb');
    const connection = await connect(`${bench.folder}/db`);
    const [name] = await connection.tableNames();
    this.#kill(MergeInsertBuilder.prototype, ['execute']);
    this.#kill(Object.getPrototypeOf(await connection.openTable(name)), ['add', 'delete', 'restore']);
    this.#kill(Object.getPrototypeOf(connection), ['createEmptyTable', 'dropTable', 'openTable']);
    this.#watched = true;
  }

  #kill(prototype: Native, names: readonly string[]): void {
    const isBooks = (given: readonly unknown[]): boolean => {
      const rows = given[0] as { schema?: { fields?: readonly { name: string }[] } } | undefined;
      return rows?.schema?.fields?.some(({ name }) => name === 'kind') === true;
    };
    for (const name of names) {
      const real = prototype[name]!;
      const killed = this;
      prototype[name] = async function (...given) {
        if (killed.#dead) throw new Error('the process was killed');
        const result = await real.apply(this, given);
        if (!killed.#armed || isBooks(given) || name === 'openTable' || name === 'createEmptyTable') return result;
        killed.#dead = true;
        throw new Error('the process was killed');
      };
    }
  }
}

const killed = new Killed();
const LOAD_COLUMNS = { n: 'int64', version: 'int64', day: 'date', gone: 'boolean' };
const SETTINGS = { columns: LOAD_COLUMNS, recordsPerBatch: 100 };

function loadFixture(settings: Record<string, unknown>): LoadFixture {
  const bench = new LanceBench();
  return {
    sink: bench.sink(settings),
    another: () => bench.sink(settings),
    seen: async () =>
      (await bench.rows()).map(
        ({ n, version, day, gone }): LoadRecord => ({
          n: Number(n),
          version: Number(version),
          day: String(day),
          gone: gone === 'true',
        }),
      ),
    places: async () => (await (await bench.connection()).tableNames()).filter((name) => name.startsWith('wb_suite_')),
    refused: { record: { n: 99, unheard: 1 } },
    breakOff: killed.breakOff(bench),
    close: () => bench.close(),
  };
}

/** A key is one row of the table: where days are replaced, one number may come on two of them. */
const keyFor = (about: LoadAbility): readonly string[] => (about === 'replace' ? ['n', 'day'] : ['n']);

export const lancedbLoads: readonly LoadSubject[] = isUsable
  ? [
      {
        name: 'a table of LanceDB with a key',
        abilities: KEYED_LOADS,
        open: (about) => loadFixture({ ...SETTINGS, key: keyFor(about) }),
      },
      {
        name: 'a table of LanceDB without a key',
        abilities: ROW_LOADS,
        open: () => loadFixture(SETTINGS),
      },
    ]
  : [];
