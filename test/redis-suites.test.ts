import { afterAll, beforeAll, beforeEach, describe, it, vi } from 'vitest';
import { redis as connector } from '../src/connectors/redis/config.ts';
import type { DataRecord } from '../src/model/chunk.ts';
import { strategies } from '../src/strategies/all.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import type { SinkFixture, SinkSubject } from '../src/testing/suites/sink-subject.ts';
import { sinkSuite } from '../src/testing/suites/sink-suite.ts';
import {
  eachOnce,
  lastOfEachKey,
  type StrategyPlace,
  type StrategySubject,
} from '../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../src/testing/suites/strategy-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { TestRedis } from './redis.ts';
import { missingProgram } from './server.ts';

// Each of these stories is told many times over, on a real server.
vi.setConfig({ testTimeout: 120_000 });

const missing = missingProgram('redis-server');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let redis: TestRedis;
beforeAll(async () => {
  if (missing === undefined) redis = await TestRedis.start();
});
afterAll(() => redis?.stop());

const shown = ({ n, version }: Record<string, string>): string => (version === '0' ? `${n}` : `${n}v${version}`);
const shownJson = (text: string): string =>
  shown(JSON.parse(text.replaceAll(/:(\d+)/g, ':"$1"')) as Record<string, string>);

function fixture(settings: Record<string, unknown>, held: () => Promise<readonly string[]>): SinkFixture {
  return {
    sink: redis.sink(settings),
    another: () => redis.sink(settings),
    record: (n, version = 0) => ({ n, version }),
    held,
    refused: { record: { version: 0 } },
  };
}

const never = { never: 'a batch for a stream is one step of the server' };
const SINKS: readonly SinkSubject[] = [
  {
    name: 'keys of Redis',
    abilities: ['put'],
    open: () => {
      const prefix = `${redis.name()}:`;
      const held = async () => [...(await redis.texts(prefix)).values()].map(shownJson);
      return fixture({ key: ['n'], prefix }, held);
    },
  },
  {
    name: 'hashes of Redis that expire',
    abilities: ['put'],
    open: () => {
      const prefix = `${redis.name()}:`;
      return fixture({ key: ['n'], prefix, value: 'fields', expireSeconds: 3600 }, async () => {
        const keys = await redis.ask<string[]>('KEYS', `${prefix}*`);
        const hashes = await Promise.all(keys.map((key) => redis.ask<string[]>('HMGET', key, 'n', 'version')));
        return hashes.map(([n, version]) => shown({ n: n!, version: version! }));
      });
    },
  },
  {
    name: 'a stream of Redis',
    abilities: ['commitOnce'],
    open: () => {
      const stream = redis.name();
      const held = async () => (await redis.entries(stream)).map(({ data }) => shownJson(data!));
      const made = fixture({ stream }, held);
      return { ...made, refused: { never: 'an entry takes any record' }, lose: { 'half-applied': never } };
    },
  },
  {
    name: 'a stream of Redis with fields',
    abilities: ['commitOnce'],
    open: () => {
      const stream = redis.name();
      const made = fixture({ stream, value: 'fields', markerDays: 30 }, async () =>
        (await redis.entries(stream)).map(shown),
      );
      return { ...made, refused: { record: { n: null } }, lose: { 'half-applied': never } };
    },
  },
];

for (const subject of SINKS) register({ describe, it }, sinkSuite(subject));

/** Sinks that live in the virtual time of the suite; the server lives in its own. */
function place(settings: Record<string, unknown>, held: () => Promise<readonly DataRecord[]>): StrategyPlace {
  const connection = connector.connection.parse({ host: '127.0.0.1', port: redis.server.port });
  const parsed = connector.sink!.settings.parse(settings);
  return { sink: (ports) => connector.sink!.open(connection, parsed, { ...openContext(), ports }), held };
}

const STRATEGIES: readonly StrategySubject[] = [
  {
    name: 'keys of Redis',
    strategy: strategies.keyed!,
    model: lastOfEachKey,
    open: () => {
      const prefix = `${redis.name()}:`;
      const held = async () => [...(await redis.texts(prefix)).values()].map((text) => JSON.parse(text) as DataRecord);
      return place({ key: ['id'], prefix }, held);
    },
  },
  {
    name: 'a stream of Redis',
    strategy: strategies['ledgered-append']!,
    model: eachOnce,
    open: () => {
      const stream = redis.name();
      const held = async () => (await redis.entries(stream)).map(({ data }) => JSON.parse(data!) as DataRecord);
      return place({ stream }, held);
    },
  },
];

for (const subject of STRATEGIES) {
  register({ describe, it }, strategySuite({ ...subject, name: `P02: ${subject.name}` }));
}
