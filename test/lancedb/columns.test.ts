import { describe, expect, it } from 'vitest';
import { type LanceBench, onLance } from './bench.ts';
import { permitOf } from './steps.ts';

const TYPES = {
  id: 'int64',
  flag: 'boolean',
  small: 'int16',
  whole: 'int32',
  real: 'float64',
  single: 'float32',
  amount: 'decimal(20,4)',
  exact: 'decimal',
  text: 'text',
  bytes: 'bytes',
  day: 'date',
  clock: 'time',
  local: 'timestamp',
  moment: 'timestamptz',
  name: 'uuid',
  doc: 'json',
  numbers: 'int64[]',
  words: 'text[]',
};
/** As the texts of JSON, so that no digit is lost on the way here. */
const EXTREMES: readonly Readonly<Record<string, string>>[] = [
  {
    id: '9223372036854775807',
    flag: 'true',
    small: '-32768',
    whole: '2147483647',
    real: '5e-324',
    single: '0.1',
    amount: '9999999999999999.9999',
    exact: '123456789012345678901234567890.123456789',
    text: '"a \\"quoted\\" \\u0000 ü 🦉\\n"',
    bytes: '"AP8Q"',
    day: '"9999-12-31"',
    clock: '"23:59:59.999999"',
    local: '"0001-01-01T00:00:00.000001"',
    moment: '"2026-11-19T08:30:00.123456+00:00"',
    name: '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"',
    doc: '{"a":[1,{"b":null}],"n":12345678901234567890}',
    numbers: '[1,null,-9223372036854775808]',
    words: '["a","","ü"]',
  },
  {
    id: '-9223372036854775808',
    flag: 'false',
    small: '32767',
    whole: '-2147483648',
    real: '-1.7976931348623157e308',
    single: '3.4028235e38',
    amount: '-0.0001',
    exact: '-0.5',
    text: '""',
    bytes: '""',
    day: '"1969-12-31"',
    clock: '"00:00:00"',
    local: '"1969-12-31T23:59:59.999999"',
    moment: '"1900-01-01T00:00:00+00:00"',
    name: '"00000000-0000-0000-0000-000000000000"',
    doc: '[]',
    numbers: '[]',
    words: '[]',
  },
  { id: '0' },
];
const jsonOf = (fields: Readonly<Record<string, string>>): string =>
  `{${Object.entries(fields)
    .map(([name, raw]) => `${JSON.stringify(name)}:${raw}`)
    .join(',')}}`;

/** What the raw JSON reads as in the end. */
function shown(name: string, raw: string | undefined): string | null {
  if (raw === undefined) return null;
  if (name === 'numbers')
    return JSON.stringify(
      raw
        .slice(1, -1)
        .split(',')
        .filter(Boolean)
        .map((one) => (one === 'null' ? null : one)),
    );
  if (name === 'single' || name === 'real') return String(Number(raw));
  return raw.startsWith('"') ? (JSON.parse(raw) as string) : raw;
}

const fields = async (bench: LanceBench, table = 't') =>
  Object.fromEntries(
    (await (await bench.table(table)).schema()).fields.map((field) => [field.name, String(field.type)]),
  );

describe('columns of LanceDB', () => {
  it(
    'hold each type exactly, its extremes and nulls too',
    onLance(async (bench) => {
      const sink = bench.sink({ key: ['id'], columns: TYPES });
      await sink.can.put!(permitOf(undefined, EXTREMES.map(jsonOf)));
      const rows = await bench.rows();
      for (const fixture of EXTREMES) {
        const row = rows.find(({ id }) => id === fixture.id);
        const expected = Object.keys(TYPES).map((name) => [name, shown(name, fixture[name])]);
        expect(row).toEqual(Object.fromEntries(expected));
      }
      expect(await fields(bench)).toMatchObject({
        id: 'Int64',
        amount: 'Decimal[20e+4]',
        day: 'Date32<DAY>',
        moment: 'Timestamp<MICROSECOND, UTC>',
        numbers: 'List<Int64>',
      });
    }),
  );

  it(
    'may be null in all rows of a batch, whatever their type',
    onLance(async (bench) => {
      const sink = bench.sink({ key: ['id'], columns: { ...TYPES, flags: 'boolean[]' } });
      for (const count of [1, 2, 9]) {
        const rows = Array.from({ length: count }, (_, nth) => `{"id":${count * 10 + nth},"flags":[null]}`);
        await sink.can.put!(permitOf(undefined, rows));
      }
      const rows = await bench.rows();
      expect(rows).toHaveLength(12);
      for (const { id, flags, ...others } of rows) {
        expect([flags, ...new Set(Object.values(others))], `row ${id}`).toEqual(['[null]', null]);
      }
    }),
  );

  it(
    'are read from the first records where nothing is declared',
    onLance(async (bench) => {
      const sink = bench.sink({ key: ['id'] });
      const first = '{"id":12,"f":0.5,"t":"x","b":true,"big":123456789012345678901,"j":{"a":1},"v":[0.5,1],"n":null}';
      await sink.can.put!(permitOf(undefined, ['{"id":1,"f":2,"n":null}', first]));
      expect(await fields(bench)).toEqual({
        id: 'Int64',
        f: 'Float64',
        n: 'Utf8',
        t: 'Utf8',
        b: 'Bool',
        big: 'Utf8',
        j: 'Utf8',
        v: 'List<Float64>',
      });
      expect(await bench.rows('t', 'id = 12')).toMatchObject([{ big: '123456789012345678901', v: '["0.5","1"]' }]);
      const later = sink.can.put!(permitOf(undefined, ['{"id":3}', '{"id":4,"unheard":1}']));
      await expect(later).rejects.toThrow(/record 2 .*"unheard"/);
    }),
  );

  it(
    'are made of arrays without items as of others, and not at all where a column holds this and that',
    onLance(async (bench) => {
      const sink = bench.sink({ key: ['id'] });
      const mixed = permitOf(undefined, ['{"id":1,"v":[]}', '{"id":2,"v":{"a":1}}', '{"id":3,"v":"x"}']);
      // A part of the batch must not make the table as that part happens to be.
      await expect(sink.can.put!(mixed)).rejects.toMatchObject({ about: 'request', hint: /`columns` of the sink/ });
      const texts = ['{"id":1,"v":[],"w":[],"x":[[]]}', '{"id":2,"v":["a"],"w":[null]}', '{"id":3,"v":[null],"x":[]}'];
      await sink.can.put!(permitOf(undefined, texts));
      expect(await fields(bench)).toEqual({ id: 'Int64', v: 'List<Utf8>', w: 'Utf8', x: 'Utf8' });
      expect(await bench.rows('t', 'id < 3')).toMatchObject([
        { v: '[]', w: '[]', x: '[[]]' },
        { v: '["a"]', w: '[null]', x: null },
      ]);
    }),
  );

  it(
    'refuse what does not fit, with record and column, and nothing of the batch is there',
    onLance(async (bench) => {
      const sink = bench.sink({ key: ['id'], columns: TYPES });
      const bad: readonly (readonly [string, string])[] = [
        ['small', '32768'],
        ['day', '"infinity"'],
        ['amount', '0.00001'],
        ['local', '"2026-11-19T08:30:00Z"'],
        ['numbers', '[[1,2],[3,4]]'],
        ['amount', '"NaN"'],
      ];
      for (const [name, raw] of bad) {
        const sent = sink.can.put!(permitOf(undefined, ['{"id":1}', `{"id":2,"${name}":${raw}}`]));
        await expect(sent, `${name} ${raw}`).rejects.toThrow(new RegExp(`record 2 of the batch: column "${name}"`));
      }
      expect(await bench.rows()).toEqual([]);
    }),
  );

  it(
    'of other tools are written by their own types: vectors, small and unsigned numbers, milliseconds',
    onLance(async (bench) => {
      const arrow = await import('apache-arrow');
      const { Field } = arrow;
      const schema = new arrow.Schema([
        new Field('id', new arrow.Utf8(), false),
        new Field('tiny', new arrow.Uint8(), true),
        new Field('huge', new arrow.Uint64(), true),
        new Field('ms', new arrow.TimestampMillisecond(), true),
        new Field('vector', new arrow.FixedSizeList(3, new Field('item', new arrow.Float32(), true)), true),
      ]);
      await (await bench.connection()).createEmptyTable('t', schema);
      const sink = bench.sink({ key: ['id'] });
      const good = '{"id":"a","tiny":255,"huge":18446744073709551615,"ms":"2026-11-19T08:30:00.5","vector":[0.1,2,-3]}';
      await sink.can.put!(permitOf(undefined, [good, '{"id":"b"}']));
      expect(await bench.lines()).toEqual([
        'a 255 18446744073709551615 2026-11-19T08:30:00.5 ["0.1","2","-3"]',
        'b    ',
      ]);
      for (const wrong of ['"tiny":256', '"ms":"2026-11-19T08:30:00.0005"', '"vector":[1,2]']) {
        await expect(sink.can.put!(permitOf(undefined, [`{"id":"c",${wrong}}`])), wrong).rejects.toThrow(/record 1 /);
      }
      expect(await bench.rows()).toHaveLength(2);
    }),
  );
});
