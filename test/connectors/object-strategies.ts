import type { DataRecord } from '../../src/model/chunk.ts';
import type { WindowKind } from '../../src/model/window.ts';
import { dataOverwrite } from '../../src/strategies/data-overwrite.ts';
import { ledgeredAppend } from '../../src/strategies/ledgered-append.ts';
import { proxy } from '../../src/strategies/proxy.ts';
import type { Strategy } from '../../src/strategies/strategy.ts';
import { transactionalWriter } from '../../src/strategies/transactional-writer.ts';
import {
  eachLoadOnce,
  eachOnce,
  lastOfEachWindow,
  newestLoad,
  type StrategyModel,
  type StrategyPlace,
  type StrategySubject,
} from '../../src/testing/suites/strategy-subject.ts';

export interface Settings {
  readonly path: string;
  readonly manifest?: string;
}

interface Way {
  readonly name: string;
  readonly strategy: Strategy;
  readonly model: StrategyModel;
  readonly settings: Settings;
  readonly window?: WindowKind;
}

const MANIFEST: Settings = { path: 'orders/{{ batch }}.ndjson', manifest: 'orders/_manifest.json' };

/** What can be promised of objects under names, whether in a folder or in a bucket. */
const WAYS: readonly Way[] = [
  {
    name: 'P02, P10, P12, P27, P29: one $ named by its window',
    strategy: dataOverwrite,
    model: lastOfEachWindow,
    settings: { path: 'orders/{{ window }}.ndjson' },
  },
  {
    name: 'P02, P11, P12: one $ at all',
    strategy: dataOverwrite,
    model: newestLoad,
    settings: { path: 'orders.ndjson' },
    window: 'all',
  },
  {
    name: 'P02, P10, P12: $s under a manifest for each window',
    strategy: dataOverwrite,
    model: lastOfEachWindow,
    settings: { ...MANIFEST, manifest: 'orders/{{ window }}/_manifest.json' },
  },
  { name: 'P02, P36, P37: $s under a manifest', strategy: proxy, model: newestLoad, settings: MANIFEST },
  {
    name: 'P02, P32, P34: $s under a manifest',
    strategy: transactionalWriter,
    model: eachLoadOnce,
    settings: MANIFEST,
  },
  {
    name: 'P02: one $ for each batch',
    strategy: ledgeredAppend,
    model: eachOnce,
    settings: { path: 'orders/{{ window }}/{{ batch }}.ndjson' },
  },
];

/** `word`: what a name leads to there, such as `file`. */
export const objectStrategies = (
  word: string,
  open: (settings: Settings) => StrategyPlace | Promise<StrategyPlace>,
): readonly StrategySubject[] =>
  WAYS.map(({ name, strategy, model, settings, window = 'day' }) => ({
    name: name.replace('$', word),
    strategy,
    model,
    lane: { facts: { key: ['id'], window, load: {} } },
    open: () => open(settings),
  }));

/** The records that a text of NDJSON holds. */
export const recordsOfLines = (text: string): readonly DataRecord[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as DataRecord);
