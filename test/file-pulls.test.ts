import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Look, Source } from '../src/connectors/connector.ts';
import { files } from '../src/connectors/files/config.ts';
import { rows } from '../src/formats/rows.ts';
import type { Chunk } from '../src/model/chunk.ts';
import type { Position } from '../src/model/position.ts';
import { ALL } from '../src/model/window.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { textsOf } from '../src/testing/suites/source-reading.ts';
import { newFolder } from './connectors/place.ts';

/** What a ledger would know of one source, and what each pull has brought. */
let root = '';
let from: Position | undefined;
let taken: Set<string>;
beforeEach(() => {
  root = newFolder('pulls');
  from = undefined;
  taken = new Set();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const signal = new AbortController().signal;
const at = (name: string): string => join(root, name);
const put = (name: string, ...numbers: readonly number[]): void => writeFileSync(at(name), lines(...numbers));
const lines = (...numbers: readonly number[]): string => numbers.map((n) => `{"n":${n}}\n`).join('');
const MINUTE_S = 60;
/** The file was written so long before now. */
const aged = (name: string, seconds: number): void => {
  const when = Date.now() / 1000 - seconds;
  utimesSync(at(name), when, when);
};

type Settings = Readonly<Record<string, unknown>>;
type Wish = { readonly take?: readonly string[]; readonly force?: boolean };

const open = (settings: Settings): Source =>
  files.source!.open(
    { root: '.' },
    files.source!.settings.parse({ settleSeconds: 0, ...settings }),
    openContext({}, root),
  );
const rangeOf = (wish: Wish = {}) => ({
  window: ALL,
  parameters: {},
  ...(from === undefined ? {} : { from }),
  pull: { taken: async () => taken, downloads: at('.downloads'), ...wish },
});
const look = (settings: Settings, wish?: Wish): Promise<Look> => open(settings).pulls!.look(rangeOf(wish), signal);
const noticesOf = (found: Look): readonly string[] => (found.notices ?? []).map(({ kind }) => kind);

/** Looks, reads, and keeps what a ledger would: the commits that were made before an error stand. */
async function pull(settings: Settings, wish: Wish = {}): Promise<readonly string[]> {
  const source = open(settings);
  const commits: string[] = [];
  if (wish.take === undefined) await source.pulls!.look(rangeOf(wish), signal);
  let records: string[] = [];
  for await (const chunk of source.read(rangeOf(wish), signal)) {
    records.push(...textsOf([chunk]).map((text) => String(JSON.parse(text).n)));
    if (chunk.end === undefined) continue;
    from = chunk.end;
    if (chunk.closes !== undefined) taken.add(chunk.closes);
    commits.push(`${chunk.closes?.replace(/@.*/s, '') ?? ''}:${records.join()}`);
    records = [];
  }
  expect(records, 'records behind the last position').toEqual([]);
  return commits;
}

/** As `pull`, for those who look into what came. */
async function chunksOf(settings: Settings): Promise<readonly Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const chunk of open(settings).read(rangeOf(), signal)) chunks.push(chunk);
  from = chunks.at(-1)?.end ?? from;
  return chunks;
}
const numbers = (chunks: readonly Chunk[]): string[] =>
  chunks.flatMap((chunk) => [...rows(chunk)]).map((row) => String(row.n));
const rejectsOf = (chunks: readonly Chunk[]) => chunks.flatMap(({ rejects = [] }) => rejects);

const GLOB = { path: 'in/**/*.ndjson' };

describe('files by their names', () => {
  beforeEach(() => mkdirSync(at('in/b'), { recursive: true }));

  it('F05: are each one commit, and go on after the last one by its whole path', async () => {
    put('in/c.ndjson', 3, 4);
    put('in/a.ndjson', 1);
    put('in/b/z.ndjson', 2);
    expect(await pull(GLOB)).toEqual(['in/a.ndjson:1', 'in/b/z.ndjson:2', 'in/c.ndjson:3,4']);
    expect(from).toEqual({ sourceName: GLOB.path, kind: 'waybill/file-name', value: 'in/c.ndjson' });
    // Its last part comes before that of the one taken last; its path does not.
    mkdirSync(at('in/d'));
    put('in/d/a.ndjson', 5);
    writeFileSync(at('in/e.ndjson'), '');
    expect(await pull(GLOB)).toEqual(['in/d/a.ndjson:5', 'in/e.ndjson:']);
    expect(await pull(GLOB)).toEqual([]);
    expect(await look(GLOB)).toMatchObject({ kind: 'unchanged' });
  });

  it('F05: come in the order of the bytes of their names', async () => {
    const names = ['Z', 'a', 'é', '\uffee', '\u{1f600}'].map((name) => `in/${name}.ndjson`);
    for (const [nth, name] of [...names.entries()].reverse()) put(name, nth);
    expect(await pull(GLOB)).toEqual(names.map((name, nth) => `${name}:${nth}`));
  });

  it('F05: go on where another tool has kept the name of the last file as an ETag', async () => {
    const path = 'in/*.ndjson';
    for (const name of ['a', 'b', 'c']) put(`in/${name}.ndjson`, name.charCodeAt(0));
    from = { sourceName: 'default', kind: 'odf/etag', value: 'b.ndjson' };
    expect(open({ path }).pulls!.refuses(from)).toBeUndefined();
    expect(await pull({ path })).toEqual(['in/c.ndjson:99']);
    for (const value of ['', '"5d8c72a5edda8d6a"', '../x.ndjson', 'b.csv']) {
      expect(open({ path }).pulls!.refuses({ ...from!, kind: 'odf/etag', value }), value).toMatch(/name/);
    }
    expect(open(GLOB).pulls!.refuses({ ...from!, kind: 'odf/etag', value: 'b.ndjson' }), 'which folder?').toBeDefined();
  });

  it('F16: that come late are reported, and are read when somebody wants them; the position stays', async () => {
    put('in/b.ndjson', 2);
    put('in/m.ndjson', 5);
    await pull(GLOB);
    const stands = from;
    put('in/a.ndjson', 1);
    put('in/c.ndjson', 3);
    const found = await look(GLOB);
    expect(found).toMatchObject({ kind: 'unchanged' });
    expect(found.notices).toEqual([
      { kind: 'part-skipped', message: expect.stringContaining('2 files: in/a.ndjson, in/c.ndjson') },
    ]);
    expect(found.notices![0]!.message).toContain('--take "in/a.ndjson"');
    expect(await pull(GLOB)).toEqual([]);
    expect(await pull(GLOB, { take: ['in/c.ndjson'] })).toEqual(['in/c.ndjson:3']);
    expect(from).toEqual(stands);
    put('in/n.ndjson', 6);
    expect(await pull(GLOB, { take: ['in/?.ndjson'] })).toEqual(['in/a.ndjson:1', 'in/n.ndjson:6']);
    expect(noticesOf(await look(GLOB))).toEqual([]);
    await expect(pull(GLOB, { take: ['in/x.ndjson'] })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    await expect(pull(GLOB, { take: ['../*.ndjson'] })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });

  it('F16: of a hundred thousand that came late it says how many, and names a few', async () => {
    put('in/z.ndjson', 0);
    await pull(GLOB);
    for (let nth = 0; nth < 40; nth++) put(`in/${String(nth).padStart(3, '0')}.ndjson`, nth);
    const [notice] = (await look(GLOB)).notices!;
    expect(notice!.message).toContain('40 files: in/000.ndjson');
    expect(notice!.message.match(/\.ndjson/g)!.length).toBeLessThan(10);
  });

  it('that change after they were taken are reported, and are read again when somebody wants that', async () => {
    put('in/a.ndjson', 1);
    put('in/b.ndjson', 2);
    await pull(GLOB);
    appendFileSync(at('in/a.ndjson'), lines(7));
    const found = await look(GLOB);
    expect(found.notices).toEqual([{ kind: 'part-changed', message: expect.stringContaining('1 file: in/a.ndjson') }]);
    expect(await pull(GLOB, { take: ['in/a.ndjson'] })).toEqual(['in/a.ndjson:1,7']);
    expect(from?.value).toBe('in/b.ndjson');
    expect(noticesOf(await look(GLOB))).toEqual([]);
    // Another name and other rights are no change of what is in it.
    expect(await pull(GLOB, { take: ['in/b.ndjson'] })).toEqual(['in/b.ndjson:2']);
  });

  it('that may still be written hold back those behind them', async () => {
    const settings = { ...GLOB, settleSeconds: 30 };
    for (const name of ['a', 'b', 'c']) {
      put(`in/${name}.ndjson`, name.charCodeAt(0));
      aged(`in/${name}.ndjson`, MINUTE_S);
    }
    appendFileSync(at('in/b.ndjson'), '{"n":');
    expect(await pull(settings)).toEqual(['in/a.ndjson:97']);
    expect(await look(settings)).toMatchObject({
      kind: 'unchanged',
      why: expect.stringContaining('in/b.ndjson was written'),
    });
    appendFileSync(at('in/b.ndjson'), '8}\n');
    aged('in/b.ndjson', MINUTE_S);
    expect(await pull(settings)).toEqual(['in/b.ndjson:98,8', 'in/c.ndjson:99']);
  });

  it('that were written in the future are read, and a clock is suspected', async () => {
    put('in/a.ndjson', 1);
    aged('in/a.ndjson', -MINUTE_S);
    expect(noticesOf(await look({ ...GLOB, settleSeconds: 5 }))).toEqual(['clock-went-back']);
    expect(await pull({ ...GLOB, settleSeconds: 5 })).toEqual(['in/a.ndjson:1']);
  });

  it('that grow while they are read are not taken by half, and those before them are', async () => {
    put('in/a.ndjson', 1);
    writeFileSync(at('in/b.ndjson'), Array.from({ length: 300_000 }, (_, n) => lines(n)).join(''));
    const reading = async () => {
      for await (const chunk of open(GLOB).read(rangeOf(), signal)) {
        if (chunk.end !== undefined) from = chunk.end;
        else appendFileSync(at('in/b.ndjson'), lines(9));
      }
    };
    await expect(reading()).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('written to'),
    });
    expect(from?.value).toBe('in/a.ndjson');
    expect((await pull(GLOB)).map((commit) => commit.slice(0, 14))).toEqual(['in/b.ndjson:0,']);
  });

  it('of which there are none are an error, or nothing, as the flow says', async () => {
    await expect(look(GLOB)).rejects.toMatchObject({ code: 'SOURCE_FAILED', ids: { pattern: GLOB.path } });
    const settings = { ...GLOB, whenNone: 'empty' };
    expect(await look(settings)).toMatchObject({ kind: 'unchanged' });
    expect(await pull(settings)).toEqual([]);
    expect(from).toBeUndefined();
  });

  it('that are broken leave the position before them', async () => {
    put('in/a.ndjson', 1);
    writeFileSync(at('in/b.ndjson.gz'), gzipSync(lines(2, 3)).subarray(0, 20));
    await expect(pull({ path: 'in/*' })).rejects.toMatchObject({ ids: { path: 'in/b.ndjson.gz' } });
    expect(from?.value).toBe('in/a.ndjson');
    writeFileSync(at('in/b.ndjson.gz'), gzipSync(lines(0).repeat(5_000_000)));
    const bomb = { path: 'in/*', inflatedBytesMax: 1024 * 1024 };
    await expect(pull(bomb)).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    expect(from?.value).toBe('in/a.ndjson');
  });

  it('are not pulled where each window has a name of its own', () => {
    expect(open({ path: 'in/{{ window }}.ndjson' }).pulls).toBeUndefined();
    expect(open({ path: 'in/{{ region }}/*.ndjson' }).pulls).toBeDefined();
  });
});

const ONE = { path: 'one.ndjson' };

describe('one file that changes', () => {
  it('is read again when it has changed, and not before', async () => {
    put('one.ndjson', 1, 2);
    aged('one.ndjson', MINUTE_S);
    expect(await pull(ONE)).toEqual([':1,2']);
    expect(await look(ONE)).toMatchObject({ kind: 'unchanged' });
    put('one.ndjson', 3);
    expect(await pull(ONE)).toEqual([':3']);
  });

  it('is known by its content where its size and its time stay the same', async () => {
    put('one.ndjson', 1);
    const { atime, mtime } = statSync(at('one.ndjson'));
    await pull(ONE);
    put('one.ndjson', 2);
    utimesSync(at('one.ndjson'), atime, mtime);
    expect(await pull(ONE)).toEqual([':2']);
    expect(await look(ONE)).toMatchObject({ kind: 'unchanged' });
  });

  it('F07: brings nothing but its new state when only its time has changed', async () => {
    put('one.ndjson', 1);
    const settings = { ...ONE, settleSeconds: 0 };
    await pull(settings);
    // As it would have been kept of a file that was quiet for long.
    from = { ...from!, value: `${from!.value.split('.').slice(0, 2).join('.')}.1000.2000` };
    const before = from;
    expect(await look(settings)).toMatchObject({ kind: 'new' });
    expect(await pull(settings)).toEqual([':']);
    expect(from).not.toEqual(before);
    expect(await look(settings)).toMatchObject({ kind: 'unchanged' });
  });

  it('is read whole when somebody insists', async () => {
    put('one.ndjson', 1);
    await pull(ONE);
    expect(await look(ONE, { force: true })).toMatchObject({ kind: 'new' });
    expect(await pull(ONE, { force: true })).toEqual([':1']);
  });

  it('F04: goes on from a time that another tool has kept, in milliseconds', async () => {
    put('one.ndjson', 1);
    const ms = Math.round(statSync(at('one.ndjson')).mtimeMs);
    from = { sourceName: 'default', kind: 'odf/last-modified', value: new Date(ms).toISOString() };
    expect(await look(ONE)).toMatchObject({ kind: 'unchanged' });
    from = { ...from, value: new Date(ms - 2).toISOString() };
    expect(await look(ONE)).toMatchObject({ kind: 'new' });
    for (const value of ['yesterday', '2026-13-45T00:00:00Z', '']) {
      expect(open(ONE).pulls!.refuses({ ...from!, value }), value).toMatch(/time/);
    }
  });

  it('that may still be written is left alone', async () => {
    put('one.ndjson', 1);
    const settings = { ...ONE, settleSeconds: 60 };
    expect(await look(settings)).toMatchObject({
      kind: 'unchanged',
      why: expect.stringContaining('may not be complete'),
    });
    expect(await pull(settings)).toEqual([]);
    expect(from).toBeUndefined();
  });

  it('that is not there is an error, or nothing', async () => {
    await expect(look(ONE)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    expect(await look({ ...ONE, whenNone: 'empty' })).toMatchObject({ kind: 'unchanged' });
  });
});

const LOG = { path: 'app.log', format: 'ndjson', pullBy: 'offset' };

describe('a file that grows', () => {
  it('is read up to its last whole line, from the byte behind the last one', async () => {
    writeFileSync(at('app.log'), `${lines(1, 2)}{"n":`);
    expect(await pull(LOG)).toEqual([':1,2']);
    expect(await look(LOG)).toMatchObject({ kind: 'unchanged' });
    appendFileSync(at('app.log'), '3');
    expect(await look(LOG)).toMatchObject({ kind: 'unchanged', why: expect.stringContaining('whole line') });
    appendFileSync(at('app.log'), `}\n${lines(4)}`);
    expect((await pull(LOG)).join('').replaceAll(':', '')).toBe('3,4');
    expect(JSON.parse(from!.value)).toMatchObject({
      file: 'app.log',
      offset: lines(1, 2, 3, 4).length,
      row: 5,
      line: 5,
    });
  });

  it('keeps the names of the columns of CSV, and reads rows over several lines whole', async () => {
    const settings = { path: 'a.csv', pullBy: 'offset' };
    writeFileSync(at('a.csv'), 'n,text\n1,"two\nlines"\n2,"open\n');
    expect(await pull(settings)).toEqual([':1']);
    appendFileSync(at('a.csv'), 'and closed"\n3,x\n');
    expect((await pull(settings)).join('').replaceAll(':', '')).toBe('2,3');
    expect(JSON.parse(from!.value)).toMatchObject({ columns: ['n', 'text'], row: 4 });
  });

  it('that was rotated is read to its end under its old name first, then anew', async () => {
    put('app.log', 1, 2);
    await pull(LOG);
    appendFileSync(at('app.log'), `${lines(3)}{"n":4}`);
    renameSync(at('app.log'), at('app.log.1'));
    put('app.log', 5);
    expect(noticesOf(await look(LOG))).toEqual(['file-rotated']);
    expect((await pull(LOG)).join('').replaceAll(':', ' ').trim().split(/[ ,]+/)).toEqual(['3', '4', '5']);
    expect(await look(LOG)).toMatchObject({ kind: 'unchanged' });
  });

  it('that was rotated twice, packed, and copied before it was cut is read all the same', async () => {
    put('app.log', 1, 2);
    await pull(LOG);
    writeFileSync(at('app.log.2.gz'), gzipSync(lines(1, 2, 3)));
    aged('app.log.2.gz', 2 * MINUTE_S);
    put('app.log.1', 4, 5);
    aged('app.log.1', MINUTE_S);
    writeFileSync(at('app.log.1.notes'), lines(99));
    copyFileSync(at('app.log.1'), at('app.log'));
    truncateSync(at('app.log'), 0);
    appendFileSync(at('app.log'), lines(6));
    expect((await pull(LOG)).flatMap((commit) => commit.replace(':', '').split(',')).filter(Boolean)).toEqual([
      '3',
      '4',
      '5',
      '6',
    ]);
  });

  it('that was cut, and is beside nothing that it was, is an error that says what is lost', async () => {
    put('app.log', 1, 2, 3);
    await pull(LOG);
    const stands = from;
    put('app.log.1', 7);
    put('app.log', 9);
    for (const call of [look, pull]) {
      await expect(call(LOG)).rejects.toMatchObject({
        code: 'SOURCE_TRIMMED',
        message: expect.stringMatching(/holds 8 bytes, and 24 of it were read.*behind byte 24 \(line 4\)/),
        hint: expect.stringContaining('app.log.1'),
      });
    }
    expect(from).toEqual(stands);
    // Longer than before: the bytes at its beginning are others.
    put('app.log', 11, 12, 13, 14);
    await expect(look(LOG)).rejects.toMatchObject({ code: 'SOURCE_TRIMMED' });
  });

  it('that was changed before the position is not taken for the same file', async () => {
    writeFileSync(at('app.log'), lines(...Array.from({ length: 3000 }, (_, n) => n)));
    await pull(LOG);
    const { length } = lines(...Array.from({ length: 3000 }, (_, n) => n));
    const changed = lines(...Array.from({ length: 3000 }, (_, n) => n)).replace('{"n":2999}', '{"n":1999}');
    expect(changed).toHaveLength(length);
    writeFileSync(at('app.log'), `${changed}${lines(1)}`);
    await expect(look(LOG)).rejects.toMatchObject({ code: 'SOURCE_TRIMMED' });
  });

  it.each([
    ['ndjson', '{"n":1}\n', '{"n":2,"t":"', '","u":"', '"}\n', '{"n":3}\n{"n":4}\n'],
    ['ndjson', '{"n":1}\n', '{"n":2,"t":"', '\\n', '"}\n', '{"n":3}\n{"n":4}\n'],
    ['csv', 'n,t\n1,x\n', '2,', 'y', '\n', '3,x\n4,x\n'],
  ])('waits for the end of a line that is too long, and leaves all of it out: %s', async (...given) => {
    const [format, before, begin, middle, end, after] = given;
    const settings = { path: 'app.log', format, pullBy: 'offset', recordBytesMax: 1000 };
    writeFileSync(at('app.log'), `${before}${begin}${'x'.repeat(3000)}`);
    const first = await chunksOf(settings);
    expect(numbers(first)).toEqual(['1']);
    expect(rejectsOf(first)).toEqual([]);
    expect(JSON.parse(from!.value)).toMatchObject({ offset: before.length, row: 2 });
    const stands = from;
    appendFileSync(at('app.log'), middle);
    expect(await look(settings)).toMatchObject({ kind: 'unchanged', notices: [{ kind: 'line-too-long' }] });
    expect(await chunksOf(settings)).toEqual([]);
    expect(from).toEqual(stands);
    appendFileSync(at('app.log'), `${'x'.repeat(2000)}${end}${after}`);
    const rest = await chunksOf(settings);
    expect(numbers(rest)).toEqual(['3', '4']);
    expect(rejectsOf(rest)).toMatchObject([{ row: 2, code: 'RECORD_TOO_LARGE' }]);
    expect(JSON.parse(from!.value)).toMatchObject({ row: 5, line: format === 'csv' ? 6 : 5 });
    expect(await look(settings)).toMatchObject({ kind: 'unchanged' });
  });

  it('goes on behind a line that is too long wherever it was cut off', async () => {
    const settings = { ...LOG, recordBytesMax: 1000 };
    writeFileSync(at('app.log'), `${lines(1)}{"n":2,"t":"${'x'.repeat(200_000)}"}\n${lines(3, 4)}`);
    const ends = (await chunksOf(settings)).map(({ end }) => end!);
    expect(ends.length).toBeGreaterThan(1);
    for (const end of ends) {
      from = end;
      const { row } = JSON.parse(end.value) as { row: number };
      const rest = await chunksOf(settings);
      expect(numbers(rest)).toEqual(['3', '4'].filter((n) => Number(n) >= row));
      expect(rejectsOf(rest).map((one) => [one.row, one.code])).toEqual(row > 2 ? [] : [[2, 'RECORD_TOO_LARGE']]);
    }
  });

  it('that was rotated inside a line that is too long leaves it out, and nothing of what follows', async () => {
    const settings = { ...LOG, recordBytesMax: 1000 };
    writeFileSync(at('app.log'), `${lines(1)}{"n":2,"t":"${'x'.repeat(3000)}"}`);
    await chunksOf(settings);
    renameSync(at('app.log'), at('app.log.1'));
    put('app.log', 3, 4);
    const rest = await chunksOf(settings);
    expect(numbers(rest)).toEqual(['3', '4']);
    expect(rejectsOf(rest)).toMatchObject([{ row: 2, code: 'RECORD_TOO_LARGE' }]);
  });

  it('is not read by lines where it has none', async () => {
    writeFileSync(at('a.json'), '[]');
    await expect(look({ path: 'a.json', pullBy: 'offset' })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    const refused = open(LOG).pulls!;
    for (const value of ['', '7', '{}', '{"file":"app.log","offset":-1}', 'null', '[']) {
      expect(refused.refuses({ sourceName: 'x', kind: 'waybill/offset', value }), value).toBeDefined();
    }
  });

  it('cannot be one of many', () => {
    const parsed = files.source!.settings.safeParse({ path: '*.log', pullBy: 'offset' });
    expect(parsed.error?.issues[0]?.message).toContain('one file');
  });
});
