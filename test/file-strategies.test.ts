import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import type { OpenContext } from '../src/connectors/connector.ts';
import { files } from '../src/connectors/files/config.ts';
import type { DataRecord } from '../src/model/chunk.ts';
import type { WindowKind } from '../src/model/window.ts';
import { dataOverwrite } from '../src/strategies/data-overwrite.ts';
import { ledgeredAppend } from '../src/strategies/ledgered-append.ts';
import { proxy } from '../src/strategies/proxy.ts';
import type { Strategy } from '../src/strategies/strategy.ts';
import { transactionalWriter } from '../src/strategies/transactional-writer.ts';
import {
  eachLoadOnce,
  eachOnce,
  lastOfEachWindow,
  newestLoad,
  type StrategyModel,
  type StrategyPlace,
} from '../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../src/testing/suites/strategy-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { visibleFiles } from './connectors/files-loads.ts';
import { newFolder } from './connectors/place.ts';

interface Settings {
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

const WAYS: readonly Way[] = [
  {
    name: 'P02, P10, P12, P27, P29: a file that is named by its window',
    strategy: dataOverwrite,
    model: lastOfEachWindow,
    settings: { path: 'orders/{{ window }}.ndjson' },
  },
  {
    name: 'P02, P11, P12: one file',
    strategy: dataOverwrite,
    model: newestLoad,
    settings: { path: 'orders.ndjson' },
    window: 'all',
  },
  {
    name: 'P02, P10, P12: files under a manifest for each window',
    strategy: dataOverwrite,
    model: lastOfEachWindow,
    settings: { ...MANIFEST, manifest: 'orders/{{ window }}/_manifest.json' },
  },
  { name: 'P02, P36, P37: files under a manifest', strategy: proxy, model: newestLoad, settings: MANIFEST },
  {
    name: 'P02, P32, P34: files under a manifest',
    strategy: transactionalWriter,
    model: eachLoadOnce,
    settings: MANIFEST,
  },
  {
    name: 'P02: a file for each batch',
    strategy: ledgeredAppend,
    model: eachOnce,
    settings: { path: 'orders/{{ window }}/{{ batch }}.ndjson' },
  },
];

function folderOf(settings: Settings): StrategyPlace {
  const root = newFolder('file-strategies');
  const parsed = files.sink!.settings.parse(settings);
  return {
    sink: () => files.sink!.open({ root: '.' }, parsed, { folder: root } as OpenContext),
    held: async () =>
      visibleFiles(root, settings.manifest).flatMap((name) =>
        readFileSync(join(root, name), 'utf8')
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as DataRecord),
      ),
    close: () => rmSync(root, { recursive: true, force: true }),
  };
}

for (const { name, strategy, model, settings, window = 'day' } of WAYS) {
  const lane = { facts: { key: ['id'], window, load: {} } };
  register({ describe, it }, strategySuite({ name, strategy, model, lane, open: () => folderOf(settings) }));
}
