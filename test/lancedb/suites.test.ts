import { describe, it } from 'vitest';
import { loadSuite } from '../../src/testing/suites/load-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { lancedbLoads } from '../connectors/lancedb.ts';

for (const subject of lancedbLoads) register({ describe, it }, loadSuite(subject));
