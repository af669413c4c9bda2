import fc from 'fast-check';
import { COLUMN_KINDS, type ColumnKind, type Columns, type ColumnType } from '../../src/model/columns.ts';

/** Values of every type as PostgreSQL reads them: those at the edges, and any others. */
const two = (n: number): string => String(n).padStart(2, '0');
const date = fc
  .tuple(
    fc.integer({ min: 1, max: 9999 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 28 }),
    fc.boolean(),
  )
  .map(([year, month, day, before]) => ({
    date: `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`,
    era: before && year < 4000 ? ' BC' : '',
  }));
const time = fc
  .tuple(fc.integer({ min: 0, max: 86_399 }), fc.integer({ min: 0, max: 999_999 }))
  .map(
    ([s, us]) =>
      `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}.${String(us).padStart(6, '0')}`,
  );
const moment = fc.tuple(date, time).map(([{ date: day, era }, clock]) => `${day} ${clock}${era}`);
const zoned = fc
  .tuple(date, time, fc.integer({ min: -15, max: 15 }))
  .map(([{ date: day, era }, clock, zone]) => `${day} ${clock}${zone < 0 ? '-' : '+'}${two(Math.abs(zone))}${era}`);

const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 1, maxLength: 60 });
const decimal = fc
  .tuple(fc.boolean(), digits, fc.option(digits, { nil: '' }))
  .map(([minus, whole, fraction]) => `${minus ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`);
const money = fc.bigInt({ min: -(10n ** 12n) + 1n, max: 10n ** 12n - 1n }).map((cents) => {
  const all = String(cents < 0n ? -cents : cents).padStart(3, '0');
  return `${cents < 0n ? '-' : ''}${all.slice(0, -2)}.${all.slice(-2)}`;
});

const text = fc
  .oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }))
  .map((value) => value.replaceAll('\0', ' '));
const json = fc.oneof(
  fc.json().filter((value) => value !== 'null'),
  fc.json({ maxDepth: 3 }).map((value) => `{ "a" : ${value},  "a" :\t[${value}, 12345678901234567890.10] }`),
);
const withoutNul = (value: string): boolean => !/\\u(0000|d[89a-f])/i.test(value) && !/[eE]/.test(value);

const any = (values: readonly string[], others: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ weight: 1, arbitrary: fc.constantFrom(...values) }, { weight: 1, arbitrary: others });
const whole = (bits: bigint): fc.Arbitrary<string> =>
  any(
    ['0', '-1', '42', String(2n ** (bits - 1n) - 1n), String(-(2n ** (bits - 1n)))],
    fc.bigInt({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n }).map(String),
  );
const FLOATS = ['0', '-0', 'NaN', 'Infinity', '-Infinity', '0.1', '1e-7', '123456789', '-42.5'];

const VALUES: Readonly<Record<ColumnKind, fc.Arbitrary<string>>> = {
  boolean: fc.constantFrom('t', 'f'),
  int16: whole(16n),
  int32: whole(32n),
  int64: any(['9007199254740992', '9007199254740993', '-9007199254740993'], whole(64n)),
  float32: any(
    [...FLOATS, '3.4028235e+38', '1e-45', '16777217', '0.3'],
    fc.float({ noDefaultInfinity: true, noNaN: true }).map(String),
  ),
  float64: any(
    [...FLOATS, '1.7976931348623157e+308', '5e-324', '9007199254740993', '1e21', '123456789012345680000'],
    fc.double({ noDefaultInfinity: true, noNaN: true }).map(String),
  ),
  decimal: any(
    [
      '0',
      '0.000',
      '-0.5',
      '1.50',
      'NaN',
      'Infinity',
      '-Infinity',
      `${'9'.repeat(600)}.${'1234567890'.repeat(40)}`,
      `0.${'0'.repeat(399)}1`,
      `1${'0'.repeat(400)}`,
    ],
    decimal,
  ),
  text: any(
    [
      '',
      'NULL',
      'null',
      '\\N',
      '\\.',
      '\\',
      '"',
      '""',
      'a\tb\nc\r\nd',
      '\ufeffmark',
      ' ',
      ',',
      "'",
      '😀 é e\u0301',
      '\u0001\u001f\u007f',
      '\ufffd',
      '{}',
      '=1+1',
      '\r',
    ],
    text,
  ),
  bytes: any(
    ['\\x', '\\x00', '\\x000102ff', '\\x5c4e'],
    fc.uint8Array().map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`),
  ),
  date: any(
    [
      'infinity',
      '-infinity',
      '4713-11-24 BC',
      '0001-12-31 BC',
      '0001-01-01',
      '2000-02-29',
      '1969-12-31',
      '5874897-12-31',
    ],
    date.map(({ date: day, era }) => day + era),
  ),
  time: any(['00:00:00', '24:00:00', '23:59:59.999999', '12:00:00.1'], time),
  timestamp: any(
    [
      'infinity',
      '-infinity',
      '4713-11-24 00:00:00 BC',
      '294276-12-31 23:59:59.999999',
      '0044-03-15 12:00:00 BC',
      '1969-12-31 23:59:59.999999',
      '2000-01-01 00:00:00',
    ],
    moment,
  ),
  timestamptz: any(
    [
      'infinity',
      '-infinity',
      '4713-11-25 00:00:00+00 BC',
      '294276-12-31 23:59:59.999999+00',
      '2026-03-29 02:30:00+05:45',
      '1883-11-18 12:03:57.5+00:19:32',
    ],
    zoned,
  ),
  uuid: any(['00000000-0000-0000-0000-000000000000', 'FFFFFFFF-ffff-ffff-ffff-ffffffffffff'], fc.uuid()),
  json: any(
    ['{}', '[]', '""', '0', '[1, 1.0,  1e400, -0, 12345678901234567890]', '{"a":1,"a":{"a":2}}', '"\\u0000\\ud800"'],
    json,
  ),
  jsonb: any(
    ['{}', '[]', '""', '0', '[1, 1.0, 12345678901234567890.123]', '{"b":1,"a":2,"b":3}', '"😀"'],
    json.filter(withoutNul),
  ),
};

const quoted = (value: string): string => `"${value.replaceAll(/["\\]/g, '\\$&')}"`;

/** Items of an array; jsonb and json have one dimension, others up to two. */
function arrays({ kind }: ColumnType): fc.Arbitrary<string> {
  const item = fc.option(VALUES[kind].map(quoted), { nil: 'NULL' });
  const row = (length: number): fc.Arbitrary<string> =>
    fc.array(item, { minLength: length, maxLength: length }).map((items) => `{${items.join(',')}}`);
  const flat = fc.integer({ min: 0, max: 4 }).chain(row);
  if (kind === 'json' || kind === 'jsonb') return flat;
  const table = fc
    .integer({ min: 1, max: 3 })
    .chain((length) => fc.array(row(length), { minLength: 1, maxLength: 3 }))
    .map((rows) => `{${rows.join(',')}}`);
  return fc.oneof(flat, fc.constantFrom('{}', '{NULL}', '{NULL,NULL}'), table);
}

export function valuesOf(type: ColumnType): fc.Arbitrary<string | null> {
  if (type.array === true) return fc.option(arrays(type), { freq: 8 });
  const values = type.precision === undefined ? VALUES[type.kind] : any(['0', 'NaN', '-0.01', '9999999999.99'], money);
  return fc.option(values, { freq: 8 });
}

/** One column of every type, one of a decimal with digits, and an array of each. */
export const EVERY_COLUMN: Columns = [
  ...COLUMN_KINDS.map((kind) => ({ name: `a ${kind}`, type: { kind }, nullable: true })),
  { name: 'money', type: { kind: 'decimal', precision: 12, scale: 2 } as const, nullable: true },
  ...COLUMN_KINDS.map((kind) => ({ name: `${kind}[]`, type: { kind, array: true as const }, nullable: true })),
];
