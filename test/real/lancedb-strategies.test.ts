import { describe, expect, it, vi } from 'vitest';
import type { DataRecord } from '../../src/model/chunk.ts';
import type { LoadSettings } from '../../src/model/load.ts';
import type { WindowKind } from '../../src/model/window.ts';
import { strategies } from '../../src/strategies/all.ts';
import {
  eachLoadOnce,
  eachOnce,
  lastOfEachKey,
  lastOfEachWindow,
  mergedInTurn,
  mergedInTwoSteps,
  mergedWithDeletions,
  newestLoad,
  type StrategyModel,
  type StrategyPlace,
} from '../../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../../src/testing/suites/strategy-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { isUsable, LanceBench, onLance, type Settings } from '../lancedb/bench.ts';

// Each of these stories is told many times over, on a real database in a folder.
const TIMEOUT_MS = 400_000;
vi.setConfig({ testTimeout: TIMEOUT_MS });

const COLUMNS = { id: 'int64', day: 'text', gone: 'boolean', note: 'text' };
const KEYED: Settings = { key: ['id'], columns: COLUMNS, recordsPerBatch: 100 };
const BY_ROW: Settings = { columns: COLUMNS, recordsPerBatch: 100 };
const GONE: LoadSettings = { deleted: { column: 'gone', values: [true], how: 'remove' } };

interface Way {
  readonly name: string;
  readonly strategy: string;
  readonly model: StrategyModel;
  readonly settings: Settings;
  readonly window?: WindowKind;
  readonly load?: LoadSettings;
}

const WAYS: readonly Way[] = [
  { name: 'P02', strategy: 'ledgered-append', model: eachOnce, settings: BY_ROW },
  { name: 'P02', strategy: 'keyed', model: lastOfEachKey, settings: KEYED },
  { name: 'P02, P32', strategy: 'transactional-writer', model: eachLoadOnce, settings: BY_ROW },
  {
    name: 'P02, P10, P12',
    strategy: 'data-overwrite',
    model: lastOfEachWindow,
    settings: BY_ROW,
    load: { scope: { column: 'day' } },
  },
  { name: 'P02, P11, P12', strategy: 'data-overwrite', model: newestLoad, settings: KEYED, window: 'all' },
  { name: 'P02, P14, P16', strategy: 'merger', model: mergedInTurn, settings: KEYED },
  { name: 'P02, P15, P16', strategy: 'merger', model: mergedWithDeletions, settings: KEYED, load: GONE },
  { name: 'P02, P21, P26, P40', strategy: 'stateful-merger', model: mergedInTwoSteps, settings: KEYED, load: GONE },
];

function place(settings: Settings): StrategyPlace {
  const bench = new LanceBench();
  return {
    sink: () => bench.sink(settings),
    held: async () => (await bench.rows()).map(asRecord),
    close: () => bench.close(),
  };
}

/** As the model spells a row: what it has not is not there. */
function asRecord({ id, day, gone, note }: Readonly<Record<string, string | null>>): DataRecord {
  return {
    id: Number(id),
    day,
    ...(gone == null ? {} : { gone: gone === 'true' }),
    ...(note == null ? {} : { note }),
  };
}

for (const { name, strategy, model, settings, window = 'day', load = {} } of isUsable ? WAYS : []) {
  const subject = {
    name: `${name}: LanceDB`,
    strategy: strategies[strategy]!,
    model,
    lane: { facts: { key: ['id'], window, load } },
    open: () => place(settings),
  };
  const suite = strategySuite(subject);
  const cases = suite.cases.map((one) => ({ ...one, timeoutMs: TIMEOUT_MS }));
  register({ describe, it }, { ...suite, cases });
}

describe('LanceDB', () => {
  it(
    'can be loaded, or it is said why not',
    onLance(async (bench) => expect(await bench.rows()).toEqual([])),
  );
});
