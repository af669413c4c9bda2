import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { nats as connector } from '../src/connectors/nats/config.ts';
import type { DataRecord } from '../src/model/chunk.ts';
import { strategies } from '../src/strategies/all.ts';
import { openCutProxy } from '../src/testing/faults/cut-proxy.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import type { Losing, SinkFixture, SinkSubject } from '../src/testing/suites/sink-subject.ts';
import { sinkSuite } from '../src/testing/suites/sink-suite.ts';
import {
  eachOnce,
  lastOfEachKey,
  type StrategyPlace,
  type StrategySubject,
} from '../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../src/testing/suites/strategy-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { TestNats } from './nats.ts';
import { missingProgram } from './server.ts';

// Each of these stories is told many times over, on a real server.
vi.setConfig({ testTimeout: 120_000 });

const missing = missingProgram('nats-server');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let nats: TestNats;
beforeAll(async () => {
  if (missing === undefined) nats = await TestNats.start();
});
afterAll(() => nats?.stop());

function shown(text: string): string {
  const { n, version } = JSON.parse(text) as { n: number; version: number };
  return version === 0 ? `${n}` : `${n}v${version}`;
}

/** A record that is larger than what the place takes. */
const LARGE = { n: 99, version: 0, text: 'x'.repeat(2000) };

function fixture(settings: Record<string, unknown>, held: () => Promise<readonly string[]>): SinkFixture {
  return {
    sink: nats.sink(settings),
    another: () => nats.sink(settings),
    record: (n, version = 0) => ({ n, version }),
    held,
    refused: { record: LARGE },
  };
}

const SINKS: readonly SinkSubject[] = [
  {
    name: 'a bucket of NATS',
    abilities: ['put'],
    open: async () => {
      const bucket = nats.name();
      await nats.bucket(bucket, { maxValueSize: 1000 });
      return fixture({ bucket, key: ['n'] }, async () => [...(await nats.texts(bucket)).values()].map(shown));
    },
  },
  {
    name: 'a stream of NATS',
    abilities: ['appendOnce'],
    open: async () => {
      const stream = nats.name();
      await nats.stream(stream, { max_msg_size: 1000 });
      const made = fixture({ stream, subject: stream }, async () => (await nats.messages(stream)).map(shown));
      const proxy = await openCutProxy({ target: nats.server });
      // Each message is stored by itself: the first half of a batch may be there alone.
      const half: Losing = async (send) => {
        proxy.set([{ side: 'request', at: { after: '"n":2,"version":0}\r\n' }, act: 'close', times: 1 }]);
        try {
          return await send();
        } finally {
          expect(proxy.made).toHaveLength(1);
          await expect.poll(() => nats.messages(stream)).toHaveLength(2);
        }
      };
      return {
        ...made,
        sink: nats.sink({ stream, subject: stream }, { servers: [`127.0.0.1:${proxy.port}`] }),
        lose: { 'half-applied': half },
        close: () => proxy.close(),
      };
    },
  },
];

for (const subject of SINKS) register({ describe, it }, sinkSuite(subject));

/** Sinks that live in the virtual time of the suite; the server lives in its own. */
function place(settings: Record<string, unknown>, held: () => Promise<readonly DataRecord[]>): StrategyPlace {
  const connection = connector.connection.parse({ servers: [`127.0.0.1:${nats.server.port}`] });
  const parsed = connector.sink!.settings.parse(settings);
  return { sink: (ports) => connector.sink!.open(connection, parsed, { ...openContext(), ports }), held };
}

const STRATEGIES: readonly StrategySubject[] = [
  {
    name: 'a bucket of NATS',
    strategy: strategies.keyed!,
    model: lastOfEachKey,
    open: async () => {
      const bucket = nats.name();
      await nats.bucket(bucket);
      const held = async () => [...(await nats.texts(bucket)).values()].map((text) => JSON.parse(text) as DataRecord);
      return place({ bucket, key: ['id'] }, held);
    },
  },
  {
    name: 'a stream of NATS',
    strategy: strategies['ledgered-append']!,
    model: eachOnce,
    open: async () => {
      const stream = nats.name();
      // Longer than the lease of the suite's processes, whose answers are lost for as long.
      const duplicateWindowSeconds = 7200;
      await nats.stream(stream, { duplicate_window: duplicateWindowSeconds * 1e9 });
      const held = async () => (await nats.messages(stream)).map((text) => JSON.parse(text) as DataRecord);
      return place({ stream, subject: stream, duplicateWindowSeconds }, held);
    },
  },
];

for (const subject of STRATEGIES) {
  register({ describe, it }, strategySuite({ ...subject, name: `P02: ${subject.name}` }));
}
