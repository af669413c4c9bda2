import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Source } from '../src/connectors/connector.ts';
import { ALL } from '../src/model/window.ts';
import { openCutProxy } from '../src/testing/faults/cut-proxy.ts';
import { sourceSuite } from '../src/testing/suites/source-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { looked, pulled } from './pulling.ts';
import { TestRedis } from './redis.ts';
import { missingProgram } from './server.ts';

vi.setConfig({ testTimeout: 120_000 });

const missing = missingProgram('redis-server');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let redis: TestRedis;
beforeAll(async () => {
  if (missing === undefined) redis = await TestRedis.start();
});
afterAll(() => redis?.stop());

const range = { window: ALL, parameters: {} };
const numbers = (records: readonly Record<string, unknown>[]) => records.map(({ n }) => Number(n));
const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);
const add = (stream: string, n: number, ...more: string[]) => redis.ask('XADD', stream, `${n}-0`, 'n', `${n}`, ...more);
const positionAt = (stream: string, value: string) => ({ sourceName: stream, kind: 'waybill/seq', value });

async function streamOf(count: number, bytes = 0): Promise<string> {
  const stream = redis.name();
  for (const n of upTo(count)) await add(stream, n, 'text', 'x'.repeat(bytes));
  return stream;
}

async function using<T>(settings: Record<string, unknown>, act: (source: Source) => Promise<T>): Promise<T> {
  const source = redis.source(settings);
  try {
    return await act(source);
  } finally {
    await source.close!();
  }
}

register(
  { describe, it },
  sourceSuite({
    name: 'F06: a stream of Redis',
    abilities: ['resume', 'remaining', 'reread', 'pull'],
    open: async () => {
      const stream = await streamOf(300, 5000);
      for (let n = 7; n <= 300; n += 7) await redis.ask('XDEL', stream, `${n}-0`);
      const expected = upTo(300)
        .filter((n) => n % 7 !== 0)
        .map((n) => ({ n: `${n}`, text: 'x'.repeat(5000) }));
      const another = () => redis.source({ stream });
      const unreadable = ['', 'x', '{"id":1}', '{"stream":"elsewhere","id":"1-0"}'];
      const pull = {
        unreadable: unreadable.map((value) => positionAt(stream, value)),
        grow: async () => {
          await add(stream, 301);
          await add(stream, 302);
          return [{ n: '301' }, { n: '302' }];
        },
      };
      return { source: another(), another, range, expected, pull };
    },
  }),
);

describe('a pull from a stream of Redis', () => {
  it('F06: goes on after the id that was recorded, and brings what was there when it began', async () => {
    const stream = await streamOf(3);
    await using({ stream }, async (source) => {
      expect(await looked(source)).toEqual({ kind: 'new', estimate: { records: 3 } });
      const first = await pulled(source);
      expect([numbers(first.records), JSON.parse(first.end!.value)]).toEqual([
        [1, 2, 3],
        { stream, id: '3-0', added: 3 },
      ]);
      expect(await looked(source, first.end)).toMatchObject({ kind: 'unchanged' });
      expect(await pulled(source, first.end)).toMatchObject({ records: [], end: undefined });
      await add(stream, 4);
      await add(stream, 5);
      expect(await looked(source, first.end)).toEqual({ kind: 'new', estimate: {} });
      const second = await pulled(source, first.end);
      expect([numbers(second.records), JSON.parse(second.end!.value).id]).toEqual([[4, 5], '5-0']);
      // The id alone, as a person writes it.
      expect(numbers((await pulled(source, positionAt(stream, '4'))).records)).toEqual([5]);
    });
  });

  it('leaves out what arrives while it reads, and the next one brings it', async () => {
    const stream = await streamOf(700, 2000);
    await using({ stream }, async (source) => {
      const seen: number[] = [];
      let end = '';
      for await (const chunk of source.read(range, new AbortController().signal)) {
        if (seen.length === 0) await add(stream, 701);
        seen.push(chunk.count);
        end = chunk.end!.value;
      }
      expect(seen.reduce((sum, count) => sum + count, 0)).toBe(700);
      expect(numbers((await pulled(source, positionAt(stream, end))).records)).toEqual([701]);
    });
  });

  it('F07: moves on where the newest entries were deleted', async () => {
    const stream = await streamOf(2);
    await using({ stream }, async (source) => {
      const { end } = await pulled(source);
      await add(stream, 3);
      await redis.ask('XDEL', stream, '3-0');
      const next = await pulled(source, end);
      expect([next.records, JSON.parse(next.end!.value)]).toEqual([[], { stream, id: '3-0', added: 3 }]);
    });
  });

  it('goes on where what was read was trimmed, and where entries before the end were deleted', async () => {
    const stream = await streamOf(6);
    await using({ stream }, async (source) => {
      const { end } = await pulled(source);
      await redis.ask('XTRIM', stream, 'MAXLEN', '0');
      expect(await looked(source, end)).toMatchObject({ kind: 'unchanged' });
      for (const n of [7, 8, 9]) await add(stream, n);
      expect(await looked(source, end)).toEqual({ kind: 'new', estimate: { records: 3 } });
      const second = await pulled(source, end);
      expect(numbers(second.records)).toEqual([7, 8, 9]);
      for (const n of [10, 11, 12]) await add(stream, n);
      await redis.ask('XDEL', stream, '11-0');
      expect(numbers((await pulled(source, second.end)).records)).toEqual([10, 12]);
    });
  });

  it('stops where entries behind its position were trimmed, names them, and says how to go on', async () => {
    const stream = await streamOf(3);
    await using({ stream }, async (source) => {
      const { end } = await pulled(source);
      for (const n of [4, 5, 6, 7]) await add(stream, n);
      await redis.ask('XTRIM', stream, 'MINID', '6');
      const trimmed = { code: 'SOURCE_TRIMMED', ids: { stream, id: '3-0', lost: 2 } };
      await expect(looked(source, end)).rejects.toMatchObject(trimmed);
      const stopped = await pulled(source, end);
      expect(stopped).toMatchObject({ records: [], end: undefined, error: trimmed });
      const { message, hint } = stopped.error as { message: string; hint: string };
      expect(message).toContain('2 entries');
      expect(message).toContain('behind 3-0 and before 6-0');
      const value = /waybill state FLOW set --value '([^']+)'/.exec(hint)![1]!;
      const onwards = await pulled(source, { ...end!, value });
      expect(numbers(onwards.records)).toEqual([6, 7]);
      await add(stream, 8);
      await redis.ask('XTRIM', stream, 'MAXLEN', '0');
      await expect(looked(source, onwards.end)).rejects.toMatchObject({ code: 'SOURCE_TRIMMED', ids: { lost: 1 } });
    });
  });

  it('stops where the stream is trimmed up to it while it reads', async () => {
    const stream = await streamOf(2000, 2000);
    await using({ stream }, async (source) => {
      let read = 0;
      const reading = async () => {
        for await (const chunk of source.read(range, new AbortController().signal)) {
          if (read === 0) await redis.ask('XTRIM', stream, 'MINID', '1990');
          read += chunk.count;
        }
      };
      await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_TRIMMED' });
      expect(read).toBeLessThan(1990);
    });
  });

  it('says that nobody can tell where a position without a count has nothing left before it', async () => {
    const stream = await streamOf(5);
    await redis.ask('XTRIM', stream, 'MINID', '4');
    await using({ stream }, async (source) => {
      const look = await looked(source, positionAt(stream, '2-0'));
      expect(look.notices).toMatchObject([{ kind: 'trim-unknown' }]);
      expect(numbers((await pulled(source, positionAt(stream, '2-0'))).records)).toEqual([4, 5]);
    });
  });

  it('notices a stream that is gone, and another one under its name', async () => {
    const stream = await streamOf(4);
    await using({ stream }, async (source) => {
      const { end } = await pulled(source);
      await redis.ask('DEL', stream);
      await expect(looked(source, end)).rejects.toMatchObject({ code: 'SOURCE_REPLACED' });
      await expect(looked(source)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
      await add(stream, 2);
      await expect(looked(source, end)).rejects.toMatchObject({ code: 'SOURCE_REPLACED' });
      await add(stream, 9);
      expect(await pulled(source, end)).toMatchObject({ records: [], error: { code: 'SOURCE_REPLACED' } });
    });
    const none = redis.name();
    await using({ stream: none, whenNone: 'empty' }, async (source) => {
      expect(await looked(source)).toMatchObject({ kind: 'unchanged' });
      expect(await pulled(source)).toEqual({ records: [], rejects: [], end: undefined });
    });
  });

  it('F08: refuses positions that say nothing about its stream', () => {
    const { pulls } = redis.source({ stream: 'A' });
    const refused = (kind: string, value: string) => pulls!.refuses({ sourceName: 'A', kind, value });
    expect(refused('odf/etag', '1-0')).toMatch(/odf\/etag/);
    expect(refused('waybill/seq', '{"stream":"B","id":"1-0"}')).toMatch(/another stream/);
    for (const bad of [
      '',
      'x',
      '-1',
      '1-',
      '1-2-3',
      '{}',
      '{"id":1}',
      'null',
      `${2n ** 64n}`,
      '1-99999999999999999999',
    ]) {
      expect(refused('waybill/seq', bad), bad).toBeTypeOf('string');
    }
    for (const good of ['0', ' 12-3', '{"id":"3"}', '{"stream":"A","id":"3-1","added":4}', `${2n ** 64n - 1n}-7`]) {
      expect(refused('waybill/seq', good), good).toBeUndefined();
    }
  });

  it('reads fields as text, as bytes, or as the object in one of them, with ids and times as columns', async () => {
    const stream = redis.name();
    await redis.ask('XADD', stream, '1700000000000-5', 'data', '{"a":1,\n"b":"ä"}', 'x', 'ä"');
    const columns = { entry: 'id', at: 'time' };
    const more = { entry: '1700000000000-5', at: '2023-11-14T22:13:20.000Z' };
    const read = async (settings: object) => (await using({ stream, columns, ...settings }, pulled)).records;
    expect(await read({})).toEqual([{ data: '{"a":1,\n"b":"ä"}', x: 'ä"', ...more }]);
    expect(await read({ value: 'json' })).toEqual([{ a: 1, b: 'ä', ...more }]);
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    expect(await read({ value: 'base64' })).toEqual([{ data: base64('{"a":1,\n"b":"ä"}'), x: base64('ä"'), ...more }]);
  });

  it('lists entries that make no record, by their ids, and goes on', async () => {
    const stream = redis.name();
    await redis.ask('XADD', stream, '1-0', 'a', '1', 'a', '2');
    await redis.ask('XADD', stream, '2-0', 'at', 'x');
    await redis.ask('EVAL', "return redis.call('XADD', KEYS[1], '3-0', 'a', '\\255')", '1', stream);
    await redis.ask('XADD', stream, '4-0', 'a', 'good');
    const { records, rejects, end } = await using({ stream, columns: { at: 'id' } }, pulled);
    expect(records).toEqual([{ a: 'good', at: '4-0' }]);
    expect(rejects.map((message) => message.split(':')[0])).toEqual([1, 2, 3].map((n) => `entry ${n}-0 of ${stream}`));
    expect(JSON.parse(end!.value).id).toBe('4-0');
    const json = await using({ stream, value: 'json', field: 'a' }, pulled);
    expect([json.records.length, json.rejects.length]).toEqual([0, 4]);
  });

  it('reads large entries without asking for more at once than it means to hold', async () => {
    const stream = await streamOf(0);
    for (const n of upTo(150)) await add(stream, n, 'text', 'x'.repeat(500_000));
    await using({ stream }, async (source) => {
      const chunks: number[] = [];
      for await (const chunk of source.read(range, new AbortController().signal)) chunks.push(chunk.bytes.length);
      expect(chunks.length).toBeGreaterThan(50);
      expect(Math.max(...chunks)).toBeLessThan(2_000_000);
    });
  });

  it('is no source of what is no stream, and says where a server cannot be reached', async () => {
    const key = redis.name();
    await redis.ask('SET', key, 'x');
    await expect(using({ stream: key }, looked)).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    const away = redis.source({ stream: key }, { port: 1 });
    await expect(looked(away)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });

  it('fails when the connection breaks or falls silent, and what was committed before stands', async () => {
    const stream = await streamOf(3000, 2000);
    const proxy = await openCutProxy({ target: redis.server });
    for (const act of ['close', 'hold'] as const) {
      const when = { holds: 'XRANGE', every: 1, first: 3 };
      proxy.set([{ when, side: 'answer', at: 100_000, act, times: 1 }]);
      const source = redis.source({ stream, requestTimeoutSeconds: 1 }, { port: proxy.port });
      const cut = await pulled(source);
      expect(cut.error).toMatchObject({ code: 'SOURCE_FAILED' });
      expect(cut.records.length).toBeGreaterThan(0);
      await source.close!();
      const rest = await using({ stream }, (one) => pulled(one, cut.end));
      expect(numbers([...cut.records, ...rest.records])).toEqual(upTo(3000));
    }
    await proxy.close();
  });
});
