import { describe, it } from 'vitest';
import { loadSuite } from '../src/testing/suites/load-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { filesLoads } from './connectors/files-loads.ts';
import { memoryLoads } from './connectors/memory-loads.ts';
import { sqliteLoads } from './connectors/sqlite-loads.ts';

for (const subject of [memoryLoads, sqliteLoads, ...filesLoads]) register({ describe, it }, loadSuite(subject));
