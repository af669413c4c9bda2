import { afterAll, beforeAll, describe, it, vi } from 'vitest';
import { loadSuite } from '../src/testing/suites/load-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { postgresLoads } from './postgres-loads.ts';
import { Places } from './postgres-place.ts';

vi.setConfig({ testTimeout: 120_000 });

let places: Places;
beforeAll(async () => {
  places = await Places.start();
});
afterAll(() => places?.stop());

register({ describe, it }, loadSuite(postgresLoads(() => places)));
