import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openWaybill } from '../src/app/open.ts';
import type { PullOutcome, Waybill } from '../src/app/waybill.ts';
import { memoryStore } from '../src/connectors/memory/store.ts';

/** One flow that pulls from a table in memory, and what stands in its way. */
let folder = '';
let store = '';
let nth = 0;
let open: Waybill | undefined;
const notices: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-pulls-'));
  store = `pulls-${nth++}`;
  notices.length = 0;
});
afterEach(async () => {
  await open?.close();
  open = undefined;
  rmSync(folder, { recursive: true });
});

const flowFile = (more: string, source = '', onReject = 'skip') => `
version: 1
connections:
  memory: { type: memory, store: ${store} }
  second: { type: memory, store: ${store} }
flows:
  rates:
    source: { connection: memory, table: in, chunkRecords: 3, onReject: ${onReject}, key: [id]${source} }
    sink: { connection: memory, table: out, strategy: ledgered-append }
    window: pull
${more}
`;

async function waybill(more = '', ...source: string[]): Promise<Waybill> {
  await open?.close();
  writeFileSync(join(folder, 'waybill.yaml'), flowFile(more, ...source));
  open = await openWaybill({ cwd: folder, env: {} });
  return open;
}

const fill = (...rows: object[]): void => memoryStore(store).fill('in', rows);
const out = () => memoryStore(store).table('out').records;
const never = new AbortController().signal;
const pull = async (w: Waybill, more: { force?: boolean } = {}): Promise<PullOutcome> =>
  await w.pull('rates', {
    signals: { stop: never, abort: never },
    notice: ({ kind }) => notices.push(kind),
    ...more,
  });
const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => ({ id: from + at }));

describe('a flow that pulls', () => {
  it('F06: goes on after the position that was recorded, each time as a run of its own', async () => {
    const w = await waybill();
    fill(...rows(0, 4));
    expect((await pull(w)).runs.map(({ run }) => [run.window.name, run.state])).toEqual([['pull-000001', 'complete']]);
    fill(...rows(0, 9));
    expect((await pull(w)).runs.map(({ run }) => run.window.name)).toEqual(['pull-000002']);
    expect(out().map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    const [position] = await w.positions('rates');
    expect(position?.position).toEqual({ sourceName: 'memory', kind: 'waybill/count', value: '9' });
  });

  it('F07: opens nothing and writes nothing but that somebody looked, where nothing is new', async () => {
    const w = await waybill();
    fill(...rows(0, 2));
    await pull(w);
    const events = async () => (await (await w.reader()).events({})).length;
    const before = await events();
    expect(await pull(w)).toEqual({ runs: [], look: { kind: 'unchanged', why: 'there are 2 records, as before' } });
    expect(await events()).toBe(before);
    expect(await (await w.reader()).runs({ flow: 'rates' })).toHaveLength(1);
    expect(await (await w.reader()).looks('rates')).toMatchObject([{ kind: 'unchanged', inVain: 1 }]);
  });

  it('F08: reads everything, and says so, where it cannot make anything of the state', async () => {
    const w = await waybill();
    fill(...rows(0, 2));
    await w.setPosition('rates', 'memory', { sourceName: 'memory', kind: 'someone/else', value: '\u0000nonsense' });
    expect((await pull(w)).runs).toHaveLength(1);
    expect(notices).toContain('position-ignored');
    expect(out()).toHaveLength(2);
  });

  it('F09: keeps the states of two sources of one flow apart', async () => {
    let w = await waybill();
    fill(...rows(0, 3));
    await pull(w);
    w = await waybill('', ', name: other');
    await pull(w);
    fill(...rows(0, 4));
    w = await waybill();
    await pull(w);
    const stand = (await w.positions('rates')).map(({ position }) => `${position.sourceName} ${position.value}`);
    expect(stand).toEqual(['memory 4', 'other 3']);
    expect(out().map(({ id }) => id)).toEqual([0, 1, 2, 0, 1, 2, 3]);
  });

  it('F02: gives back a state of any kind and any value as it was set', async () => {
    let w = await waybill();
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 });
    const states = [...fc.sample(fc.record({ kind: text, value: text }), { numRuns: 40, seed: 1 })];
    states.push({ kind: 'acme/tick', value: '{"at": 1, "at": 01}' }, { kind: ' Odf/ETag ', value: '"\u0000' });
    for (const [nth, state] of states.entries())
      await w.setPosition('rates', `s${nth}`, { ...state, sourceName: `s${nth}` });
    // Read by another process, from what is on the disk.
    w = await waybill();
    const stored = new Map((await w.positions('rates')).map(({ position }) => [position.sourceName, position]));
    for (const [nth, state] of states.entries())
      expect(stored.get(`s${nth}`)).toEqual({ ...state, sourceName: `s${nth}` });
  });

  it('F12: the last state of a source counts, and what is committed for another leaves it as it is', async () => {
    let w = await waybill();
    for (const count of [1, 2, 3]) {
      fill(...rows(0, count));
      await pull(w);
    }
    w = await waybill('', ', name: other');
    for (const count of [4, 5]) {
      fill(...rows(0, count));
      await pull(w);
    }
    expect((await w.positions('rates')).map(({ position }) => `${position.sourceName} ${position.value}`)).toEqual([
      'memory 3',
      'other 5',
    ]);
    // Nothing is new for a while, and nothing is written; then it goes on where it stood before all that.
    w = await waybill();
    await pull(w);
    expect(out().map(({ id }) => id)).toEqual([0, 1, 2, 0, 1, 2, 3, 4, 3, 4]);
  });

  it('F10: keeps the state of the source beside what the engine knows of its runs', async () => {
    const w = await waybill();
    // A state without any run.
    await w.setPosition('rates', 'memory', { sourceName: 'memory', kind: 'waybill/count', value: '0' });
    expect(await (await w.reader()).runs({})).toEqual([]);
    expect((await w.positions('rates')).map(({ position }) => position.value)).toEqual(['0']);
    fill(...rows(0, 2));
    await pull(w);
    // And what a run knows of its reading, without a state.
    await w.setPosition('rates', 'memory', null);
    expect(await w.positions('rates')).toEqual([]);
    expect(
      (await (await w.reader()).generations((await (await w.reader()).runs({}))[0]!.id))[0]?.position,
    ).toBeDefined();
    await pull(w);
    expect(out()).toHaveLength(4);
  });

  it('F11: goes on in a ledger whose runs were written before there were pulls', async () => {
    const signals = { stop: never, abort: never };
    writeFileSync(join(folder, 'waybill.yaml'), flowFile('').replace('window: pull', 'window: all'));
    open = await openWaybill({ cwd: folder, env: {} });
    fill(...rows(0, 2));
    await open.run('rates', undefined, { signals });
    const w = await waybill();
    fill(...rows(0, 3));
    // What was read by windows left a position under the name that the connector gave it, which is another's here.
    expect((await pull(w)).runs.map(({ run }) => run.window.name)).toEqual(['pull-000001']);
    expect((await (await w.reader()).runs({ flow: 'rates' })).map(({ window }) => window.name)).toEqual([
      'all',
      'pull-000001',
    ]);
    expect((await pull(w)).look?.kind).toBe('unchanged');
  });

  it('finds a source that cannot tell what is new before anything runs', async () => {
    const w = await waybill('', ', resumable: false');
    fill(...rows(0, 2));
    expect((await w.check()).map(({ code }) => code)).toEqual(['PULL_IMPOSSIBLE']);
    await expect(pull(w)).rejects.toMatchObject({ code: 'PULL_IMPOSSIBLE' });
    expect(out()).toEqual([]);
  });

  it('lists a record that cannot be read, and takes in the others', async () => {
    const w = await waybill();
    fill({ id: 1 }, { id: 2 });
    await pull(w);
    const broken = { id: 3, bad: Number.NaN };
    fill({ id: 1 }, { id: 2 }, broken, { id: 4 });
    const outcome = await pull(w);
    expect(outcome.runs[0]?.run.state).toBe('complete-with-refusals');
    expect(out().map(({ id }) => id)).toEqual([1, 2, 4]);
  });

  it('F14: counts offsets over all pulls, without gap or repeat', async () => {
    const w = await waybill();
    for (const count of [2, 2, 7, 8]) {
      fill(...rows(0, count));
      await pull(w);
    }
    const slices = await (await w.reader()).slices({ flow: 'rates' });
    expect(slices.map(({ offset, records }) => [offset, records])).toEqual([
      [0, 2],
      [2, 5],
      [7, 1],
    ]);
  });

  it('refuses to read a pull again, and says what to do instead', async () => {
    const w = await waybill();
    fill(...rows(0, 2));
    await pull(w);
    const signals = { stop: never, abort: never };
    await expect(w.run('rates', 'pull-000001', { signals, refresh: true })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(w.run('rates', 'pull-000099', { signals })).rejects.toMatchObject({ code: 'WINDOW_INVALID' });
    await expect(w.run('rates', '2026-11-19', { signals })).rejects.toMatchObject({ code: 'WINDOW_INVALID' });
    expect((await w.run('rates', '1', { signals })).nothingToDo).toBe(true);
  });

  it('plans what is new, and nothing where nothing is', async () => {
    const w = await waybill();
    fill(...rows(0, 2));
    expect((await w.plan('rates', undefined)).lanes[0]?.fresh.records).toBe(2);
    await pull(w);
    const plan = await w.plan('rates', undefined);
    expect(plan.reading).toEqual({ reads: false, why: 'there are 2 records, as before' });
    fill(...rows(0, 5));
    expect((await w.plan('rates', undefined)).lanes[0]?.fresh.records).toBe(3);
  });
});

describe('history', () => {
  const history = (merge: string, more = '') => `    history: { merge: ${merge}${more} }`;
  const told = () =>
    out().map(({ offset, op, id, v, event_time, system_time, ...rest }) => {
      expect(Date.parse(String(system_time))).toBeGreaterThan(0);
      return `${offset} ${op} ${id}${v === undefined ? '' : `=${v}`}${Object.keys(rest).join()}`;
    });
  /** Each pull brings these rows, as if they were all that the source then had to say. */
  const bring = async (w: Waybill, ...news: object[]): Promise<PullOutcome> => {
    const had = memoryStore(store).rows('in') ?? [];
    memoryStore(store).fill('in', [...had, ...news]);
    return await pull(w);
  };

  it('F18: append takes every row as new', async () => {
    const w = await waybill(history('append'));
    await bring(w, { id: 1, v: 'a' });
    await bring(w, { id: 1, v: 'a' }, { id: 2, v: 'b' });
    expect(told()).toEqual(['0 0 1=a', '1 0 1=a', '2 0 2=b']);
  });

  it('F18: ledger takes a row whose key is new, and lists one that contradicts the history', async () => {
    const w = await waybill(history('ledger'));
    await bring(w, { id: 1, v: 'a' }, { id: 2, v: 'b' });
    const again = await bring(w, { id: 2, v: 'b' }, { id: 3, v: 'c' }, { id: 3, v: 'c' }, { id: 1, v: 'other' });
    expect(told()).toEqual(['0 0 1=a', '1 0 2=b', '2 0 3=c']);
    expect(again.runs[0]?.run.state).toBe('complete-with-refusals');
    const { records } = await (await w.reader()).records({ states: ['refused'] });
    expect(records).toMatchObject([{ code: 'LEDGER_ROW_CHANGED' }]);
    // Nothing new: only the state moves.
    await bring(w, { id: 3, v: 'c' });
    const last = await (await w.reader()).lastSlice('rates');
    expect(last).toMatchObject({ offset: 3, records: 0, position: { value: '7' } });
  });

  it('F18: what history stops at can be passed over by setting the position', async () => {
    const w = await waybill(history('ledger'), '', 'stop');
    fill({ id: 1, v: 'a' }, { id: 2, v: 'b' }, { id: 2, v: 'B' }, { id: 3, v: 'c' });
    const stopped = { code: 'RECORD_INVALID', ids: { source: 'memory', reason: 'LEDGER_ROW_CHANGED' } };
    await expect(pull(w)).rejects.toMatchObject(stopped);
    expect(told()).toEqual([]);
    await w.setPosition('rates', 'memory', { sourceName: 'memory', kind: 'waybill/count', value: '3' });
    await pull(w);
    expect(told()).toEqual(['0 0 3=c']);
  });

  it('F18: snapshot tells what changed between what there was and what there is', async () => {
    const w = await waybill(history('snapshot', ', ignore: [seen]'));
    const whole = async (...all: object[]): Promise<PullOutcome> => {
      fill(...all);
      await w.setPosition('rates', 'memory', null);
      return await pull(w);
    };
    await whole({ id: 1, v: 'a' }, { id: 2, v: 'b' }, { id: 3, v: 'c' });
    await whole({ id: 3, v: 'C' }, { id: 1, v: 'a' }, { id: 4, v: 'd' });
    expect(told()).toEqual(['0 0 1=a', '1 0 2=b', '2 0 3=c', '3 2 3=c', '4 3 3=C', '5 0 4=d', '6 1 2=b']);
    await whole({ id: 4, v: 'd', seen: 'today' }, { id: 3, v: 'C' }, { id: 1, v: 'a' });
    expect(told()).toHaveLength(7);
    // A key that comes twice: nobody can say which of the two there is.
    const twice = await whole({ id: 4, v: 'd' }, { id: 3, v: 'C' }, { id: 1, v: 'a' }, { id: 1, v: 'z' });
    expect(twice.runs[0]?.run.state).toBe('complete-with-refusals');
    expect(told()).toHaveLength(7);
  });

  it('F18: an empty snapshot is refused unless it is allowed', async () => {
    let w = await waybill(history('snapshot'));
    await bring(w, { id: 1, v: 'a' });
    fill();
    await w.setPosition('rates', 'memory', { sourceName: 'memory', kind: 'waybill/count', value: '5' });
    // The source has nothing, and had something else before: the look calls that unchanged, so it is forced to read.
    expect((await pull(w)).look?.kind).toBe('unchanged');
    expect(told()).toEqual(['0 0 1=a']);
    w = await waybill(history('snapshot', ', allowEmpty: true'));
    await bring(w);
    expect(told()).toEqual(['0 0 1=a']);
  });

  it('F18: changelog-stream passes on what rows say of themselves', async () => {
    const w = await waybill(history('changelog-stream'));
    await bring(w, { op: '+A', id: 1, v: 'a' }, { op: '-C', id: 1, v: 'a' }, { op: '+C', id: 1, v: 'b' });
    const wrong = await bring(w, { op: 'what', id: 1 }, { op: 1, id: 1, v: 'b' });
    expect(told()).toEqual(['0 0 1=a', '1 2 1=a', '2 3 1=b', '3 1 1=b']);
    expect(wrong.runs[0]?.run.state).toBe('complete-with-refusals');
  });

  it('F18: upsert-stream keeps the last of a key, and takes back what was there', async () => {
    const w = await waybill(history('upsert-stream'));
    await bring(w, { id: 1, v: 'a' }, { id: 2, v: 'b' }, { id: 1, v: 'A' });
    await bring(w, { id: 2, v: 'b' }, { op: '-R', id: 1 }, { op: '-R', id: 9 }, { id: 3, v: 'c' });
    await bring(w, { id: 3, v: 'C' }, { id: 1, v: 'again' });
    expect(told()).toEqual(['0 0 2=b', '1 0 1=A', '2 1 1=A', '3 0 3=c', '4 2 3=c', '5 3 3=C', '6 0 1=again']);
  });

  it('F07: commits a state without records, and one that moves nothing but the watermark beside it', async () => {
    const w = await waybill(history('ledger', ', eventTime: at, ignore: [at]'));
    await bring(w, { id: 1, at: '2026-11-02' }, { id: 2 });
    // Known rows: one of a time that has been reached, one without a time, and one that holds as of a later one.
    await bring(w, { id: 1, at: '2026-11-01' }, { id: 2 });
    await bring(w, { id: 1, at: '2126-11-03' });
    const slices = await (await w.reader()).slices({ flow: 'rates' });
    expect(slices.map(({ records, late, position }) => [records, late, position.value])).toEqual([
      [2, 0, '2'],
      [0, 0, '4'],
      [0, 0, '5'],
    ]);
    const marks = slices.map(({ watermark }) => watermark!);
    expect(marks[1]).toBe(marks[0]);
    expect(marks[2]).toBe('2126-11-03T00:00:00.000Z');
    expect(out()).toHaveLength(2);
    const { look } = await pull(w);
    expect(look?.kind).toBe('unchanged');
    expect(await (await w.reader()).slices({ flow: 'rates' })).toHaveLength(3);
  });

  it('F15: the watermark never goes back, and what comes late is counted', async () => {
    const w = await waybill(history('append', ', eventTime: at'));
    await bring(w, { id: 1, at: '2026-11-02' }, { id: 2, at: '2026-11-03T04:00:00+02:00' });
    await bring(w, { id: 3, at: '2026-11-01T00:00:00Z' }, { id: 4, at: null });
    const bad = await bring(w, { id: 5, at: 'soon' });
    expect(bad.runs[0]?.run.state).toBe('complete-with-refusals');
    const slices = await (await w.reader()).slices({ flow: 'rates' });
    expect(slices.map(({ watermark, late }) => [watermark?.slice(0, 4), late])[0]).toEqual(['2026', 0]);
    expect(slices[0]?.watermark).toBe('2026-11-03T02:00:00.000Z');
    // One before the watermark; a row without a time counts as of now.
    expect(slices[1]?.late).toBe(1);
    expect(slices[1]!.watermark! >= slices[0]!.watermark!).toBe(true);
  });
});
