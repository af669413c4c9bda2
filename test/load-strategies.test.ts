import { describe, it } from 'vitest';
import { type MemoryAbility, memorySink } from '../src/connectors/memory/sink.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import { sqliteSink } from '../src/connectors/sqlite/sink.ts';
import type { LoadSettings } from '../src/model/load.ts';
import type { WindowKind } from '../src/model/window.ts';
import { dataOverwrite } from '../src/strategies/data-overwrite.ts';
import { merger } from '../src/strategies/merger.ts';
import { metadataCleaner } from '../src/strategies/metadata-cleaner.ts';
import { proxy } from '../src/strategies/proxy.ts';
import { statefulMerger } from '../src/strategies/stateful-merger.ts';
import type { Strategy } from '../src/strategies/strategy.ts';
import { transactionalWriter } from '../src/strategies/transactional-writer.ts';
import type { LoadAbility } from '../src/testing/suites/load-subject.ts';
import {
  eachLoadOnce,
  lastOfEachWindow,
  mergedInTime,
  mergedInTurn,
  mergedInTwoSteps,
  mergedWithDeletions,
  newestLoad,
  type StrategyModel,
  type StrategyPlace,
  type StrategySubject,
} from '../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../src/testing/suites/strategy-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { database } from './connectors/sqlite.ts';

/** A strategy with what the flow says, and the one ability that it publishes by. */
interface Way {
  readonly ids: string;
  readonly strategy: Strategy;
  readonly model: StrategyModel;
  readonly abilities: readonly LoadAbility[];
  readonly window?: WindowKind;
  readonly load?: LoadSettings;
  readonly about?: string;
  /** Over memory only: another way of the same ability goes over SQLite, too. */
  readonly memoryOnly?: true;
}

const GONE: LoadSettings = { deleted: { column: 'gone', values: [true], how: 'remove' } };

const WAYS: readonly Way[] = [
  { ids: 'P02, P32, P34', strategy: transactionalWriter, model: eachLoadOnce, abilities: ['appendLoad'] },
  {
    ids: 'P02, P10, P12',
    strategy: dataOverwrite,
    model: lastOfEachWindow,
    abilities: ['replace'],
    load: { scope: { column: 'day' } },
    about: ' by day',
  },
  {
    ids: 'P02, P11, P12',
    strategy: dataOverwrite,
    model: newestLoad,
    abilities: ['replace'],
    window: 'all',
    about: ' as a whole',
    memoryOnly: true,
  },
  { ids: 'P02, P14, P16', strategy: merger, model: mergedInTurn, abilities: ['merge'], memoryOnly: true },
  {
    ids: 'P02, P15, P16',
    strategy: merger,
    model: mergedWithDeletions,
    abilities: ['merge'],
    load: GONE,
    about: ' with deletions',
  },
  {
    ids: 'P02, P24, P26',
    strategy: statefulMerger,
    model: mergedInTime,
    abilities: ['mergeAt'],
    load: GONE,
    about: ' with a history',
  },
  {
    ids: 'P02, P21, P26',
    strategy: statefulMerger,
    model: mergedInTwoSteps,
    abilities: ['merge', 'versions'],
    load: GONE,
    about: ' with versions',
    // An SQLite file keeps nothing of its past by itself.
    memoryOnly: true,
  },
  {
    ids: 'P02, P03, P06',
    strategy: metadataCleaner,
    model: lastOfEachWindow,
    abilities: ['addToPeriod'],
    memoryOnly: true,
  },
  {
    ids: 'P02, P05, P06',
    strategy: metadataCleaner,
    model: eachLoadOnce,
    abilities: ['addToPeriod'],
    load: { period: 'month' },
    about: ' by month',
  },
  { ids: 'P02, P36, P37', strategy: proxy, model: newestLoad, abilities: ['publish'] },
];

function overMemory({ abilities }: Way): StrategyPlace {
  const table = new MemoryTable();
  const shown: readonly MemoryAbility[] = ['load', ...abilities];
  return {
    sink: (clock) => memorySink({ table, clock, abilities: shown }),
    held: async () => table.loads.rows,
  };
}

const COLUMNS = { id: 'integer', day: 'text', gone: 'integer', note: 'text' };

function overSqlite({ abilities }: Way): StrategyPlace {
  const viewed = abilities.includes('publish') || abilities.includes('addToPeriod');
  const list = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`);
  const made = database(viewed ? 'vacuum' : `create table t (${list.join(', ')})`);
  const options = { folder: made.folder, file: 'db.sqlite', table: 't', base64: [], recordsPerBatch: 100 };
  return {
    sink: (clock) => sqliteSink({ ...options, clock, columns: COLUMNS }),
    held: async () => {
      if (made.read(`select 1 from sqlite_schema where name = 't'`).length === 0) return [];
      const rows = made.read('select id, day, gone, note from t') as [number, string, number | null, string | null][];
      return rows.map(([id, day, gone, note]) => ({
        id,
        day,
        ...(gone === null ? {} : { gone: gone === 1 }),
        ...(note === null ? {} : { note }),
      }));
    },
    close: made.remove,
  };
}

function subjectOf(way: Way, over: 'memory' | 'SQLite'): StrategySubject {
  const { ids, strategy, model, window = 'day', load = {}, about = '' } = way;
  return {
    name: `${ids}: ${over}${about}`,
    strategy,
    model,
    lane: { facts: { key: ['id'], window, load } },
    open: () => (over === 'memory' ? overMemory(way) : overSqlite(way)),
  };
}

for (const way of WAYS) {
  register({ describe, it }, strategySuite(subjectOf(way, 'memory')));
  if (way.memoryOnly !== true) register({ describe, it }, strategySuite(subjectOf(way, 'SQLite')));
}
