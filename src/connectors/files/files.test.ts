import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Framing } from '../../model/batch.ts';
import { RefusedError } from '../../model/errors.ts';
import { ALL } from '../../model/window.ts';
import { testPermit } from '../../testing/permit.ts';
import { readAll, textsOf } from '../../testing/suites/source-reading.ts';
import type { OpenContext, ReadRange, Source } from '../connector.ts';
import { files } from './config.ts';

const range: ReadRange = { window: ALL, parameters: {} };
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'waybill-files-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const context = (): OpenContext => ({ folder: root }) as OpenContext;
const source = (settings: Record<string, unknown>): Source =>
  files.source!.open({ root: '.' }, files.source!.settings.parse(settings), context());
const sink = (settings: Record<string, unknown>) =>
  files.sink!.open({ root: '.' }, files.sink!.settings.parse(settings), context());
const read = async (settings: Record<string, unknown>, more: Partial<ReadRange> = {}): Promise<readonly string[]> =>
  textsOf(await readAll(source(settings), { ...range, ...more }));

const put = (name: string, content: string | Uint8Array): void => {
  mkdirSync(join(root, name, '..'), { recursive: true });
  writeFileSync(join(root, name), content);
};

const wide = 'ü'.repeat(800);
const records = (from: number, count: number) =>
  Array.from({ length: count }, (_, at) => ({ id: `${from + at}`, text: `${wide} "q", ${at}\n.` }));
const ndjson = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

// ---- reading ----

describe('the files that a path names', () => {
  beforeEach(() => {
    for (const name of ['a.csv', 'b.csv', 'a.txt', '.hidden.csv', 'x/a.csv', 'x/y/z/b.csv', 'x/.h/c.csv', 'ab/1.csv'])
      put(name, `f\n${name}\n`);
  });
  const named = async (path: string) =>
    (await read({ path, format: 'csv' })).map((line) => (JSON.parse(line) as { f: string }).f);

  it('are read in order of their names', async () => {
    expect(await named('a.csv')).toEqual(['a.csv']);
    expect(await named('*.csv')).toEqual(['a.csv', 'b.csv']);
    expect(await named('a.*')).toEqual(['a.csv', 'a.txt']);
    expect(await named('?.csv')).toEqual(['a.csv', 'b.csv']);
    expect(await named('.*.csv')).toEqual(['.hidden.csv']);
    expect(await named('*/*.csv')).toEqual(['ab/1.csv', 'x/a.csv']);
    expect(await named('**/*.csv')).toEqual(['a.csv', 'ab/1.csv', 'b.csv', 'x/a.csv', 'x/y/z/b.csv']);
    expect(await named('x/**')).toEqual(['x/a.csv', 'x/y/z/b.csv']);
    expect(await named('x/**/z/*')).toEqual(['x/y/z/b.csv']);
    expect(await named('./x//a.csv')).toEqual(['x/a.csv']);
  });

  it('may depend on the window and on parameters, whose values stay within one name', async () => {
    put('day=2026-11-19/eu.csv', 'f\nright\n');
    const more: Partial<ReadRange> = {
      window: { name: '2026-11-19' },
      parameters: { region: { type: 'text', value: 'eu' } },
    };
    expect(await read({ path: 'day={{ window }}/{{region}}.csv' }, more)).toEqual(['{"f":"right"}']);
    for (const value of ['../../a', '..', '/etc/passwd', 'x/a', '*', '?']) {
      const hostile: Partial<ReadRange> = { parameters: { name: { type: 'text', value } } };
      await expect(read({ path: '{{ name }}.csv' }, hostile)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    }
    await expect(read({ path: '{{ nothing }}.csv' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('never lie outside the root, whatever the path or a link says', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'waybill-outside-'));
    writeFileSync(join(outside, 'secret.csv'), 'f\nsecret\n');
    symlinkSync(join(outside, 'secret.csv'), join(root, 'link.csv'));
    symlinkSync(outside, join(root, 'way'));
    symlinkSync('a.csv', join(root, 'inner.csv'));
    try {
      for (const path of ['../x.csv', '/etc/passwd', 'x/../../y.csv', '..', 'a\\..\\b', 'a\0.csv']) {
        expect(files.source!.settings.safeParse({ path }).success).toBe(false);
      }
      for (const path of ['link.csv', 'way/secret.csv', 'way/*.csv', 'l*.csv']) {
        await expect(read({ path })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
      }
      expect(await read({ path: 'inner.csv' })).toEqual(['{"f":"a.csv"}']);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it('are told of by name when they cannot be read, and never passed over in silence or waited for', async () => {
    symlinkSync('nowhere', join(root, 'dangling.ndjson'));
    symlinkSync('round.tsv', join(root, 'round.tsv'));
    execFileSync('mkfifo', [join(root, 'pipe.json')]);
    mkdirSync(join(root, 'latin'));
    writeFileSync(
      Buffer.concat([Buffer.from(`${root}/latin/caf`), Buffer.from([0xe9]), Buffer.from('.csv')]),
      'f\n1\n',
    );
    mkdirSync(Buffer.concat([Buffer.from(`${root}/x/ann`), Buffer.from([0xe9]), Buffer.from('e')]));
    for (const [path, says] of [
      ['*.ndjson', 'link dangling.ndjson'],
      ['*.tsv', 'link round.tsv'],
      ['*.json', 'pipe.json is not a file'],
      ['latin/*.csv', 'not UTF-8'],
      ['x/**/*.csv', 'not UTF-8'],
    ] as const) {
      await expect(read({ path }), path).rejects.toThrow(says);
    }
    expect(await named('a*.csv')).toEqual(['a.csv']);
  });

  it('are missed when there are none, unless the flow says that none is none', async () => {
    await expect(read({ path: 'nothing/*.csv' })).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('nothing/*.csv'),
    });
    expect(await read({ path: 'nothing/*.csv', whenNone: 'empty' })).toEqual([]);
    await expect(read({ path: 'a.txt' })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
  });
});

describe('reading files', () => {
  it('knows dialects by the settings and by the ending', async () => {
    put('a.tsv', 'a\tb\n1\tx,y\n');
    put('b.csv', "a;b\n1;'x;''y'\n;''\n");
    put('c.csv', '1,2\n');
    expect(await read({ path: 'a.tsv' })).toEqual(['{"a":"1","b":"x,y"}']);
    expect(await read({ path: 'b.csv', delimiter: ';', quote: "'" })).toEqual([
      '{"a":"1","b":"x;\'y"}',
      '{"a":null,"b":""}',
    ]);
    expect(await read({ path: 'c.csv', header: ['x', 'y'] })).toEqual(['{"x":"1","y":"2"}']);
    expect(await read({ path: 'c.csv', header: false })).toEqual(['{"column_1":"1","column_2":"2"}']);
  });

  it('says where a record is broken, also when reading goes on in the middle', async () => {
    const lines = Array.from({ length: 9000 }, (_, n) => `${n},"two\nlines ${wide}"\n`);
    lines[8500] = '8500,too,many\n';
    put('a.csv', `n,t\n${lines.join('')}`);
    const chunks = await readAll(source({ path: 'a.csv' }), range);
    const where = chunks.flatMap((chunk) => chunk.rejects ?? []);
    expect(where).toMatchObject([{ row: 8501, line: 8500 * 2 + 2 }]);
    const rest = await readAll(source({ path: 'a.csv' }), { ...range, from: chunks[0]!.end! });
    expect(rest.flatMap((chunk) => chunk.rejects ?? [])).toEqual(where);
    expect(rest[0]!.firstRow).toBe(chunks[1]!.firstRow);
  });

  it('does not go on in a file that is not the one it had begun', async () => {
    put('a.ndjson', ndjson(records(0, 900)));
    const [first] = await readAll(source({ path: '*.ndjson' }), range);
    const from = first!.end!;
    appendFileSync(join(root, 'a.ndjson'), ndjson(records(5000, 1)));
    expect((await read({ path: '*.ndjson' }, { from })).at(-1)).toContain('"id":"5000"');
    const whole = readFileSync(join(root, 'a.ndjson'));
    const changed = async () =>
      expect(read({ path: '*.ndjson' }, { from })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    whole[8] = '7'.charCodeAt(0);
    put('a.ndjson', whole);
    await changed();
    truncateSync(join(root, 'a.ndjson'), 10);
    await changed();
    rmSync(join(root, 'a.ndjson'));
    put('b.ndjson', ndjson(records(0, 1)));
    await changed();
  });

  it('tells the bytes that are left, but not of packed files', async () => {
    put('a.ndjson', ndjson(records(0, 10)));
    put('b.ndjson', ndjson(records(0, 10)));
    const { signal } = new AbortController();
    const whole = readFileSync(join(root, 'a.ndjson')).length;
    expect(await source({ path: '*.ndjson' }).remaining!(range, signal)).toEqual({ bytes: whole * 2 });
    put('c.ndjson.gz', gzipSync('{}\n'));
    expect(await source({ path: '*.ndjson*' }).remaining!(range, signal)).toEqual({});
  });

  it.each(['ndjson', 'csv', 'ndjson.gz', 'csv.gz'])(
    'of many MiB are read as they are, chunk by chunk: %s',
    async (kind) => {
      // Hardly to be packed, so that what lies there is many times what is read at once.
      const rows = Array.from({ length: 60_000 }, (_, id) => ({
        id: String(id),
        text: createHash('sha512').update(String(id)).digest('base64'),
      }));
      const lines = kind.startsWith('csv')
        ? `id,text\n${rows.map(({ id, text }) => `${id},${text}\n`).join('')}`
        : ndjson(rows);
      put(`large.${kind}`, kind.endsWith('.gz') ? gzipSync(lines, { level: 1 }) : lines);
      const texts: string[] = [];
      const { signal } = new AbortController();
      for await (const chunk of source({ path: `large.${kind}` }).read({ ...range, letsGo: true }, signal)) {
        texts.push(...textsOf([chunk]));
        // What is read meanwhile must not find its way into what is still to be unpacked.
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(texts.length).toBe(rows.length);
      expect(texts.findIndex((text, nth) => text !== JSON.stringify(rows[nth]))).toBe(-1);
    },
  );

  it('stops at a bomb, and at a packed file that is broken', async () => {
    put('bomb.csv.gz', gzipSync(Buffer.alloc(64 * 1024 * 1024, 'a,b\n')));
    await expect(read({ path: 'bomb.csv.gz' })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    put('big.csv.gz', gzipSync(Buffer.alloc(3 * 1024 * 1024, 'a,b\n')));
    await expect(read({ path: 'big.csv.gz', inflatedBytesMax: 1024 * 1024 })).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
    });
    put('cut.ndjson.gz', gzipSync(ndjson(records(0, 2000))).subarray(0, 3000));
    await expect(read({ path: 'cut.ndjson.gz' })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    put('no.ndjson.gz', '{"a":1}\n');
    await expect(read({ path: 'no.ndjson.gz' })).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });
});

// ---- writing ----

const ROWS: Framing = { format: 'csv', head: '', separator: '\n', tail: '\n' };

describe('writing files', () => {
  const content = (name: string) => readFileSync(join(root, name), 'utf8');

  it('writes what a crash had left half-written again, wherever it was cut', async () => {
    const before = '{"there":"before"}\n';
    const permit = testPermit({ records: [{ a: 'ü' }, { b: 'x'.repeat(50) }] });
    const batch = Buffer.from((await permit.payload()).bytes);
    for (let cut = 0; cut <= batch.length; cut++) {
      put('out.ndjson', Buffer.concat([Buffer.from(before), batch.subarray(0, cut)]));
      const verdict = await sink({ path: 'out.ndjson' }).can.appendAt!(permit, String(before.length));
      expect(verdict.receipt.position).toBe(String(before.length + batch.length));
      expect(content('out.ndjson')).toBe(before + batch.toString());
    }
  });

  it('refuses to write where somebody else has written or taken away, and changes nothing', async () => {
    const permit = testPermit({ records: [{ a: 1 }] });
    for (const [there, expected] of [
      ['{"b":1}\n', '0'],
      ['{"a":1}', '2'],
      ['', '5'],
      ['{"a":1}\n{"x"', '8'],
      ['{"a":2}\n', '0'],
    ] as const) {
      put('out.ndjson', there);
      await expect(sink({ path: 'out.ndjson' }).can.appendAt!(permit, expected)).rejects.toBeInstanceOf(RefusedError);
      expect(content('out.ndjson')).toBe(there);
    }
  });

  it('writes the header of CSV once, and takes no batch with other columns', async () => {
    const permit = (batch: number, columns: readonly string[], record: string) =>
      testPermit({ batch, columns, records: [record], framing: ROWS });
    const target = sink({ path: '{{ window }}.csv' });
    const first = await target.can.appendAt!(permit(1, ['a', 'b "c"'], '1,2'), '0');
    const again = await target.can.appendAt!(permit(1, ['a', 'b "c"'], '1,2'), '0');
    expect(again.receipt.position).toBe(first.receipt.position);
    await target.can.appendAt!(permit(2, ['a', 'b "c"'], '3,4'), first.receipt.position!);
    expect(content('all.csv')).toBe('a,"b ""c"""\n1,2\n3,4\n');
    await expect(target.can.append!(permit(3, ['b', 'a'], '5,6'))).rejects.toMatchObject({ reason: 'columns' });
    expect(content('all.csv')).toBe('a,"b ""c"""\n1,2\n3,4\n');
    await sink({ path: 'bare.csv', header: false }).can.append!(permit(1, ['a'], '1'));
    expect(content('bare.csv')).toBe('1\n');
  });

  it('keeps names of windows, flows and lanes within one name, and links from leading out', async () => {
    const target = sink({ path: 'out/{{ window }}-{{ lane }}.ndjson' });
    await target.can.append!(testPermit({ records: [{ a: 1 }], window: '../../x', lane: '/etc' }));
    expect(content('out/%2e.%2f..%2fx-%2fetc.ndjson')).toBe('{"a":1}\n');
    symlinkSync(tmpdir(), join(root, 'way'));
    symlinkSync(join(tmpdir(), 'waybill-never-written'), join(root, 'link.ndjson'));
    for (const path of ['way/out.ndjson', 'link.ndjson']) {
      const sending = sink({ path }).can.append!(testPermit({ records: [{ a: 1 }] }));
      await expect(sending).rejects.toMatchObject({ code: 'REFUSED', about: 'request' });
    }
    for (const path of ['../x.ndjson', '/x', '{{ flow }}.ndjson', '{{ run }}.ndjson']) {
      expect(files.sink!.settings.safeParse({ path }).success).toBe(false);
    }
  });

  it('tries nothing again where no file can be opened until somebody changes something', async () => {
    put('folder/x', '');
    put('plain', '');
    for (const path of ['folder', 'plain/out.ndjson']) {
      await expect(sink({ path }).can.append!(testPermit({ records: [{ a: 1 }] }))).rejects.toMatchObject({
        about: 'request',
        hint: expect.stringContaining('`path`'),
      });
    }
    const tail = sink({ path: 'plain/out.ndjson' }).facts.tail!();
    await expect(tail).rejects.toMatchObject({ about: 'request', reason: 'ENOTDIR' });
  });

  it('does not claim to know the outcome when the disk is full and what was written cannot be taken back', async () => {
    const full = files.sink!.open({ root: '/dev' }, files.sink!.settings.parse({ path: 'full' }), context());
    const sending = full.can.append!(testPermit({ records: [{ a: 1 }] }));
    await expect(sending).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringContaining('taken back'),
    });
  });

  it('puts batches that are sent at once one after the other', async () => {
    const target = sink({ path: 'out.ndjson' });
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => target.can.append!(testPermit({ batch: n + 1, records: [{ n }] }))),
    );
    expect(content('out.ndjson').trimEnd().split('\n')).toHaveLength(20);
  });
});
