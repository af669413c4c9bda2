import { afterAll, beforeAll, beforeEach, describe, it } from 'vitest';
import type { DataRecord } from '../../src/model/chunk.ts';
import type { Ports } from '../../src/model/ports.ts';
import { dataOverwrite } from '../../src/strategies/data-overwrite.ts';
import { proxy } from '../../src/strategies/proxy.ts';
import type { Strategy } from '../../src/strategies/strategy.ts';
import {
  lastOfEachWindow,
  newestLoad,
  type StrategyModel,
  type StrategyPlace,
} from '../../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../../src/testing/suites/strategy-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { cephMissing, type ObjectGateway, startCeph } from '../ceph.ts';
import { shownIn } from '../connectors/s3.ts';
import { S3Places } from '../s3-place.ts';

const missing = cephMissing();
let gateway: ObjectGateway | undefined;
let places: S3Places;
beforeAll(async () => {
  if (missing !== undefined) return;
  gateway = await startCeph();
  places = await S3Places.open(gateway);
}, 120_000);
afterAll(() => gateway?.stop());
beforeEach(({ skip }) => skip(missing !== undefined, missing));

interface Way {
  readonly name: string;
  readonly strategy: Strategy;
  readonly model: StrategyModel;
  readonly settings: { readonly path: string; readonly manifest?: string };
}

const WAYS: readonly Way[] = [
  {
    name: 'P02, P10, P12, P29: an object that is named by its window',
    strategy: dataOverwrite,
    model: lastOfEachWindow,
    settings: { path: 'orders/{{ window }}.ndjson' },
  },
  {
    name: 'P02, P36, P37, P38: objects under a manifest',
    strategy: proxy,
    model: newestLoad,
    settings: { path: 'orders/{{ batch }}.ndjson', manifest: 'orders/_manifest.json' },
  },
];

/** Over real sockets. While a request is under way no virtual time passes. */
async function inBucket(settings: Way['settings']): Promise<StrategyPlace> {
  const place = await places.place();
  return {
    sink: (_ports: Ports) => place.sink(settings),
    held: async () => {
      const names = await shownIn(place, settings.manifest);
      const texts = await Promise.all(names.map((name) => place.text(name)));
      return texts.flatMap((text) =>
        text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as DataRecord),
      );
    },
    close: () => place.close(),
  };
}

for (const { name, strategy, model, settings } of WAYS) {
  const lane = { facts: { key: ['id'], window: 'day' as const, load: {} } };
  const suite = strategySuite({ name, strategy, model, lane, open: () => inBucket(settings) });
  const cases = suite.cases.map((one) => ({ ...one, timeoutMs: 600_000 }));
  register({ describe, it }, { ...suite, cases });
}
