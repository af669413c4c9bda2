import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openParquet } from '../../formats/parquet/read.ts';
import { ParquetFile } from '../../formats/parquet/write.ts';
import { CSV_ROWS, LINES } from '../../model/batch.ts';
import { type Columns, parseColumnType } from '../../model/columns.ts';
import { RefusedError } from '../../model/errors.ts';
import { ALL } from '../../model/window.ts';
import { testPermit } from '../../testing/permit.ts';
import { readAll, textsOf } from '../../testing/suites/source-reading.ts';
import type { OpenContext, ReadRange, Sink, Source } from '../connector.ts';
import { files } from './config.ts';

const range: ReadRange = { window: ALL, parameters: {} };
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'waybill-parquet-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const context = (): OpenContext => ({ folder: root }) as OpenContext;
const source = (settings: Record<string, unknown>): Source =>
  files.source!.open({ root: '.' }, files.source!.settings.parse(settings), context());
const sink = (settings: Record<string, unknown>): Sink =>
  files.sink!.open({ root: '.' }, files.sink!.settings.parse(settings), context());

const columns: Columns = Object.entries({ id: 'int64', price: 'decimal(12,2)', at: 'timestamptz' }).map(
  ([name, text]) => ({
    name,
    type: parseColumnType(text)!,
    nullable: true,
  }),
);
const rowOf = (n: number): string[] => [String(n), `${n}.50`, '2026-11-19T08:30:00.000001+00:00'];

async function put(name: string, from: number, count: number): Promise<void> {
  const file = new ParquetFile(columns);
  for (let n = from; n < from + count; n++) file.add(rowOf(n));
  writeFileSync(join(root, name), await file.finish());
}
describe('Parquet files', () => {
  it('are read with their types, in order of their names, to the last digit', async () => {
    await put('b.parquet', 5, 1);
    await put('a.parquet', 2 ** 53 + 2, 1);
    const chunks = await readAll(source({ path: '*.parquet' }), range);
    expect(chunks.map(({ types }) => types)).toEqual([columns, columns]);
    expect(chunks.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual([
      '{"id":9007199254740994,"price":9007199254740994.50,"at":"2026-11-19T08:30:00.000001+00:00"}',
      '{"id":5,"price":5.50,"at":"2026-11-19T08:30:00.000001+00:00"}',
    ]);
  });
  it('are not read on in another file of the same name', async () => {
    await put('a.parquet', 0, 5000);
    const [first] = await readAll(source({ path: 'a.parquet' }), range);
    await put('a.parquet', 0, 5001);
    await expect(readAll(source({ path: 'a.parquet' }), { ...range, from: first!.end! })).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
    });
  });
  it('that are none, packed or reached by a link that leads out are refused', async () => {
    writeFileSync(join(root, 'a.parquet'), 'id\n1\n');
    writeFileSync(join(root, 'b.parquet.gz'), '');
    symlinkSync('/etc/hostname', join(root, 'c.parquet'));
    for (const path of ['a.parquet', 'b.parquet.gz', 'c.parquet']) {
      await expect(readAll(source({ path }), range), path).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    }
  });
  it('need a name for each batch; the types of their columns are declared, or come with the records', () => {
    const problems = (settings: Record<string, unknown>): string[] =>
      (files.sink!.settings.safeParse(settings).error?.issues ?? []).map((issue) => issue.path.join('.'));
    expect(problems({ path: '{{ batch }}.parquet', columns: { id: 'int64' } })).toEqual([]);
    expect(problems({ path: 'a.parquet', columns: { id: 'int64' } })).toEqual(['path']);
    expect(problems({ path: '{{ batch }}.parquet' })).toEqual([]);
    expect(problems({ path: '{{ batch }}.parquet', columns: { id: 'integer' } })).toContain('columns.id');
    expect(problems({ path: '{{ batch }}.ndjson' })).toEqual([]);
    expect(problems({ path: 'a.ndjson', manifest: '_manifest.json' })).toEqual(['path']);
    expect(problems({ path: 'a.ndjson', columns: { id: 'int64' } })).toEqual(['columns']);
  });
});

const sinkColumns = { n: 'int64', version: 'int32' };
const path = 'out/{{ window }}/{{ batch }}.parquet';

async function held(): Promise<string[]> {
  const folder = join(root, 'out/all');
  mkdirSync(folder, { recursive: true });
  const rows = await Promise.all(
    readdirSync(folder).map(async (name) => {
      const bytes = readFileSync(join(folder, name));
      const access = {
        size: bytes.length,
        read: async (a: number, b: number) => Uint8Array.from(bytes.subarray(a, b)).buffer,
      };
      const texts: string[] = [];
      for await (const chunk of (await openParquet(access)).chunks(0, new AbortController().signal)) {
        texts.push(...textsOf([chunk]));
      }
      return texts.map((text) => JSON.parse(text) as { n: number; version: number });
    }),
  );
  return rows.flat().map(({ n, version }) => (version === 0 ? `${n}` : `${n}v${version}`));
}

describe('a folder of Parquet files', () => {
  const commit = (one: Sink, list: readonly object[], more: object = {}) =>
    one.can.commitOnce!(
      testPermit({
        records: list.map((record) => record),
        keys: list.map((_, at) => `k${at}`),
        framing: LINES,
        ...more,
      }),
    );

  it('says which record of a batch does not fit, and holds nothing of it', async () => {
    const refused = commit(sink({ path, columns: sinkColumns }), [{ n: 1, version: 0 }, { n: 'x' }]);
    await expect(refused).rejects.toBeInstanceOf(RefusedError);
    await expect(refused).rejects.toThrow('record 2 of the batch: column "n" (int64): the value is no whole number');
    expect(await held()).toEqual([]);
  });
  it('takes CSV as it is, and says as well which record does not fit', async () => {
    const one = sink({ path, columns: sinkColumns });
    const csv = { keys: ['a', 'b'], framing: CSV_ROWS, format: 'csv', columns: ['version', 'n'] } as const;
    await one.can.commitOnce!(testPermit({ ...csv, records: ['0,7', '2,"8"'] }));
    expect(await held()).toEqual(['7', '8v2']);
    const refused = one.can.commitOnce!(testPermit({ ...csv, batch: 2, records: ['0,7', '0,x'] }));
    await expect(refused).rejects.toThrow('record 2 of the batch: column "n" (int64): the value is no whole number');
    const other = one.can.commitOnce!(testPermit({ ...csv, batch: 3, columns: ['n', 'm'], records: ['0,7', '0,x'] }));
    await expect(other).rejects.toThrow('record 1 of the batch: the field "m" is not among the columns');
  });
  it('passes over what a crash has left under another name', async () => {
    const one = sink({ path, columns: sinkColumns });
    const permit = testPermit({ records: [{ n: 1, version: 0 }], keys: ['k'], framing: LINES });
    const name = `${permit.batch.idempotencyKey}.parquet`;
    mkdirSync(join(root, 'out/all'), { recursive: true });
    writeFileSync(join(root, `out/all/.${name}.0.draft`), 'half of it');
    await one.can.commitOnce!(permit);
    expect(readdirSync(join(root, 'out/all')).sort()).toEqual([`.${name}.0.draft`, name]);
    rmSync(join(root, `out/all/.${name}.0.draft`));
    expect(await held()).toEqual(['1']);
  });
  it('leaves a file of somebody else as it is', async () => {
    const permit = testPermit({ records: [{ n: 1, version: 0 }], keys: ['k'], framing: LINES });
    const name = join(root, 'out/all', `${permit.batch.idempotencyKey}.parquet`);
    mkdirSync(join(root, 'out/all'), { recursive: true });
    writeFileSync(name, 'mine');
    await expect(sink({ path, columns: sinkColumns }).can.commitOnce!(permit)).rejects.toBeInstanceOf(RefusedError);
    expect(readFileSync(name, 'utf8')).toBe('mine');
  });
  it('proves that nothing was written where it cannot write', async () => {
    writeFileSync(join(root, 'out'), '');
    const sent = commit(sink({ path, columns: sinkColumns }), [{ n: 1, version: 0 }]);
    await expect(sent).rejects.toMatchObject({ about: 'request', reason: 'ENOTDIR' });
  });
});
