import { afterAll, beforeAll, beforeEach, describe, it } from 'vitest';
import type { StrategyPlace } from '../../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../../src/testing/suites/strategy-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { cephMissing, type ObjectGateway, startCeph } from '../ceph.ts';
import { objectStrategies, recordsOfLines, type Settings } from '../connectors/object-strategies.ts';
import { gone, shownIn } from '../connectors/s3.ts';
import { S3Places } from '../s3-place.ts';

const missing = cephMissing();
let gateway: ObjectGateway | undefined;
let places: S3Places;
beforeAll(async () => {
  if (missing !== undefined) return console.info(`SKIPPED: strategies on a real S3 server: ${missing}`);
  gateway = await startCeph();
  places = await S3Places.open(gateway);
}, 120_000);
afterAll(() => gateway?.stop());
beforeEach(({ skip }) => skip(missing !== undefined, missing));

/** A folder in the bucket, and sinks that live in the virtual time of the suite; the server lives in its own. */
async function bucketOf(settings: Settings): Promise<StrategyPlace> {
  const place = await places.place();
  return {
    sink: (ports) => place.sink({ ...settings }, {}, ports),
    held: async () => {
      const names = await shownIn(place, settings.manifest);
      const texts = await Promise.all(names.map((name) => place.text(name).catch(gone)));
      return texts.flatMap(recordsOfLines);
    },
    close: () => place.close(),
  };
}

// What is the same for folders and buckets is tried on folders in every way; here one for each way to show objects: in
// the place of another one, by a manifest, by their own names.
const WAYS = /named by its window|transactional-writer|each batch/;
// Each of these stories is told many times over, on a real server.
const patiently = (title: string, run: () => Promise<void>): unknown => it(title, run, 600_000);
for (const subject of objectStrategies('object', bucketOf)) {
  const suite = strategySuite(subject);
  if (WAYS.test(suite.name)) register({ describe, it: patiently }, suite);
}
