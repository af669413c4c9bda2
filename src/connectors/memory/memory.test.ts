import { describe, expect, it } from 'vitest';
import type { Chunk } from '../../model/chunk.ts';
import { RefusedError } from '../../model/errors.ts';
import { tally } from '../../model/verdict.ts';
import { ALL } from '../../model/window.ts';
import { testPayload, testPermit } from '../../testing/permit.ts';
import { readAll, textsOf } from '../../testing/suites/source-reading.ts';
import type { OpenContext, ReadRange } from '../connector.ts';
import { memory } from './config.ts';
import { memorySink } from './sink.ts';
import { memorySource } from './source.ts';
import { memoryStore } from './store.ts';

const range: ReadRange = { window: ALL, parameters: {} };
const rows = Array.from({ length: 25 }, (_, n) => ({ n, text: `ü"${n}\n`, big: 2n ** 63n - BigInt(n), none: null }));

describe('memorySource', () => {
  it('fails where it is told to, and goes on from there the next time', async () => {
    const source = memorySource(rows, { chunkRecords: 10, failAt: (reading) => (reading === 0 ? 13 : undefined) });
    const seen: Chunk[] = [];
    const reading = async () => {
      for await (const chunk of source.read(range, new AbortController().signal)) seen.push(chunk);
    };
    await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    expect(textsOf(seen)).toHaveLength(13);
    const from = seen.at(-1)!.end!;
    expect(textsOf(await readAll(source, { ...range, from }))).toEqual(textsOf(await readAll(source, range)).slice(13));
  });

  it('makes its rows from the window that is read', async () => {
    const source = memorySource(({ window }) => [{ window: window.name }]);
    expect(textsOf(await readAll(source, { ...range, window: { name: '2026-11-19' } }))).toEqual([
      '{"window":"2026-11-19"}',
    ]);
  });

  it('passes texts on as they are, and lists what cannot be encoded', async () => {
    const source = memorySource(['{"a": 1.50}', { b: 2 }]);
    const [chunk] = await readAll(source, range);
    expect(Buffer.from(chunk!.bytes).toString()).toContain('{"a": 1.50}');
    const [broken] = await readAll(memorySource([{ a: 1 }, { a: Number.NaN }]), range);
    expect(broken).toMatchObject({ count: 1, rejects: [{ row: 2, code: 'RECORD_INVALID' }] });
  });
});

describe('memorySink', () => {
  const clock = { ms: 0, wallMs: () => clock.ms, monotonicMs: () => clock.ms };
  const refuse = (text: string) =>
    text.includes('bad') ? { code: '400', message: 'bad', retryable: false } : undefined;

  it('refuses records one by one, or the batch as a whole', async () => {
    const permit = testPermit({ records: [{ a: 'good' }, { a: 'bad' }, { a: 'fine' }] });
    const single = memorySink({ refuse });
    expect(tally(await single.can.append!(permit), 3)).toEqual({ applied: 2, refused: 1, unknown: 0 });
    expect(single.table.records).toEqual([{ a: 'good' }, { a: 'fine' }]);
    const whole = memorySink({ refuse, rejectsAtomically: true });
    await expect(whole.can.append!(permit)).rejects.toBeInstanceOf(RefusedError);
    expect(whole.table.effects).toEqual([]);
    expect(whole.table.calls).toHaveLength(1);
  });

  it('forgets an idempotency key when its horizon has passed', async () => {
    const sink = memorySink({ clock, key: { horizonMs: 1000, storesErrors: false } });
    const permit = testPermit({ records: [{ a: 1 }] });
    await sink.can.appendOnce!(permit);
    clock.ms += 999;
    await sink.can.appendOnce!(permit);
    expect(sink.table.effects).toHaveLength(1);
    clock.ms += 1;
    await sink.can.appendOnce!(permit);
    expect(sink.table.effects).toHaveLength(2);
  });

  it('gives a stored refusal again, if it stores refusals', async () => {
    let bad = true;
    const options = { refuse: (text: string) => (bad ? refuse(text) : undefined), rejectsAtomically: true };
    const storing = memorySink({ ...options, key: { horizonMs: 1000, storesErrors: true } });
    const permit = testPermit({ records: [{ a: 'bad' }] });
    await expect(storing.can.appendOnce!(permit)).rejects.toBeInstanceOf(RefusedError);
    bad = false;
    await expect(storing.can.appendOnce!(permit)).rejects.toBeInstanceOf(RefusedError);
    expect(storing.table.effects).toEqual([]);
  });

  it('does not find what is younger than its visibility lag', async () => {
    const sink = memorySink({ clock, visibilityLagMs: 500 });
    const ask = { records: [{ a: 1 }] };
    await sink.can.append!(testPermit(ask));
    expect((await sink.can.find!(testPermit(ask).batch, testPayload(ask))).records).toEqual(['absent']);
    clock.ms += 500;
    expect((await sink.can.find!(testPermit(ask).batch, testPayload(ask))).records).toEqual(['applied']);
  });

  it('loses an answer after the effect, or a request before it, as it is told', async () => {
    const lost = new Error('the line went dead');
    const before = memorySink({ before: () => Promise.reject(lost) });
    const after = memorySink({ after: () => Promise.reject(lost) });
    const permit = testPermit({ records: [{ a: 1 }] });
    await expect(before.can.append!(permit)).rejects.toBe(lost);
    await expect(after.can.append!(permit)).rejects.toBe(lost);
    expect([before.table.effects.length, after.table.effects.length]).toEqual([0, 1]);
  });
});

describe('the memory connector', () => {
  const context = {} as OpenContext;

  it('reads and fills the tables of a named store', async () => {
    const connection = memory.connection.parse({ store: 'test-store' });
    memoryStore('test-store').fill('in', [{ a: 1 }]);
    const source = memory.source!.open(connection, memory.source!.settings.parse({ table: 'in' }), context);
    expect(textsOf(await readAll(source, range))).toEqual(['{"a":1}']);
    const settings = memory.sink!.settings.parse({ table: 'out', abilities: ['append'], framing: 'array' });
    const sink = memory.sink!.open(connection, settings, { ...context, ports: {} as never });
    expect(Object.keys(sink.can)).toEqual(['append']);
    expect(sink.accepts).toMatchObject([{ head: '[', tail: ']' }]);
  });

  it('wants rows or a table, and says so of a table that nobody has filled', async () => {
    expect(memory.source!.settings.safeParse({}).success).toBe(false);
    expect(memory.source!.settings.safeParse({ rows: [], table: 'x' }).success).toBe(false);
    const settings = memory.source!.settings.parse({ table: 'nobody' });
    const source = memory.source!.open({ store: 'test-store' }, settings, context);
    await expect(readAll(source, range)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });
});
