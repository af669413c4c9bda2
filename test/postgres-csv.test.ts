import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { asLines } from '../src/connectors/postgres/copy-binary.ts';
import { CSV_ROWS, LINES } from '../src/model/batch.ts';
import { RefusedError } from '../src/model/errors.ts';
import { testPayload, testPermit } from '../src/testing/permit.ts';
import { LoadBench } from './postgres-load-bench.ts';
import { type Place, Places, thrownBy } from './postgres-place.ts';

let places: Places;
const client = (): Client => places.client;
beforeAll(async () => {
  places = await Places.start();
  await client().query(`create type mood as enum ('good', 'bad'); create domain small as int check (value < 100);
    create extension hstore; create type pair as (a int, b text)`);
});
afterAll(() => places?.stop());
afterEach(() => places.closeSinks());

/** Types with values that they take, and some that they do not. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  text: ['plain', '\\.', '\\N', 'a\\.b', 'NULL', "'", '=1+1'],
  'varchar(5)': ['short', 'too long'],
  'char(3)': ['ab', 'ab   ', 'abcd'],
  name: ['x'.repeat(70)],
  int4: ['1', ' 42 ', '+7', '007', '2147483647', '2147483648', '1.0', '1e3'],
  int8: ['9007199254740993', '-9223372036854775808', 'one'],
  numeric: ['1.50', '1e400', 'NaN', '-0.0', 'Infinity', '12,5'],
  'numeric(5, 2)': ['999.995', '1000', '0.001'],
  float8: ['0.1', '1e308', '1e309', '-0', 'nan'],
  boolean: ['true', 'f', 'YES', 'off', '1', 'maybe'],
  date: ['2026-11-19', 'infinity', '19.11.2026', '2026-02-30', 'today at noon'],
  timestamptz: ['2026-11-19T12:00:00Z', '2026-11-19 12:00:00.123456+02', 'epoch', '2026-13-01'],
  interval: ['1 day', 'P1DT2H', '1 fortnight'],
  uuid: ['c4ca4238-a0b9-2382-0dcc-509a6f75849b', '{C4CA4238A0B923820DCC509A6F75849B}', 'c4ca'],
  'int4[]': ['{1,NULL,3}', '[1,2]', '{}'],
  'text[]': ['{a,"b,c",NULL}', '["a","b"]', '{"'],
  'jsonb[]': ['{"{\\"a\\": 1}"}', '[{"a":1}]'],
  mood: ['good', 'ugly'],
  small: ['99', '100'],
  inet: ['10.0.0.1/8', '10.0.0'],
  point: ['(1,2)', '1'],
  xml: ['<a/>', '<a'],
  jsonb: ['{"a": 1}', '[1]', 'null', 'text', '"text"', '1'],
  json: ['{"a":  1}', 'text'],
  hstore: ['a=>1', '{"a=>1":"x"}', '{"a": null}', '{}', 'a'],
  'hstore[]': ['{a=>1}', '[{"a=>1":"x"}]', '[{'],
  pair: ['(1,x)', '{"b":"x,y"}', '(1', '{"c":1}', '{'],
  'pair[]': ['{"(1,x)",NULL}', '[{"a":1},null]'],
  bytea: ['YWJj', '\\x616263', 'abc', 'a\\\\b', 'no base64!'],
  'bytea[]': ['{"\\\\x61"}', '{YWJj}'],
};
const NAMES = Object.keys(TYPES);
const letters = fc.string({ unit: fc.constantFrom(...'a"\n\r\t\v\b,;\\.ü€𝄞 0\u2028\ufeff{}[]'), maxLength: 6 });
const others = fc.string({ unit: 'grapheme', maxLength: 12 });

/** A field: text, and whether it is quoted where it need not be; null is nothing at all. */
type Field = { readonly text: string; readonly quoted: boolean } | null;

function fieldOf(type: string): fc.Arbitrary<Field> {
  const takesAny = /^(?:text|varchar|char|name|json|bytea)/.test(type);
  const text = fc.oneof(
    { arbitrary: fc.constantFrom(...TYPES[type]!), weight: 20 },
    // What every type takes without an error, so that most batches are written.
    { arbitrary: fc.constant(TYPES[type]![0]!), weight: 60 },
    { arbitrary: fc.oneof(letters, others, fc.constant('')), weight: takesAny ? 40 : 1 },
  );
  const field = fc.record({ text: text.map((one) => one.replaceAll('\0', '')), quoted: fc.boolean() });
  return fc.option(field, { freq: 5 });
}

/** As the framer hands it over: what has to be quoted is, a carriage return that stands alone need not be. */
function spelled(fields: readonly Field[]): string {
  const row = fields.map((field) => {
    if (field === null) return '';
    const { text, quoted } = field;
    return quoted || text === '' || /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return row.length === 1 && row[0] === '' ? '""' : row.join(',');
}

const tables = fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 5 }).chain((types) =>
  fc.record({
    types: fc.constant(types),
    rows: fc.array(fc.tuple(...types.map(fieldOf)), { minLength: 1, maxLength: 8 }),
  }),
);

/** What a sink makes of these records, handed over so: what the table holds, or all that is said of the refusal. */
async function outcomeOf({ sink, table }: Place, records: readonly string[], how: 'csv' | 'lines', columns: string[]) {
  await client().query(`truncate ${table}`);
  const csv = { records, framing: CSV_ROWS, format: 'csv', columns } as const;
  const lines = asLines(testPayload(csv));
  const texts = records.map((_, at) =>
    Buffer.from(lines.bytes.slice(lines.spans[at * 2], lines.spans[at * 2 + 1])).toString(),
  );
  const error = await thrownBy(sink.can.append!(testPermit(how === 'csv' ? csv : { records: texts, framing: LINES })));
  if (error !== undefined && !(error instanceof RefusedError)) throw error;
  const { rows } = await client().query<{ t: string }>(`select t::text as t from ${table} t order by ctid`);
  const said = error === undefined ? undefined : { message: error.message, reason: error.reason, about: error.about };
  return { rows: rows.map(({ t }) => t), said, hint: error?.hint, ids: error?.ids };
}

describe('CSV that is handed on to PostgreSQL', () => {
  it('makes the very rows, or the very refusal, that the same records make as JSON', async () => {
    const place = await places.make(NAMES.map((type) => `"a ${type}" ${type}`).join(', '));
    const seen = { written: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(tables, async ({ types, rows }) => {
        const columns = types.map((type) => `a ${type}`);
        const records = rows.map(spelled);
        const wanted = await outcomeOf(place, records, 'lines', columns);
        expect(await outcomeOf(place, records, 'csv', columns)).toEqual(wanted);
        seen[wanted.said === undefined ? 'written' : 'refused']++;
      }),
      { numRuns: 400 },
    );
    expect(seen.written).toBeGreaterThan(100);
    expect(seen.refused).toBeGreaterThan(20);
  }, 120_000);

  it('does not let the server read an object in JSON as another hstore', async () => {
    const { sink, rows } = await places.make('h hstore');
    const csv = { records: ['"{""a=>1"":""x""}"', 'a=>1'], framing: CSV_ROWS, format: 'csv', columns: ['h'] } as const;
    await sink.can.append!(testPermit(csv));
    expect(await rows("h->'a', h->'a=>1'")).toEqual([
      ['1', null],
      [null, 'x'],
    ]);
  });

  /** What the server was asked while rows came in: a COPY is known by the text of its statement. */
  async function watched(columns: string): Promise<Place & { copies(): Promise<string[]> }> {
    const place = await places.make(columns);
    const { table } = place;
    await client().query(`create table ${table}_log (query text);
      create function ${table}_f() returns trigger language plpgsql as
        'begin insert into ${table}_log values (current_query()); return null; end';
      create trigger watch after insert on ${table} execute function ${table}_f()`);
    const copies = async (): Promise<string[]> => {
      const { rows } = await client().query<{ query: string }>(`select query from ${table}_log`);
      await client().query(`truncate ${table}_log`);
      return rows.map(({ query }) => (query.includes('format csv') ? 'csv' : 'text'));
    };
    return { ...place, copies };
  }
  const permitOf = (columns: readonly string[], ...records: string[]) =>
    testPermit({ records, framing: CSV_ROWS, format: 'csv', columns });

  it.each<[string, string, readonly string[], readonly string[], string]>([
    ['fields with line ends and quotes', 'a text, b int', ['a', 'b'], ['"one\r\ntwo\n""\n",1', ',2'], 'csv'],
    ['columns by name, others by their defaults', "b int, c text default 'd', a text", ['a', 'b'], ['x,1'], 'csv'],
    ['a text in the middle of a row that would end the data', 'a text, b text', ['a', 'b'], ['\\.,\\.'], 'csv'],
    ['a row that would end the data', 'a text', ['a'], ['x', '\\.', 'y'], 'text'],
    ['a row that would end the data, in quotes', 'a text', ['a'], ['x', '"\\."', '"\n\\.\n"'], 'csv'],
    ['a carriage return that would end a row', 'a text, b text', ['a', 'b'], ['x\ry,"z"', '1,2'], 'text'],
    ['carriage returns at the end of every row', 'a text, b text', ['a', 'b'], ['x,y\r', '1,2\r'], 'text'],
    ['a column of json', 'a jsonb, b text', ['a', 'b'], ['1,2'], 'text'],
    ['a column of bytes', 'a bytea', ['a'], ['YWJj'], 'text'],
    ['a column that only the server counts', 'a int generated always as identity, b text', ['a', 'b'], ['9,x'], 'csv'],
  ])('%s', async (_, definition, columns, records, how) => {
    const place = await watched(definition);
    await place.sink.can.append!(permitOf(columns, ...records));
    expect(await place.copies()).toEqual([how]);
    const rows = await place.rows('*');
    const plain = await places.make(definition);
    const wanted = await outcomeOf(plain, records, 'lines', [...columns]);
    expect(wanted.said).toBeUndefined();
    expect(rows).toEqual(await plain.rows('*'));
    expect(rows).toHaveLength(records.length);
  });

  it('P32: names the record that is refused, though it is not that line, and writes nothing of the batch', async () => {
    const { sink, rows, copies } = await watched('a text, b int primary key, c numeric not null');
    const refused = async (records: string[], wanted: object) => {
      const error = await thrownBy(sink.can.commitOnce!(permitOf(['a', 'b', 'c'], '"1\n2\n3",1,1', ...records)));
      expect(error).toBeInstanceOf(RefusedError);
      expect(error).toMatchObject(wanted);
      expect(`${error}${JSON.stringify(error)}`).not.toContain('secret');
    };
    await refused(['x,secret,1'], { reason: '22P02', message: expect.stringMatching(/record 2 .*"b"/) });
    await refused(['"\n\n\n",2,2', 'x,3,'], { reason: '23502', message: expect.stringMatching(/record 3 .*"c"/) });
    await refused(['"\n",2,2', 'x,1,1'], { reason: '23505', message: expect.stringContaining('record 3') });
    await refused(['x,"",1'], { reason: '22P02', message: expect.stringMatching(/record 2 .*"b"/) });
    expect(await rows()).toEqual([]);
    await sink.can.commitOnce!(permitOf(['a', 'b', 'c'], 'x,1,1'));
    expect(await copies()).toEqual(['csv']);
    expect(await rows()).toEqual([['x', 1, '1']]);
  });

  it('refuses at the commit what is checked only there', async () => {
    await client().query('create table parents (id int primary key)');
    const { sink, rows } = await places.make('n int references parents deferrable initially deferred, t text');
    const error = await thrownBy(sink.can.commitOnce!(permitOf(['n', 't'], '1,x')));
    expect(error).toMatchObject({ code: 'REFUSED', reason: '23503', about: 'content' });
    expect(await rows()).toEqual([]);
  });

  it('P32: a field that is no column, or one that the server computes, is refused as in any other format', async () => {
    const { sink } = await places.make('a int, b int generated always as (a + 1) stored');
    const refused = async (columns: string[], reason: string) => {
      const error = await thrownBy(sink.can.append!(permitOf(columns, '1,2')));
      expect(error).toMatchObject({ reason, message: expect.stringContaining('record 1') });
    };
    await refused(['a', 'c'], 'column-unknown');
    await refused(['a', 'B'], 'column-unknown');
    await refused(['a', 'b'], 'column-generated');
  });

  it('is not written past a trigger that leaves rows out', async () => {
    const { sink, rows, table } = await places.make('n int');
    await client().query(`create function ${table}_f() returns trigger language plpgsql as
        'begin if new.n = 2 then return null; end if; return new; end';
      create trigger one before insert on ${table} for each row execute function ${table}_f()`);
    const error = await thrownBy(sink.can.append!(permitOf(['n'], '1', '2')));
    expect(error).toMatchObject({ reason: 'rows-left-out' });
    expect(await rows()).toEqual([]);
  });

  it('is written by key, and found by it', async () => {
    const { sink, rows } = await places.make('id int primary key, t text', { key: ['id'] });
    const permit = permitOf(['t', 'id'], 'a,1', '"b\n",2', ',1');
    await sink.can.put!(permit);
    expect(await rows()).toEqual([
      [1, null],
      [2, 'b\n'],
    ]);
    const found = await sink.can.find!(permit.batch, await permit.payload());
    expect(found.records).toEqual(['unknown', 'applied', 'applied']);
    expect(await thrownBy(sink.can.put!(permitOf(['t', 'id'], 'a,3', 'b,')))).toMatchObject({
      reason: 'key-missing',
      ids: { record: 2 },
    });
  });

  it('is collected for a load, with what its rows lack', async () => {
    const bench = await LoadBench.make(places, "id int not null, shop text, more text default 'd'");
    const add = async (columns: readonly string[], ...records: string[]) => {
      const permit = testPermit({ records, framing: CSV_ROWS, format: 'csv', columns, batch: records.length });
      return await thrownBy(bench.can.load.add({ ...permit, load: bench.load() }));
    };
    await bench.can.load.open(bench.step());
    expect(await add(['shop', 'id'], '"a\n",1', ',2')).toBeUndefined();
    expect(await add(['id', 'shop', 'more'], '3,c,', '4,"",e', '5,e,f')).toBeUndefined();
    expect(await add(['id'], 'secret')).toMatchObject({
      reason: '22P02',
      message: expect.stringContaining('record 1'),
    });
    await bench.can.replace(bench.step(), { kind: 'all' });
    expect(await bench.rows()).toEqual([
      [1, 'a\n', 'd'],
      [2, null, 'd'],
      [3, 'c', null],
      [4, '', 'e'],
      [5, 'e', 'f'],
    ]);
  });
});
