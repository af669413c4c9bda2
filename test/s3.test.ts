import { afterAll, beforeAll, beforeEach, describe, it } from 'vitest';
import { loadSuite } from '../src/testing/suites/load-suite.ts';
import { sinkSuite } from '../src/testing/suites/sink-suite.ts';
import { sourceSuite } from '../src/testing/suites/source-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { cephMissing, type ObjectGateway, startCeph } from './ceph.ts';
import { s3Loads, s3Sinks, s3Sources } from './connectors/s3.ts';
import { S3Places } from './s3-place.ts';

const missing = cephMissing();
let gateway: ObjectGateway | undefined;
let places: S3Places;
beforeAll(async () => {
  if (missing !== undefined) return console.info(`SKIPPED: tests on a real S3 server: ${missing}`);
  gateway = await startCeph();
  places = await S3Places.open(gateway);
}, 120_000);
afterAll(() => gateway?.stop());
beforeEach(({ skip }) => skip(missing !== undefined, missing));

for (const subject of s3Sources(() => places)) register({ describe, it }, sourceSuite(subject));
for (const subject of s3Sinks(() => places)) register({ describe, it }, sinkSuite(subject));
for (const subject of s3Loads(() => places)) register({ describe, it }, loadSuite(subject));
