import Database from 'better-sqlite3';
import { declaredType } from '../../src/formats/columns/sqlite-types.ts';
import { plainOfSqlite, type SqliteValue, sqliteValue } from '../../src/formats/columns/sqlite-values.ts';
import { jsonOf, readJsonValue, readText } from '../../src/formats/columns/values.ts';
import { cellOf, plainOfCell } from '../../src/formats/parquet/cells.ts';
import { shapeOf } from '../../src/formats/parquet/schema.ts';
import { binaryBytes, binaryText } from '../../src/formats/pgcopy/binary-values.ts';
import { sqlType } from '../../src/formats/pgcopy/oids.ts';
import { pgOfPlain } from '../../src/formats/pgcopy/text-values.ts';
import { COLUMN_KINDS, type ColumnType, parseColumnType, showColumnType } from '../../src/model/columns.ts';
import { WaybillError } from '../../src/model/errors.ts';

/** A value of each type, as plain text. */
const SAMPLES: Readonly<Record<string, string>> = {
  boolean: 'true',
  int16: '-32768',
  int32: '2147483647',
  int64: '9223372036854775807',
  float32: '0.1',
  float64: '1.7976931348623157e+308',
  'decimal(12,2)': '1234.50',
  decimal: '12345678901234567890.10',
  text: 'a "b"',
  bytes: 'AAH/',
  date: '2026-11-19',
  time: '08:30:00.5',
  timestamp: '2026-11-19T08:30:00.000001',
  timestamptz: '2026-11-19T08:30:00+00:00',
  uuid: '3f2b8c1e-0000-4d5a-9b7e-000000000001',
  json: '{"a":1.0,"a":2}',
  jsonb: '{"a": 1.0}',
  'int64[]': '[[1,null],[3,4]]',
};

/** Values at the edges, each tried in every form when this page is made. */
const EDGES: readonly (readonly [type: string, plain: string])[] = [
  ['float64', 'NaN'],
  ['float64', '-Infinity'],
  ['float64', '-0'],
  ['decimal', 'NaN'],
  ['decimal(12,2)', 'NaN'],
  ['text', ''],
  ['text', '\\N'],
  ['text', 'a\0b'],
  ['bytes', ''],
  ['bytes', 'AA=='],
  ['date', 'infinity'],
  ['date', '0044-03-15 BC'],
  ['time', '24:00:00'],
  ['timestamp', 'infinity'],
  ['timestamp', '294276-12-31T23:59:59.999999'],
  ['timestamptz', '-infinity'],
  ['json', 'null'],
  ['json', '"\\u0000"'],
  ['jsonb', '"\\u0000"'],
  ['int64[]', '[]'],
  ['int64[]', '[null,null]'],
];

const typeOf = (text: string): ColumnType => {
  const type = parseColumnType(text);
  if (type === undefined) throw new Error(`${text} is no type`);
  return type;
};

/** The page of types: what each is in every format and store, and what becomes of values at the edges. */
export function typesPage(): string {
  const missing = COLUMN_KINDS.filter((kind) => !(kind in SAMPLES));
  if (missing.length > 0) throw new Error(`no sample of ${missing.join(', ')}`);
  const rows = Object.entries(SAMPLES).map(([text, plain]) => sampleRow(typeOf(text), plain));
  const edges = EDGES.map(([text, plain]) => edgeRow(typeOf(text), plain));
  return `${HEAD}
| type | JSON | CSV | PostgreSQL | in text COPY | SQLite | Parquet |
|---|---|---|---|---|---|---|
${rows.join('\n')}

${MIDDLE}
| type | value | NDJSON | PostgreSQL | SQLite | Parquet |
|---|---|---|---|---|---|
${edges.join('\n')}

${TAIL}`;
}

const code = (text: string): string => (text === '' ? 'nothing' : `\`${text.replaceAll('|', '\\|')}\``);

function sampleRow(type: ColumnType, plain: string): string {
  const csv = /[",\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  const cells = [
    showColumnType(type),
    jsonOf(type, plain),
    csv,
    sqlType(type),
    pgOfPlain(type, plain),
    declaredType(type),
  ];
  return `| ${[...cells.map(code), parquetShape(type)].join(' | ')} |`;
}

function parquetShape(type: ColumnType): string {
  const { type: physical, logical_type: logical, converted_type: converted } = shapeOf(type);
  const said = logical?.type ?? (converted === 'UTF8' ? 'STRING' : converted);
  const utc = logical?.type === 'TIMESTAMP' ? `, ${logical.isAdjustedToUTC ? '' : 'not '}in UTC, microseconds` : '';
  return said === undefined ? `${physical}` : `${said} (${physical}${utc})`;
}

function edgeRow(type: ColumnType, plain: string): string {
  const ways = [throughJson, throughPostgres, throughSqlite, throughParquet];
  const shown = JSON.stringify(plain).slice(1, -1).replaceAll('\\"', '"').replaceAll('\\\\', '\\');
  const cells = ways.map((way) => outcome(plain, () => way(type, plain)));
  return `| ${[code(showColumnType(type)), plain === '' ? 'empty' : code(shown), ...cells].join(' | ')} |`;
}

function outcome(plain: string, way: () => string | null): string {
  try {
    const back = way();
    if (back === plain) return 'kept';
    return back === null ? 'null' : `becomes ${code(back)}`;
  } catch (error) {
    if (error instanceof WaybillError) return `refused: ${error.message}`;
    throw error;
  }
}

const throughJson = (type: ColumnType, plain: string): string | null => readJsonValue(type, jsonOf(type, plain));

function throughPostgres(type: ColumnType, plain: string): string {
  const bytes = binaryBytes(type, plain);
  return binaryText(type, bytes, 0, bytes.length);
}

function throughSqlite(type: ColumnType, plain: string): string | null {
  const database = new Database(':memory:');
  try {
    database.defaultSafeIntegers(true);
    database.exec(`create table t (v ${declaredType(type)})`);
    database.prepare('insert into t values (?)').run(sqliteValue(type, plain));
    return plainOfSqlite(type, database.prepare<[], SqliteValue>('select v from t').pluck().get() ?? null);
  } finally {
    database.close();
  }
}

function throughParquet(type: ColumnType, plain: string): string {
  return plainOfCell(type, { name: 'v', ...shapeOf(type) }, cellOf(type, readText(type, plain)));
}

const HEAD = `# Types of columns

A column has one of these types wherever Waybill knows it: where a source tells (PostgreSQL, SQLite, Parquet) or the
flow file says so (\`types:\` of CSV, \`columns:\` of Parquet and of \`schema:\`). Each value has one spelling in JSON
and CSV, so that a row is the same row in every format. An array may have any number of dimensions and is \`type[]\`.

This page is made by carrying the values through the code.
`;

const MIDDLE = `Null is \`null\` in JSON, nothing at all in CSV (\`""\` is the empty text) and null everywhere else.

## At the edges

\`kept\`: the value comes back as it was. \`refused\`: the record is left out with this reason and the name of the
column, and the rest goes on.
`;

const TAIL = `## What to know

- **Numbers.** No number passes through a double on its way. One with more digits than its column holds is refused,
  not rounded: \`9007199254740993\` for \`float64\`, \`1.005\` for \`decimal(5,2)\`. \`42.0\` is whole.
  PostgreSQL itself rounds, for everybody, what reaches a column of a table that is there without a type that is known
  (NDJSON, CSV without \`types:\`): its \`numeric(5,2)\` takes \`1.005\` as \`1.01\`.
- **Decimals.** \`decimal\` without digits keeps what was written, zeros at the end as well. In Parquet, one without
  digits or with more than 38 of them is text.
- **JSON** keeps each token as it is spelled: large numbers, members that come twice. Inside a record of NDJSON, and
  inside an array, its line ends become blanks and the space around it goes; the JSON value \`null\` is no value there.
- **jsonb** is what PostgreSQL made of it when it was stored; others keep it as they get it.
- **Texts** are UTF-8. Half a surrogate pair, which only JSON can spell, is refused, and so is a NUL where
  records are written as CSV.
- **Timestamps** with a zone are kept as the moment, in UTC; the zone itself is not kept, as in PostgreSQL. Dates before
  year 1 end with \` BC\`; the signed years of ISO 8601 are read as well.
- **Arrays** that do not begin at 1, and arrays of JSON with several dimensions, are refused: JSON has no form for them.
- **SQLite** stores what it is given in whatever column; one that is declared as in the table keeps values as they are,
  and Waybill reads its type from that. Of any other column it makes numbers where it can: where \`NUMERIC\`,
  \`DECIMAL\` or \`INTEGER\` would round one, the record is refused, as where \`REAL\` would make it infinite.
  \`REAL\` may round, \`TEXT\` keeps every digit.
- Types that are not here (intervals, ranges, enumerations) travel as text, if the query casts them to it.
`;
