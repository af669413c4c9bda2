import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Sink } from '../src/connectors/connector.ts';
import { NotAppliedError, RefusedError, WaybillError } from '../src/model/errors.ts';
import { OUTCOME, tally, type Verdict } from '../src/model/verdict.ts';
import type { Cut } from '../src/testing/faults/cut.ts';
import { type CutProxy, openCutProxy } from '../src/testing/faults/cut-proxy.ts';
import { testPermit } from '../src/testing/permit.ts';
import { TestNats } from './nats.ts';
import { thrownBy } from './postgres-place.ts';
import { TestRedis } from './redis.ts';
import { missingProgram } from './server.ts';

const missing = missingProgram('redis-server') ?? missingProgram('nats-server');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let redis: TestRedis;
let nats: TestNats;
beforeAll(async () => {
  if (missing !== undefined) return;
  redis = await TestRedis.start();
  nats = await TestNats.start();
});
afterAll(async () => {
  await redis?.stop();
  await nats?.stop();
});

const RECORDS = 400;
const records = Array.from({ length: RECORDS }, (_, n) => ({ id: n, name: `canary ${n}.` }));
const idOf = (text: string): number => (JSON.parse(text) as { id: number }).id;

interface Place {
  readonly ability: 'put' | 'commitOnce' | 'appendOnce';
  /** A batch is taken as a whole. */
  readonly whole: boolean;
  readonly port: () => number;
  open(port: number, requestTimeoutSeconds: number): Sink;
  held(): Promise<readonly number[]>;
  make?(): Promise<void>;
}

let name: string;
let places = 0;
const natsAt = (port: number) => ({ servers: [`127.0.0.1:${port}`] });
const PLACES: Readonly<Record<string, Place>> = {
  'keys of Redis': {
    ability: 'put',
    whole: false,
    port: () => redis.server.port,
    open: (port, requestTimeoutSeconds) =>
      redis.sink({ key: ['id'], prefix: `${name}:`, requestTimeoutSeconds }, { port }),
    held: async () => [...(await redis.texts(`${name}:`)).values()].map(idOf),
  },
  'hashes of Redis': {
    ability: 'put',
    whole: false,
    port: () => redis.server.port,
    open: (port, requestTimeoutSeconds) =>
      redis.sink({ key: ['id'], prefix: `${name}:`, value: 'fields', requestTimeoutSeconds }, { port }),
    held: async () => {
      const keys = await redis.ask<string[]>('KEYS', `${name}:*`);
      const hashes = await Promise.all(keys.map((key) => redis.ask<string[]>('HMGET', key, 'id', 'name')));
      return hashes.map(([id, text]) => (text === `canary ${id}.` ? Number(id) : Number.NaN));
    },
  },
  'a stream of Redis': {
    ability: 'commitOnce',
    whole: true,
    port: () => redis.server.port,
    open: (port, requestTimeoutSeconds) => redis.sink({ stream: name, requestTimeoutSeconds }, { port }),
    held: async () => (await redis.entries(name)).map(({ data }) => idOf(data!)),
  },
  'a bucket of NATS': {
    ability: 'put',
    whole: false,
    port: () => nats.server.port,
    make: async () => void (await nats.bucket(name)),
    open: (port, requestTimeoutSeconds) =>
      nats.sink({ bucket: name, key: ['id'], requestTimeoutSeconds }, natsAt(port)),
    held: async () => [...(await nats.texts(name)).values()].map(idOf),
  },
  'a stream of NATS': {
    ability: 'appendOnce',
    whole: false,
    port: () => nats.server.port,
    make: () => nats.stream(name),
    open: (port, requestTimeoutSeconds) =>
      nats.sink({ stream: name, subject: name, requestTimeoutSeconds }, natsAt(port)),
    held: async () => (await nats.messages(name)).map(idOf),
  },
};

describe.each(Object.keys(PLACES))('a connection to %s that is cut', (title) => {
  const place = PLACES[title]!;
  let proxy: CutProxy;
  let sink: Sink;
  let batch = 0;
  const open = (seconds: number): Sink => place.open(proxy.port, seconds);
  beforeEach(async () => {
    name = `cut${++places}`;
    await place.make?.();
    proxy = await openCutProxy({ target: { port: place.port() } });
    sink = open(30);
    batch += 1;
  });
  afterEach(async () => {
    proxy.release();
    await sink.close!();
    await proxy.close();
  });

  const send = async (attempt: number): Promise<Verdict | 'already'> =>
    await sink.can[place.ability]!(testPermit({ records, batch, attempt }));
  async function sendCut(cut: Cut): Promise<unknown> {
    proxy.set([cut]);
    const outcome = await send(1).catch((error: unknown) => error);
    expect(proxy.made, `${JSON.stringify(cut)} was made`).toHaveLength(1);
    proxy.set([]);
    return outcome;
  }

  /** Once more, as the engine does: what is held then is each record, once. */
  async function expectMadeGood(): Promise<void> {
    const again = await send(2);
    if (again !== 'already') expect(tally(again, RECORDS)).toEqual({ applied: RECORDS, refused: 0, unknown: 0 });
    expect([...(await place.held())].sort((a, b) => a - b)).toEqual(records.map(({ id }) => id));
  }

  /** An outcome that claims nothing of what was not answered, and nothing that is not so of the rest. */
  async function expectTrue(outcome: unknown, where: string): Promise<void> {
    if (outcome instanceof Error) {
      expect(outcome, where).toMatchObject({ code: 'SINK_FAILED' });
      return;
    }
    const { outcomes, refusals } = outcome as Verdict;
    expect(refusals, where).toEqual([]);
    const held = new Set(await place.held());
    for (const { id } of records)
      if (outcomes[id] === OUTCOME.applied) expect(held.has(id), `${where}: ${id}`).toBe(true);
    expect(tally(outcome as Verdict, RECORDS).unknown, where).toBeGreaterThan(0);
  }

  const BATCH = { holds: 'canary' } as const;
  it.each([
    { side: 'request', at: 0, act: 'close' },
    { side: 'request', at: 0, act: 'reset' },
    { side: 'request', at: { after: 'canary 3.' }, act: 'close' },
    { side: 'request', at: { after: 'canary 200.' }, act: 'reset' },
    { side: 'answer', at: 0, act: 'close' },
    { side: 'answer', at: 0, act: 'reset' },
    { side: 'answer', at: 3, act: 'reset' },
    { side: 'answer', at: 41, act: 'close' },
  ] as const)('%j says only what it knows, and the repeat makes it good', async (how) => {
    const outcome = await sendCut({ ...how, when: BATCH, times: 1 });
    await expectTrue(outcome, JSON.stringify(how));
    if (how.side === 'answer' && place.whole) await expect.poll(place.held).toHaveLength(RECORDS);
    await expectMadeGood();
  });

  it.each(['request', 'answer'] as const)('by holding the %s longer than it may take is unknown', async (side) => {
    await sink.close!();
    sink = open(1);
    const outcome = await sendCut({ side, at: side === 'answer' ? 0 : 30, act: 'hold', when: BATCH, times: 1 });
    expect(outcome).toBeInstanceOf(WaybillError);
    expect(outcome).not.toBeInstanceOf(NotAppliedError);
    expect(outcome).not.toBeInstanceOf(RefusedError);
    expect(outcome).toMatchObject({ message: /longer than 1000 ms/ });
    await expectMadeGood();
  });

  it('before anything was sent has proved that nothing was applied', async () => {
    const { port } = proxy;
    await proxy.close();
    const error = await thrownBy(send(1));
    expect(error).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
    expect(await place.held()).toEqual([]);
    expect(port).toBeGreaterThan(0);
    sink = place.open(place.port(), 30);
    await expectMadeGood();
  });

  it('while a batch is given up by whoever sends it is unknown, and the next goes over a new connection', async () => {
    const stop = new AbortController();
    proxy.set([{ side: 'answer', at: 0, act: 'hold', when: BATCH, times: 1 }]);
    const sending = thrownBy(sink.can[place.ability]!(testPermit({ records, batch, signal: stop.signal })));
    await expect.poll(() => proxy.made).toHaveLength(1);
    stop.abort();
    expect(await sending).toMatchObject({ code: 'SINK_FAILED', message: /given up/ });
    await expectMadeGood();
    expect(proxy.connections).toBe(2);
  });
});

describe('a connection to NATS that is cut while it is being made', () => {
  it('has proved that nothing was applied', async () => {
    const bucket = nats.name();
    await nats.bucket(bucket);
    for (const cut of [
      { side: 'request', at: 0, act: 'close', when: { holds: 'CONNECT' } },
      { side: 'answer', at: 0, act: 'reset', when: { holds: 'CONNECT' } },
      { side: 'request', at: 0, act: 'reset', when: { holds: 'STREAM.INFO' } },
      { side: 'answer', at: 9, act: 'close', when: { holds: 'STREAM.INFO' } },
    ] as const) {
      const proxy = await openCutProxy({ target: nats.server, cuts: [cut] });
      const sink = nats.sink({ bucket, key: ['id'] }, natsAt(proxy.port));
      const error = await thrownBy(sink.can.put!(testPermit({ records })));
      expect(error, JSON.stringify(cut)).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
      expect(proxy.made).toHaveLength(1);
      await sink.close!();
      await proxy.close();
    }
    expect((await nats.texts(bucket)).size).toBe(0);
  });

  it('takes no longer than a request may, even when the server says nothing', async () => {
    const bucket = nats.name();
    const proxy = await openCutProxy({
      target: nats.server,
      cuts: [{ side: 'answer', at: 0, act: 'hold', when: { holds: 'CONNECT' } }],
    });
    const sink = nats.sink({ bucket, key: ['id'], requestTimeoutSeconds: 1 }, natsAt(proxy.port));
    const error = await thrownBy(sink.can.put!(testPermit({ records })));
    expect(error).toMatchObject({ code: 'NOT_APPLIED', message: /longer than 1000 ms/ });
    await sink.close!();
    await proxy.close();
  });
});

describe('a connection to Redis that is cut while it is being made', () => {
  it('has proved that nothing was applied', async () => {
    for (const cut of [
      { side: 'request', at: 0, act: 'close', when: { holds: 'SELECT' } },
      { side: 'answer', at: 0, act: 'reset', when: { holds: 'SELECT' } },
      { side: 'answer', at: 2, act: 'close', when: { holds: 'SELECT' } },
      { side: 'request', at: 3, act: 'reset', when: { holds: 'PING' } },
      { side: 'answer', at: 1, act: 'close', when: { holds: 'PING' } },
    ] as const) {
      const proxy = await openCutProxy({ target: redis.server, cuts: [cut] });
      const sink = redis.sink({ key: ['id'], prefix: 'none:' }, { port: proxy.port, database: 1 });
      const error = await thrownBy(sink.can.put!(testPermit({ records })));
      expect(error, JSON.stringify(cut)).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
      expect(proxy.made).toHaveLength(1);
      await sink.close!();
      await proxy.close();
    }
    expect(await redis.ask('INFO', 'keyspace')).not.toMatch(/db1/);
  });
});
