import { describe, it } from 'vitest';
import { sinkSuite } from '../../src/testing/suites/sink-suite.ts';
import { sourceSuite } from '../../src/testing/suites/source-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { filesSinks, filesSources } from './files.ts';
import { httpSinks } from './http.ts';
import { memorySinks, memorySources } from './memory.ts';
import { sqliteSinks, sqliteSources } from './sqlite.ts';
import { stdioSinks } from './stdio.ts';

for (const subject of [...memorySources, ...sqliteSources, ...filesSources]) {
  register({ describe, it }, sourceSuite(subject));
}
for (const subject of [...memorySinks, ...sqliteSinks, ...filesSinks, ...stdioSinks, ...httpSinks]) {
  register({ describe, it }, sinkSuite(subject));
}
