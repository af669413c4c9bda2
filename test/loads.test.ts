import { describe, it } from 'vitest';
import { loadSuite } from '../src/testing/suites/load-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { sqliteLoads } from './connectors/sqlite-loads.ts';

register({ describe, it }, loadSuite(sqliteLoads));
