import { jetstreamManager } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { fitsSubject } from '../src/connectors/nats/subjects.ts';
import { ALL } from '../src/model/window.ts';
import { openCutProxy } from '../src/testing/faults/cut-proxy.ts';
import { sourceSuite } from '../src/testing/suites/source-suite.ts';
import { register } from '../src/testing/suites/suite.ts';
import { TestNats } from './nats.ts';
import { looked, pulled } from './pulling.ts';
import { missingProgram } from './server.ts';

vi.setConfig({ testTimeout: 120_000 });

const missing = missingProgram('nats-server');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let nats: TestNats;
beforeAll(async () => {
  if (missing === undefined) nats = await TestNats.start();
});
afterAll(() => nats?.stop());

const range = { window: ALL, parameters: {} };
const ids = (records: readonly Record<string, unknown>[]) => records.map(({ id }) => id);
const record = (id: number, bytes = 0) => ({ id, text: 'x'.repeat(bytes) });
const manager = () => jetstreamManager(nats.connection);

/** Publishes objects, or bytes as they are, and returns when the stream has them. */
async function publish(subject: string, messages: readonly (object | Uint8Array)[]): Promise<void> {
  for (const one of messages) {
    nats.connection.publish(subject, one instanceof Uint8Array ? one : JSON.stringify(one));
  }
  await nats.connection.flush();
}

async function streamOf(count: number, options: Record<string, unknown> = {}, bytes = 0): Promise<string> {
  const stream = nats.name();
  await nats.stream(stream, { subjects: [stream, `${stream}.>`], ...options });
  await publish(
    stream,
    Array.from({ length: count }, (_, at) => record(at + 1, bytes)),
  );
  return stream;
}

register(
  { describe, it },
  sourceSuite({
    name: 'F06: a stream of NATS',
    abilities: ['resume', 'remaining', 'reread', 'pull'],
    open: async () => {
      const stream = await streamOf(300, {}, 5000);
      const expected = Array.from({ length: 300 }, (_, at) => record(at + 1, 5000)).filter(({ id }) => id % 7 !== 0);
      for (let seq = 7; seq <= 300; seq += 7) await (await manager()).streams.deleteMessage(stream, seq);
      const another = () => nats.source({ stream });
      const unreadable = ['', 'x', '{"seq":-1}', '{"stream":"elsewhere","seq":1}'];
      const pull = {
        unreadable: unreadable.map((value) => ({ sourceName: stream, kind: 'waybill/seq', value })),
        grow: async () => {
          const rows = [record(301), record(302)];
          await publish(stream, rows);
          return rows;
        },
      };
      return { source: another(), another, range, expected, pull };
    },
  }),
);

describe('a pull from a stream of NATS', () => {
  it('F06: goes on after the sequence that was recorded, and brings what was there when it began', async () => {
    const stream = await streamOf(3);
    const source = nats.source({ stream });
    expect(await looked(source)).toEqual({ kind: 'new', estimate: { records: 3 } });
    const first = await pulled(source);
    expect([ids(first.records), JSON.parse(first.end!.value).seq]).toEqual([[1, 2, 3], 3]);
    expect(first.end).toMatchObject({ sourceName: stream, kind: 'waybill/seq' });
    expect(await looked(source, first.end)).toMatchObject({ kind: 'unchanged' });
    expect(await pulled(source, first.end)).toMatchObject({ records: [], end: undefined });
    await publish(stream, [record(4), record(5)]);
    expect(await looked(source, first.end)).toEqual({ kind: 'new', estimate: { records: 2 } });
    const second = await pulled(nats.source({ stream }), first.end);
    expect([ids(second.records), JSON.parse(second.end!.value).seq]).toEqual([[4, 5], 5]);
    await source.close!();
  });

  it('leaves out what arrives while it reads, and the next one brings it', async () => {
    const stream = await streamOf(2000, {}, 1000);
    const source = nats.source({ stream });
    const seen: number[] = [];
    let end: string | undefined;
    for await (const chunk of source.read(range, new AbortController().signal)) {
      if (seen.length === 0) await publish(stream, [record(2001), record(2002)]);
      seen.push(chunk.count);
      end = chunk.end!.value;
    }
    expect([seen.reduce((sum, count) => sum + count, 0), JSON.parse(end!).seq]).toEqual([2000, 2000]);
    const next = await pulled(source, { sourceName: stream, kind: 'waybill/seq', value: end! });
    expect(ids(next.records)).toEqual([2001, 2002]);
    await source.close!();
  });

  it('F07: moves on where nothing fits its subjects', async () => {
    const stream = await streamOf(2);
    const source = nats.source({ stream, subjects: [`${stream}.wanted`] });
    const first = await pulled(source);
    expect([first.records, JSON.parse(first.end!.value).seq]).toEqual([[], 2]);
    await publish(`${stream}.wanted`, [record(3)]);
    await publish(`${stream}.other`, [record(4)]);
    const both = nats.source({ stream, subjects: [`${stream}.wanted`, `${stream}.*.none`] });
    for (const one of [source, both]) {
      const second = await pulled(one, first.end);
      expect([ids(second.records), JSON.parse(second.end!.value).seq]).toEqual([[3], 4]);
      await one.close!();
    }
  });

  it('brings what lies on both sides of a gap, and passes one at the end', async () => {
    const stream = await streamOf(6);
    for (const seq of [2, 3, 6]) await (await manager()).streams.deleteMessage(stream, seq);
    const source = nats.source({ stream });
    const all = await pulled(source);
    expect([ids(all.records), JSON.parse(all.end!.value).seq]).toEqual([[1, 4, 5], 6]);
    await source.close!();
  });

  it('stops where messages behind its position were removed, names them, and says how to go on', async () => {
    const stream = await streamOf(3);
    const source = nats.source({ stream });
    const { end } = await pulled(source);
    await publish(stream, [record(4), record(5), record(6), record(7)]);
    await (await manager()).streams.purge(stream, { seq: 6 });
    const trimmed = { code: 'SOURCE_TRIMMED', ids: { stream, sequence: 3, lost: '4-5' } };
    await expect(looked(source, end)).rejects.toMatchObject(trimmed);
    const stopped = await pulled(source, end);
    expect(stopped).toMatchObject({ records: [], end: undefined, error: trimmed });
    const { message, hint } = stopped.error as { message: string; hint: string };
    expect(message).toContain('messages 4 to 5');
    const value = /waybill state FLOW set --value '([^']+)'/.exec(hint)![1]!;
    const onwards = await pulled(source, { ...end!, value });
    expect(ids(onwards.records)).toEqual([6, 7]);
    // What was removed up to the position was read, so nothing is lost.
    await (await manager()).streams.purge(stream);
    expect(await looked(source, onwards.end)).toMatchObject({ kind: 'unchanged' });
    await publish(stream, [record(8)]);
    expect(ids((await pulled(source, onwards.end)).records)).toEqual([8]);
    await source.close!();
  });

  it('stops where the beginning of the stream is removed up to it while it reads', async () => {
    const stream = await streamOf(9000, {}, 2000);
    const source = nats.source({ stream });
    const from = { sourceName: stream, kind: 'waybill/seq', value: '0' };
    let read = 0;
    const reading = async () => {
      for await (const chunk of source.read({ ...range, from }, new AbortController().signal)) {
        if (read === 0) await (await manager()).streams.purge(stream, { seq: 8000 });
        read += chunk.count;
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_TRIMMED' });
    expect(read).toBeLessThan(8000);
    await source.close!();
  });

  it('notices a stream that was deleted, and another one under its name', async () => {
    const stream = await streamOf(3);
    const source = nats.source({ stream });
    const { end } = await pulled(source);
    await (await manager()).streams.delete(stream);
    await expect(looked(source, end)).rejects.toMatchObject({ code: 'SOURCE_REPLACED' });
    await expect(looked(source)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    await nats.stream(stream);
    await publish(
      stream,
      [1, 2, 3, 4, 5].map((id) => record(id)),
    );
    await expect(looked(source, end)).rejects.toMatchObject({ code: 'SOURCE_REPLACED' });
    expect(await pulled(source, end)).toMatchObject({ records: [], error: { code: 'SOURCE_REPLACED' } });
    // A number that a person has set knows of no stream, unless it lies behind the end.
    const set = (value: string) => ({ sourceName: stream, kind: 'waybill/seq', value });
    expect(ids((await pulled(source, set('4'))).records)).toEqual([5]);
    await expect(looked(source, set('9'))).rejects.toMatchObject({ code: 'SOURCE_REPLACED' });
    await source.close!();
  });

  it('F08: refuses positions that say nothing about its stream', async () => {
    const { pulls } = nats.source({ stream: 'A' });
    const refused = (kind: string, value: string) => pulls!.refuses({ sourceName: 'A', kind, value });
    expect(refused('odf/etag', '"x"')).toMatch(/odf\/etag/);
    expect(refused('waybill/seq', '{"stream":"B","seq":1}')).toMatch(/another stream/);
    for (const bad of ['', 'x', '-1', '{}', '{"seq":-1}', '{"seq":1.5}', 'null', '[1]', '99999999999999999999']) {
      expect(refused('waybill/seq', bad), bad).toBeTypeOf('string');
    }
    for (const good of ['0', ' 12', '{"seq":3}', '{"stream":"A","seq":3,"created":"t"}']) {
      expect(refused('waybill/seq', good), good).toBeUndefined();
    }
  });

  it('shows subject, sequence, time and headers as columns, and lists what is no object', async () => {
    const stream = await streamOf(0);
    const marked = headers();
    marked.set('Trace-Id', 't1');
    const started = Date.now();
    nats.connection.publish(`${stream}.a`, '{ "id": 1,\n "nested": {} }', { headers: marked });
    const bodies = ['{}', '', '[1]', '{"id":3', '{"id":4,"about":"own"}', '{"id":5}}'];
    await publish(
      `${stream}.b`,
      bodies.map((text) => Buffer.from(text)),
    );
    await publish(stream, [Buffer.from([0xff, 0xfe, 0x7b, 0x7d]), { id: 9, big: 1 }]);
    const columns = { about: 'subject', n: 'sequence', at: 'time', trace: 'header:trace-id' };
    const source = nats.source({ stream, columns });
    const { records, rejects, end } = await pulled(source);
    expect(records[0]).toMatchObject({ id: 1, nested: {}, about: `${stream}.a`, n: 1, trace: 't1' });
    const at = String(records[0]!.at);
    expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    expect(Math.abs(Date.parse(at) - started)).toBeLessThan(60_000);
    expect(records[1]).toMatchObject({ about: `${stream}.b`, n: 2, trace: null });
    expect(records[2]).toMatchObject({ id: 9, n: 9 });
    expect(records).toHaveLength(3);
    expect(rejects.map((message) => message.split(':')[0])).toEqual(
      [3, 4, 5, 6, 7, 8].map((sequence) => `message ${sequence} of ${stream}`),
    );
    expect(rejects[3]).toContain('"about"');
    expect(JSON.parse(end!.value).seq).toBe(9);
    await source.close!();
  });

  it('reads texts and bytes into a field', async () => {
    const stream = await streamOf(0);
    await publish(stream, [Buffer.from('plain "text"\n'), Buffer.from([0xff, 0x00])]);
    const [text, bytes] = [
      { stream, data: 'text', columns: { n: 'sequence' } },
      { stream, data: 'base64', field: 'b' },
    ];
    const texts = await pulled(nats.source(text));
    expect(texts.records).toEqual([{ data: 'plain "text"\n', n: 1 }]);
    expect(texts.rejects).toEqual([`message 2 of ${stream}: the data is not UTF-8 text`]);
    const { records } = await pulled(nats.source(bytes));
    expect(records).toEqual([{ b: Buffer.from('plain "text"\n').toString('base64') }, { b: '/wA=' }]);
  });

  it('reads messages of a megabyte without more on its way than the server allows', async () => {
    const stream = await streamOf(0);
    const large = Buffer.alloc(1_000_000, 'x').toString();
    for (let at = 0; at < 120; at++) await publish(stream, [{ id: at, large }]);
    const source = nats.source({ stream });
    let count = 0;
    for await (const chunk of source.read(range, new AbortController().signal)) {
      // A slow reader: what is not asked for does not come.
      await new Promise((resolve) => setImmediate(resolve));
      count += chunk.count;
    }
    expect(count).toBe(120);
    await source.close!();
  });

  it('does not read a stream that forgets what was taken', async () => {
    const stream = nats.name();
    await nats.stream(stream, { retention: 'workqueue' });
    await expect(looked(nats.source({ stream }))).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
  });

  it('leaves no consumer behind, whether it was read to the end or left', async () => {
    const stream = await streamOf(3000, {}, 1000);
    const source = nats.source({ stream });
    await pulled(source);
    for await (const _ of source.read(range, new AbortController().signal)) break;
    expect((await (await manager()).streams.info(stream)).state.consumer_count).toBe(0);
    await source.close!();
  });

  it('fails when the connection breaks or falls silent, and what was committed before stands', async () => {
    const stream = await streamOf(8000, {}, 2000);
    const proxy = await openCutProxy({ target: nats.server });
    for (const act of ['close', 'hold'] as const) {
      const when = { holds: 'MSG.NEXT', every: 1, first: 2 };
      proxy.set([{ when, side: 'answer', at: { after: '"id":3000,' }, act, times: 1 }]);
      const source = nats.source({ stream, requestTimeoutSeconds: 2 }, { servers: [`127.0.0.1:${proxy.port}`] });
      const cut = await pulled(source);
      expect(cut.error).toMatchObject({ code: 'SOURCE_FAILED' });
      expect(cut.records.length).toBeGreaterThan(0);
      await source.close!();
      const rest = await pulled(nats.source({ stream }), cut.end);
      expect(ids([...cut.records, ...rest.records])).toEqual(Array.from({ length: 8000 }, (_, at) => at + 1));
    }
    await proxy.close();
  });
});

describe('filters of subjects', () => {
  it('fit as the server says', () => {
    const fit: readonly (readonly [string, string, boolean])[] = [
      ['a', 'a', true],
      ['a.b', 'a.*', true],
      ['a.b.c', 'a.*', false],
      ['a.b.c', 'a.>', true],
      ['a', 'a.>', false],
      ['a', '>', true],
      ['a.b', '*.c', false],
    ];
    for (const [subject, filter, expected] of fit) expect(fitsSubject(subject, [filter]), filter).toBe(expected);
  });
});
