import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TestNats } from '../nats.ts';
import { TestRedis } from '../redis.ts';
import { missingProgram } from '../server.ts';
import { CANARY, type Member, members, RangePlace } from './place.ts';

const missing = missingProgram('nats-server') ?? missingProgram('redis-server');
const RECORDS = 3_000;
const ALL = members(1, RECORDS);

let nats: TestNats;
let redis: TestRedis;
beforeAll(async () => {
  if (missing !== undefined) return;
  nats = await TestNats.start();
  redis = await TestRedis.start();
});
afterAll(async () => {
  await nats?.stop();
  await redis?.stop();
});

interface Stream {
  readonly connection: () => string;
  make(name: string): Promise<void>;
  add(name: string, rows: readonly Member[]): Promise<void>;
  /** Removes everything before the record with this number. */
  trim(name: string, before: number): Promise<void>;
  drop(name: string): Promise<void>;
  readonly trimmed: RegExp;
  readonly replaced: RegExp;
}

/** Not one by one, and not all at once. */
async function inTurns(rows: readonly Member[], add: (row: Member) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < rows.length; at += 200) await Promise.all(rows.slice(at, at + 200).map(add));
}

const STREAMS: Readonly<Record<string, Stream>> = {
  NATS: {
    connection: () => `{ type: nats, servers: ["127.0.0.1:${nats.server.port}"] }`,
    make: (name) => nats.stream(name),
    add: (name, rows) => inTurns(rows, (row) => jetstream(nats.connection).publish(name, JSON.stringify(row))),
    trim: async (name, before) => {
      const manager = await jetstreamManager(nats.connection);
      const { first_seq: first } = (await manager.streams.info(name)).state;
      await manager.streams.purge(name, { seq: first + before });
    },
    drop: async (name) => void (await (await jetstreamManager(nats.connection)).streams.delete(name)),
    trimmed: /has removed messages/,
    replaced: /the stream \w+ is another one/,
  },
  Redis: {
    connection: () => `{ type: redis, host: 127.0.0.1, port: ${redis.server.port} }`,
    make: async () => undefined,
    add: (name, rows) =>
      inTurns(rows, ({ id, name: text }) => redis.ask('XADD', name, `${id + 1}-0`, 'id', `${id}`, 'name', text)),
    trim: async (name, before) => void (await redis.ask('XTRIM', name, 'MINID', `${before + 1}-0`)),
    drop: async (name) => void (await redis.ask('DEL', name)),
    // Nothing tells that something was removed in the middle of what was read but what is missing.
    trimmed: /what stands there is not what was read/,
    replaced: /ends at .* before the position|what stands there is not what was read/,
  },
};

describe.each(Object.entries(STREAMS))('batches that are ranges of a stream of %s', (_, server) => {
  let place: RangePlace;
  let stream: string;
  beforeEach(async ({ skip }) => {
    skip(missing !== undefined, missing);
    stream = nats.name();
    await server.make(stream);
    // Some are gone before anybody reads: what is left begins late.
    await server.add(stream, [...members(0, 0), ...ALL]);
    await server.trim(stream, 1);
    place = new RangePlace({
      source: `connection: bus, stream: ${stream}`,
      connections: `  bus: ${server.connection()}\n`,
      flow: '    window: pull\n',
    });
  });
  afterEach(async () => await place?.close());

  it('are made again by who goes on after a kill, each record once, while more come', async () => {
    await place.killedAfter(200);
    const more = members(RECORDS + 1, RECORDS + 500);
    await server.add(stream, more);
    await place.killedAfter(200);
    expect(place.staged().includes(CANARY), 'a record in the staging folder').toBe(false);
    await place.cli(['run', 'members']);
    await place.cli(['run', 'members']);
    expect(place.rows()).toEqual([...ALL, ...more]);
    await place.cli(['verify']);
  }, 60_000);

  it('are told to be lost when the stream has removed what they were made of', async () => {
    await place.killedAfter(200);
    await server.trim(stream, RECORDS - 100);
    const { stderr } = await place.cli(['run', 'members'], 1);
    expect(stderr).toContain('RANGE_LOST');
    expect(stderr.replaceAll(/\s+/g, ' ')).toMatch(server.trimmed);
    expect(new Set(place.ids()).size).toBe(place.ids().length);
  }, 60_000);

  it('are told to be lost when another stream has taken its name', async () => {
    await place.killedAfter(200);
    await server.drop(stream);
    await server.make(stream);
    await server.add(stream, members(5_000, 6_000));
    const { stderr } = await place.cli(['run', 'members'], 1);
    expect(stderr).toContain('RANGE_LOST');
    expect(stderr.replaceAll(/\s+/g, ' ')).toMatch(server.replaced);
    expect(place.ids().filter((id) => id >= 5_000)).toEqual([]);
  }, 60_000);
});
