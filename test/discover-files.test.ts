import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../src/cli/cli.ts';
import { OUTPUTS } from '../src/cli/output-schemas.ts';
import { RecordedProcess } from '../src/cli/recorded-process.ts';
import { ParquetFile } from '../src/formats/parquet/write.ts';
import { parseColumnType } from '../src/model/columns.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-discover-files-'));
  mkdirSync(join(folder, 'in'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function discover(source: object, name = 'rates', more: readonly string[] = []) {
  const file = {
    version: 1,
    connections: { inbox: { type: 'files', root: 'in' }, out: { type: 'memory' } },
    flows: {
      rates: {
        window: 'pull',
        source: { connection: 'inbox', ...source },
        sink: { connection: 'out', table: 'rates', strategy: 'ledgered-append' },
      },
    },
  };
  writeFileSync(join(folder, 'waybill.yaml'), JSON.stringify(file));
  const io = new RecordedProcess({ cwd: folder, env: {} });
  const code = await run(['discover', name, ...more], io);
  return { code, out: io.stdout.text, err: io.stderr.text };
}

async function streamsOf(source: object) {
  const { code, out, err } = await discover(source, 'rates', ['--output', 'json']);
  expect(code, err).toBe(0);
  return OUTPUTS.discover.parse(JSON.parse(out)).streams.map(({ name, columns }) => ({
    name,
    columns: columns.map((column) => `${column.name} ${column.type}${column.nullable ? '' : ' not null'}`),
  }));
}

const put = (name: string, bytes: string | Uint8Array): void => writeFileSync(join(folder, 'in', name), bytes);
const CSV = 'id,price,day,code,open\n1,1.5,2026-11-19,007,true\n2,3,2026-11-20,x,\n';
const ROWS = '{"id":1,"price":1.5,"tags":["a"],"name":null}\n{"id":2,"price":2,"tags":[],"name":"x"}\n';

describe('waybill discover, of a flow that reads files', () => {
  it.each([
    ['CSV', 'a.csv', CSV, {}, ['id int64', 'price decimal', 'day date', 'code text', 'open boolean']],
    [
      'CSV with types',
      'a.csv',
      CSV,
      { types: { id: 'int32', price: 'decimal(12,2)' } },
      ['id int32', 'price decimal(12,2)', 'day text', 'code text', 'open text'],
    ],
    ['packed NDJSON', 'a.ndjson.gz', gzipSync(ROWS), {}, ['id int64', 'price decimal', 'tags json', 'name text']],
    [
      'a JSON document',
      'a.json',
      `{"rows":[${ROWS.trim().replace('\n', ',')}]}`,
      { recordsAt: 'rows' },
      ['id int64', 'price decimal', 'tags json', 'name text'],
    ],
    ['a file with a header alone', 'a.csv', 'id,name\n', {}, []],
    ['an empty file', 'a.csv', '', {}, []],
  ])('shows the columns as the records have them: %s', async (_what, name, bytes, more, columns) => {
    put(name, bytes);
    expect(await streamsOf({ path: name, ...more })).toEqual([{ name, columns }]);
  });

  it('shows the columns of Parquet as the file has them', async () => {
    const types = { id: 'int64', price: 'decimal(12,2)', at: 'timestamptz', tags: 'text[]' };
    const columns = Object.entries(types).map(([name, type]) => ({
      name,
      type: parseColumnType(type)!,
      nullable: name !== 'id',
    }));
    const file = new ParquetFile(columns);
    file.add(['1', '1.50', '2026-11-19T08:30:00+00:00', '["a"]']);
    put('a.parquet', await file.finish());
    expect(await streamsOf({ path: '*.parquet' })).toEqual([
      { name: 'a.parquet', columns: ['id int64 not null', 'price decimal(12,2)', 'at timestamptz', 'tags text[]'] },
    ]);
  });

  it('looks at the last file by name, and no further than its first records', async () => {
    put('a.csv', 'id\n1\n');
    // What is broken behind the first records is not met.
    put('b.csv', `id,name\n${'1,x\n'.repeat(500_000)}"`);
    put('c.txt', 'no');
    expect(await streamsOf({ path: '*.csv' })).toEqual([{ name: 'b.csv', columns: ['id int64', 'name text'] }]);
  });

  it('is a table for people', async () => {
    put('a.csv', CSV);
    const { code, out } = await discover({ path: '*.csv' });
    expect(code).toBe(0);
    expect(out).toMatch(/^a\.csv\n {2}column +type\n {2}id +int64\n/);
  });

  it('says what is missing: a flow, a file, or the name that a run fills in', async () => {
    const connection = await discover({ path: '*.csv' }, 'inbox');
    expect([connection.code, connection.err]).toEqual([2, expect.stringMatching(/Name a flow that reads from it/)]);
    const none = await discover({ path: '*.csv' });
    expect([none.code, none.err]).toEqual([5, expect.stringMatching(/no file below .* is named by \*\.csv/)]);
    const filled = await discover({ path: '{{ window }}.csv' });
    expect([filled.code, filled.err]).toEqual([2, expect.stringMatching(/nobody knows which file is meant/)]);
    put('a.csv.gz', 'not packed');
    const broken = await discover({ path: '*.csv.gz' });
    expect([broken.code, broken.err]).toEqual([expect.any(Number), expect.stringMatching(/a\.csv\.gz/)]);
    expect(broken.code).not.toBe(0);
  });
});
