import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import type { OpenContext } from '../src/connectors/connector.ts';
import { files } from '../src/connectors/files/config.ts';
import type { StrategyPlace } from '../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../src/testing/suites/strategy-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { visibleFiles } from './connectors/files-loads.ts';
import { objectStrategies, recordsOfLines, type Settings } from './connectors/object-strategies.ts';
import { newFolder } from './connectors/place.ts';

function folderOf(settings: Settings): StrategyPlace {
  const root = newFolder('file-strategies');
  const parsed = files.sink!.settings.parse(settings);
  return {
    sink: () => files.sink!.open({ root: '.' }, parsed, { folder: root } as OpenContext),
    held: async () =>
      visibleFiles(root, settings.manifest).flatMap((name) => recordsOfLines(readFileSync(join(root, name), 'utf8'))),
    close: () => rmSync(root, { recursive: true, force: true }),
  };
}

for (const subject of objectStrategies('file', folderOf)) register({ describe, it }, strategySuite(subject));
