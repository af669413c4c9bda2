import { describe, expect, it } from 'vitest';
import { loadSuite } from '../../src/testing/suites/load-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { lancedbLoads } from '../connectors/lancedb.ts';
import { onLance } from './bench.ts';

for (const subject of lancedbLoads) register({ describe, it }, loadSuite(subject));

describe('LanceDB', () => {
  it(
    'can be loaded, or it is said why not',
    onLance(async (bench) => expect(await bench.rows()).toEqual([])),
  );
});
