import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Sink } from '../src/connectors/connector.ts';
import { NotAppliedError, RefusedError } from '../src/model/errors.ts';
import { OUTCOME } from '../src/model/verdict.ts';
import { testPermit } from '../src/testing/permit.ts';
import { thrownBy } from './postgres-place.ts';
import { TestRedis } from './redis.ts';
import { missingProgram } from './server.ts';

const missing = missingProgram('redis-server');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let redis: TestRedis;
const sinks: Sink[] = [];
beforeAll(async () => {
  if (missing === undefined) redis = await TestRedis.start();
});
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close!();
});
afterAll(() => redis?.stop());

const open = (settings: Record<string, unknown>, connection = {}, secrets = {}): Sink => {
  const sink = redis.sink(settings, connection, secrets);
  sinks.push(sink);
  return sink;
};
let batch = 0;
const permit = (...records: (object | string)[]) => testPermit({ records, batch: ++batch });

describe('keys of Redis', () => {
  let prefix: string;
  beforeEach(() => {
    prefix = `${redis.name()}:`;
  });
  const texts = async () => Object.fromEntries(await redis.texts(prefix));

  it('P27: are the same for the same input in every process, and a second write replaces', async () => {
    const record = '{"id": 9007199254740993, "name":"é\\u0000"}';
    for (const one of [open({ key: ['id'], prefix }), open({ key: ['id'], prefix })]) {
      await one.can.put!(permit(record, { id: '42', v: 1 }));
      await one.can.put!(permit('{"id":42.0,"v":2}'));
    }
    expect(await texts()).toEqual({ '9007199254740993': record, '42': '{"id":42.0,"v":2}' });
  });

  it('P27: of several columns are never those of another record', async () => {
    const sink = open({ key: ['a', 'b'], prefix });
    await sink.can.put!(permit({ a: 'x:y', b: 'z' }, { a: 'x', b: 'y:z' }, { a: 'x%3Ay', b: 'z' }, { a: '', b: '' }));
    expect(Object.keys(await texts()).sort()).toEqual([':', 'x%253Ay:z', 'x%3Ay:z', 'x:y%3Az']);
  });

  it('hold the last of several records of one batch, and each of those counts as written', async () => {
    const sink = open({ key: ['id'], prefix });
    const verdict = await sink.can.put!(permit({ id: 1, v: 1 }, { id: 2, v: 1 }, { id: 1, v: 2 }, { id: '1', v: 3 }));
    expect([...verdict.outcomes]).toEqual([1, 1, 1, 1]);
    expect(await texts()).toEqual({ '1': '{"id":"1","v":3}', '2': '{"id":2,"v":1}' });
  });

  it('are asked of each record: one without is refused by its column, and the others are written', async () => {
    const sink = open({ key: ['id'], prefix });
    const verdict = await sink.can.put!(permit({ id: 1 }, { other: 2 }, { id: null }, '{"id":"\\ud800"}', { id: 5 }));
    expect([...verdict.outcomes]).toEqual([1, 2, 2, 2, 1]);
    expect(verdict.refusals).toMatchObject([
      { index: 1, code: 'key-missing', message: /"id"/, retryable: false },
      { index: 2, code: 'key-missing' },
      { index: 3, code: 'key-unfit' },
    ]);
    expect(Object.keys(await texts()).sort()).toEqual(['1', '5']);
  });

  it('of hashes hold the fields of the last record and no others, as text', async () => {
    const sink = open({ key: ['id'], prefix, value: 'fields', expireSeconds: 100 });
    await sink.can.put!(permit({ id: 1, old: 'x' }));
    await sink.can.put!(permit('{"id":1,"big":12345678901234567890.5,"yes":true,"none":null,"list":[1,{"a":"ü"}]}'));
    expect(await redis.ask('HGETALL', `${prefix}1`)).toEqual([
      'id',
      '1',
      'big',
      '12345678901234567890.5',
      'yes',
      'true',
      'list',
      '[1,{"a":"ü"}]',
    ]);
    expect(await redis.ask<number>('TTL', `${prefix}1`)).toBeGreaterThan(90);
  });

  it('replace what is there whatever type it has', async () => {
    await redis.ask('LPUSH', `${prefix}1`, 'a');
    await redis.ask('LPUSH', `${prefix}2`, 'a');
    await open({ key: ['id'], prefix }).can.put!(permit({ id: 1 }));
    await open({ key: ['id'], prefix, value: 'fields' }).can.put!(permit({ id: 2 }));
    expect([await redis.ask('TYPE', `${prefix}1`), await redis.ask('TYPE', `${prefix}2`)]).toEqual(['string', 'hash']);
  });

  it.each(['json', 'fields'])(
    'are written later, all of them, when the server is out of memory (%s)',
    async (value) => {
      const sink = open({ key: ['id'], prefix, value });
      await sink.can.put!(permit({ id: 0 }));
      await redis.ask('CONFIG', 'SET', 'maxmemory', '1');
      try {
        const error = await thrownBy(sink.can.put!(permit({ id: 1 }, { id: 0, v: 2 })));
        expect(error).toBeInstanceOf(NotAppliedError);
        expect(error).toMatchObject({ sinkAway: true, ids: { code: 'OOM' }, hint: /maxmemory/ });
      } finally {
        await redis.ask('CONFIG', 'SET', 'maxmemory', '0');
      }
      expect(await redis.ask('KEYS', `${prefix}*`)).toEqual([`${prefix}0`]);
      expect(await sink.can.put!(permit({ id: 1 }))).toMatchObject({ refusals: [] });
    },
  );

  it('are not written to a replica, which is told as a sink that is away', async () => {
    const sink = open({ key: ['id'], prefix });
    await redis.ask('REPLICAOF', '127.0.0.1', '1');
    try {
      const error = await thrownBy(sink.can.put!(permit({ id: 1 })));
      expect(error).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true, ids: { code: 'READONLY' }, hint: /replica/ });
    } finally {
      await redis.ask('REPLICAOF', 'NO', 'ONE');
    }
    expect(await texts()).toEqual({});
  });

  it('that a user may not write are tried again alone; where it may write none, the request is to blame', async () => {
    await redis.ask('ACL', 'SETUSER', 'narrow', 'on', '>secret-canary', `~${prefix}a*`, '+@all');
    const sink = open(
      { key: ['id'], prefix },
      { user: 'narrow', password: 'env:PASSWORD' },
      {
        'env:PASSWORD': 'secret-canary',
      },
    );
    const verdict = await sink.can.put!(permit({ id: 'a1' }, { id: 'b1' }, { id: 'a2' }));
    expect([...verdict.outcomes]).toEqual([1, 2, 1]);
    expect(verdict.refusals).toMatchObject([{ index: 1, code: 'NOPERM', retryable: true }]);
    expect(await thrownBy(sink.can.put!(permit({ id: 'b1' })))).toMatchObject({ reason: 'NOPERM', about: 'request' });
    expect(Object.keys(await texts()).sort()).toEqual(['a1', 'a2']);
  });

  it('are not written with a wrong password, which no message holds', async () => {
    const secrets = { 'env:URL': `redis://default:wrong-canary@127.0.0.1:${redis.server.port}/0` };
    await redis.ask('CONFIG', 'SET', 'requirepass', 'right');
    try {
      const { host: _h, port: _p, ...nothing } = { host: 1, port: 1 };
      const sink = open(
        { key: ['id'], prefix },
        { ...nothing, url: 'env:URL', host: undefined, port: undefined },
        secrets,
      );
      const error = await thrownBy(sink.can.put!(permit({ id: 1 })));
      expect(error).toBeInstanceOf(RefusedError);
      expect(error).toMatchObject({ about: 'request', reason: 'WRONGPASS' });
      expect(String(error)).not.toContain('canary');
    } finally {
      await redis.ask('CONFIG', 'SET', 'requirepass', '');
    }
  });

  it('are proved not written when no server listens, and written when it is back', async () => {
    const other = await TestRedis.start();
    try {
      const sink = other.sink({ key: ['id'] });
      await sink.can.put!(permit({ id: 1 }));
      await other.server.kill();
      const first = await thrownBy(sink.can.put!(permit({ id: 2 })));
      // An idle connection that ended is noticed when the news arrives; until then a byte may have left.
      if (!(first instanceof NotAppliedError)) expect(first).toMatchObject({ code: 'SINK_FAILED' });
      const error = await thrownBy(sink.can.put!(permit({ id: 2 })));
      expect(error).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
      await other.server.again();
      expect(await sink.can.put!(permit({ id: 2 }))).toMatchObject({ refusals: [] });
      await sink.close!();
    } finally {
      await other.stop();
    }
  });

  it('are sent to a server that syncs each write, and to no other, where that is asked for', async () => {
    const sink = open({ key: ['id'], prefix, durability: 'fsync' });
    const error = await thrownBy(sink.can.put!(permit({ id: 1 })));
    expect(error).toMatchObject({ reason: 'durability', about: 'request', hint: /appendfsync always/ });
    expect(sink.facts.assumes!.join()).toMatch(/appendfsync always/);
    const synced = await TestRedis.start(['--appendonly', 'yes', '--appendfsync', 'always']);
    try {
      const durable = synced.sink({ key: ['id'], durability: 'fsync' });
      await durable.can.put!(permit({ id: 1 }));
      await durable.close!();
      await synced.server.kill();
      await synced.server.again();
      // What asks meanwhile fails until the test's own connection stands again.
      await expect.poll(() => synced.texts('').catch(() => undefined)).toEqual(new Map([['1', '{"id":1}']]));
    } finally {
      await synced.stop();
    }
  });
});

describe('a server that removes what it has acknowledged', () => {
  const policies = (policy: string) => TestRedis.start(['--maxmemory', '100mb', '--maxmemory-policy', policy]);
  const toKeys = { key: ['id'] };

  it.each([
    ['allkeys-lru', [toKeys, { stream: 's' }, { ...toKeys, expireSeconds: 60 }], []],
    [
      'volatile-ttl',
      [
        { ...toKeys, expireSeconds: 60 },
        { stream: 's', markerDays: 1 },
      ],
      [toKeys, { stream: 's' }],
    ],
    ['noeviction', [], [toKeys, { stream: 's' }, { stream: 's', markerDays: 1 }]],
  ])('%s: is sent nothing that it may remove, unless that is said', async (policy, refused, taken) => {
    const server = await policies(policy);
    const send = async (settings: Record<string, unknown>): Promise<unknown> => {
      const { can, close } = server.sink(settings);
      const sending = can.commitOnce?.(permit({ id: 1 })) ?? can.put!(permit({ id: 1 }));
      return await sending.finally(() => close!());
    };
    try {
      for (const settings of refused) {
        const error = await thrownBy(send(settings));
        expect(error).toMatchObject({ reason: 'eviction', about: 'request', hint: /noeviction.*eviction: accept/ });
      }
      expect(await server.ask('DBSIZE')).toBe(0);
      for (const settings of [...taken, ...refused.map((one) => ({ ...one, eviction: 'accept' }))])
        await send(settings);
      expect(await server.ask('DBSIZE')).toBeGreaterThan(0);
    } finally {
      await server.stop();
    }
  });
});

describe('a user of Redis who has what the guide lists', () => {
  it.each([
    ['keys', { key: ['id'] }, ['+set']],
    ['keys that expire', { key: ['id'], expireSeconds: 9 }, ['+set']],
    ['hashes', { key: ['id'], value: 'fields' }, ['+multi', '+exec', '+del', '+hset']],
    [
      'hashes that expire',
      { key: ['id'], value: 'fields', expireSeconds: 9 },
      ['+multi', '+exec', '+del', '+hset', '+expire'],
    ],
    ['a stream', {}, ['+eval', '+get', '+set', '+xadd', '+xdel']],
  ])('and nothing else writes %s', async (what, settings, commands) => {
    await redis.ask('ACL', 'SETUSER', 'listed', 'reset', 'on', '>listed', '~*', ...commands);
    const place = what === 'a stream' ? { stream: redis.name() } : { prefix: redis.name() };
    const sink = open({ ...settings, ...place }, { user: 'listed', password: 'env:P' }, { 'env:P': 'listed' });
    const verdict = await (sink.can.put ?? sink.can.commitOnce!)(permit({ id: 1 }));
    expect(verdict).toMatchObject({ refusals: [], outcomes: new Uint8Array([OUTCOME.applied]) });
  });
});

describe('a user of Redis who may not begin transactions', () => {
  it('leaves hashes in doubt, since what was to stand in them was carried out, and is told why', async () => {
    const prefix = redis.name();
    await redis.ask('ACL', 'SETUSER', 'loose', 'reset', 'on', '>loose', '~*', '+exec', '+del', '+hset');
    const access = { user: 'loose', password: 'env:P' };
    const sink = open({ key: ['id'], value: 'fields', prefix }, access, { 'env:P': 'loose' });
    const error = await thrownBy(sink.can.put!(permit({ id: 1 })));
    expect(error).toMatchObject({ code: 'SINK_FAILED', message: /'multi'/ });
    expect(await redis.ask('HGETALL', `${prefix}1`)).toEqual(['id', '1']);
  });
});

describe('a stream of Redis', () => {
  let stream: string;
  beforeEach(() => {
    stream = redis.name();
  });
  const left = async () => [await redis.ask('XLEN', stream), await redis.ask('KEYS', `waybill:{${stream}}:*`)];

  it('takes back what it had added when an entry is refused, and leaves no marker', async () => {
    const most = '18446744073709551615';
    await redis.ask('XADD', stream, `${most}-18446744073709551612`, 'data', 'first');
    const sink = open({ stream });
    const error = await thrownBy(sink.can.commitOnce!(permit({ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 })));
    expect(error).toBeInstanceOf(RefusedError);
    expect(error).toMatchObject({ about: 'request', message: /exhausted/ });
    expect(await left()).toEqual([1, []]);
  });

  it('is not written to where its key is something else', async () => {
    await redis.ask('SET', stream, 'text');
    const error = await thrownBy(open({ stream }).can.commitOnce!(permit({ n: 1 })));
    expect(error).toMatchObject({ code: 'REFUSED', reason: 'WRONGTYPE', about: 'request' });
    expect(await redis.ask('GET', stream)).toBe('text');
  });

  it.each([
    ['may not take entries back', ['+eval', '+get', '+set', '+xadd']],
    ['may not write markers', ['+eval', '+get', '+xdel', '+xadd']],
    ['may not run scripts', ['+get', '+set', '+xdel', '+xadd']],
  ])('is left as it was by a user who %s', async (_, commands) => {
    await redis.ask('ACL', 'SETUSER', 'few', 'reset', 'on', '>few', '~*', ...commands);
    const sink = open({ stream }, { user: 'few', password: 'env:P' }, { 'env:P': 'few' });
    const error = await thrownBy(sink.can.commitOnce!(permit({ n: 1 }, { n: 2 })));
    expect(error).toMatchObject({ code: 'REFUSED', about: 'request', message: /user|permissions/i });
    expect(await left()).toEqual([0, []]);
  });

  it('is written to later when the server is out of memory', async () => {
    const sink = open({ stream });
    await redis.ask('CONFIG', 'SET', 'maxmemory', '1');
    const error = await thrownBy(sink.can.commitOnce!(permit({ n: 1 })));
    await redis.ask('CONFIG', 'SET', 'maxmemory', '0');
    expect(error).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true, ids: { code: 'OOM' } });
    expect(await left()).toEqual([0, []]);
  });

  it('takes a large batch with fields, and a marker that expires where that is asked for', async () => {
    const sink = open({ stream, value: 'fields', markerDays: 2 });
    const records = Array.from({ length: 1000 }, (_, n) => ({ n, text: `text ${n}`, none: null }));
    const verdict = await sink.can.commitOnce!(permit(...records));
    expect(verdict).toMatchObject({ receipt: { summary: '1000 entries and their marker in one step' } });
    const entries = await redis.entries(stream);
    expect(entries).toEqual(records.map(({ n, text }) => ({ n: `${n}`, text })));
    const [marker] = await redis.ask<string[]>('KEYS', `waybill:{${stream}}:*`);
    expect(await redis.ask<number>('TTL', marker!)).toBeGreaterThan(2 * 86_400 - 100);
    expect(sink.facts.assumes!.join(' ')).toMatch(/within 2 days/);
  });

  it('refuses a record with more fields than one entry takes, before anything is sent', async () => {
    const wide = Object.fromEntries(Array.from({ length: 2001 }, (_, n) => [`f${n}`, n]));
    const error = await thrownBy(open({ stream, value: 'fields' }).can.commitOnce!(permit({ n: 1 }, wide)));
    expect(error).toMatchObject({ code: 'REFUSED', reason: 'too-many-fields', message: /record 2/, about: 'content' });
    expect([
      ...(
        (await open({ stream, value: 'fields' }).can.commitOnce!(permit(withoutOne(wide)))) as { outcomes: Uint8Array }
      ).outcomes,
    ]).toEqual([OUTCOME.applied]);
  });
});

const withoutOne = ({ f0: _, ...rest }: Record<string, number>): object => rest;
