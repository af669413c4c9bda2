import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { sqlType } from '../src/formats/pgcopy/oids.ts';
import { COLUMN_KINDS } from '../src/model/columns.ts';
import { type Ended, expectError, filesBelow, type Started, start } from './hard/processes.ts';
import { SchemaBench } from './schema-bench.ts';

/** A value of each type that all three stores have. */
const VALUES: Readonly<Record<(typeof COLUMN_KINDS)[number], string>> = {
  boolean: 'true',
  int16: '-32768',
  int32: '-2147483648',
  int64: '-9223372036854775808',
  float32: '3.4028235e+38',
  float64: '5e-324',
  decimal: `${'9'.repeat(500)}.${'1'.repeat(500)}`,
  text: '\ufeff"\\N"\t😀',
  bytes: '\\x0001ff',
  date: '0044-03-15 BC',
  time: '24:00:00',
  timestamp: '1969-12-31 23:59:59.999999',
  timestamptz: '2026-03-29 02:30:00.000001+05:45',
  uuid: '00000000-0000-0000-0000-00000000000f',
  json: '{"a":12345678901234567890.10,"a":[1e400]}',
  jsonb: '[{"b": 1.0}, "\\ud83d\\ude00"]',
};

let bench: SchemaBench;
const started: Started[] = [];
beforeAll(async () => {
  bench = await SchemaBench.start();
  const columns = COLUMN_KINDS.flatMap((kind) => [
    `c_${kind} ${sqlType({ kind })}`,
    `l_${kind} ${sqlType({ kind, array: true })}`,
  ]);
  await bench.client.query(`create table every (id int8 primary key, day date, ${columns.join(', ')})`);
  const places = COLUMN_KINDS.map(
    (kind, at) => `$${at + 1}::text::${sqlType({ kind })}, array[$${at + 1}::text]::${sqlType({ kind })}[]`,
  );
  await bench.client.query(`insert into every values (1, '2026-11-19', ${places.join(', ')})`, Object.values(VALUES));
  await bench.client.query(`insert into every (id, day, c_text) values (2, '2026-11-19', ''), (3, '2026-11-20', 'x')`);
});
afterAll(() => bench?.stop());
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill('SIGKILL');
    await child.ended;
  }
});

function waybill(...args: string[]): Promise<Ended> {
  const env = { ...process.env, NO_COLOR: '1', WAREHOUSE: bench.server.password };
  const child = start({ folder: bench.folder, env }, args);
  started.push(child);
  return child.ended;
}

const FLOW = (
  schema: string,
): string => `source: { connection: db, query: "select * from every where day = :date", key: id }
window: day
schema: ${schema}
sinks:
  copy: { connection: db, table: copy, key: [id] }
  local: { connection: lite, table: copy, key: [id] }
  files: { connection: folder, path: "out/{{ window }}/{{ batch }}.parquet", schema: evolve }`;

const flowOf = (source: string, sink: string, schema = 'evolve'): string =>
  `source: { ${source} }\nsink: { ${sink} }\nschema: ${schema}`;

describe('a table with every type, from the command line', () => {
  it('P08, P32: goes to new tables and to Parquet, and a new column goes by each of the four policies', async () => {
    bench.configure({ every: FLOW('evolve') });
    const planned = await waybill('plan', 'every', '--for', '2026-11-19');
    expect(planned.status, planned.stderr).toBe(0);
    const shown = planned.stdout.replaceAll(/\s+/g, ' ');
    expect(shown).toMatch(/schema: creates the table: id bigint, day date, c_boolean boolean/);
    expect(shown).toMatch(/schema: creates the table: id INTEGER, day TEXT DATE/);
    expect(await bench.columns('copy')).toEqual({});
    const first = await waybill('run', 'every', '--for', '2026-11-19');
    expect(first.status, first.stderr).toBe(0);
    expect(await bench.columns('copy')).toEqual(await bench.columns('every'));
    expect(await bench.dump('copy')).toEqual(await bench.dump('(select * from every where day < $$2026-11-20$$) e'));
    expect(filesBelow(join(bench.folder, 'out'))).toHaveLength(1);

    bench.configure({
      every: FLOW('evolve'),
      local: flowOf('connection: lite, table: copy, key: id', 'connection: db, table: from_lite'),
      files: flowOf('connection: folder, path: "out/**/*.parquet", key: id', 'connection: db, table: from_files'),
    });
    for (const flow of ['local', 'files']) {
      const back = await waybill('run', flow);
      expect(back.status, back.stderr).toBe(0);
      expect(await bench.columns(`from_${flow === 'local' ? 'lite' : 'files'}`)).toEqual(await bench.columns('every'));
      expect(await bench.dump(`from_${flow === 'local' ? 'lite' : 'files'}`)).toEqual(await bench.dump('copy'));
    }

    await bench.client.query(`alter table every add note text; update every set note = 'n' where day = '2026-11-20'`);
    const next = () => waybill('run', 'every', '--for', '2026-11-20', '--refresh');
    bench.configure({ every: FLOW('freeze') });
    const frozen = await next();
    expect(expectError(frozen, 'SCHEMA_DIFFERS', 5)).toMatch(/the column "note" \(text\) is not in the sink/);
    expect(await bench.dump('copy', 'count(*)')).toEqual(['(2)']);
    bench.configure({ every: FLOW('reject-record') });
    const rejected = await next();
    expect(rejected.status, rejected.stderr).toBe(3);
    expect((await waybill('records', '--state', 'refused')).stdout).toMatch(/COLUMN_UNKNOWN/);
    bench.configure({ every: FLOW('discard-column') });
    const discarded = await next();
    expect(discarded.status, discarded.stderr).toBe(0);
    expect(discarded.stderr).toMatch(/lane copy: the column "note" was left out of 1 record/);
    expect(await bench.dump('copy', 'id, c_text')).toEqual(expect.arrayContaining(['(3,x)']));
    bench.configure({ every: FLOW('evolve') });
    await bench.client.query(`insert into every (id, day, note) values (4, '2026-11-20', 'm')`);
    const evolved = await next();
    expect(evolved.status, evolved.stderr).toBe(0);
    expect(await bench.dump('copy', 'id, note')).toEqual(expect.arrayContaining(['(4,m)']));
    expect(bench.lite((database) => database.prepare('select note from copy where id = 4').pluck().get())).toBe('m');
  }, 240_000);

  it('P32: comes back from NDJSON by declared types as it was', async () => {
    const types = COLUMN_KINDS.flatMap((kind) => [`c_${kind}: ${kind}`, `l_${kind}: "${kind}[]"`]).join(', ');
    const declared = `{ create: true, columns: { id: int64, day: date, ${types}, note: text } }`;
    bench.configure({
      out: 'source: { connection: db, table: every, key: id }\nsink: { connection: folder, path: every.ndjson }',
      back: flowOf('connection: folder, path: every.ndjson, key: id', 'connection: db, table: from_lines', declared),
      lite: flowOf('connection: folder, path: every.ndjson, key: id', 'connection: lite, table: from_lines', declared),
    });
    for (const flow of ['out', 'back', 'lite']) {
      const ended = await waybill('run', flow);
      expect(ended.status, ended.stderr).toBe(0);
    }
    expect(await bench.dump('from_lines')).toEqual(await bench.dump('every'));
    bench.configure({
      twice: flowOf('connection: lite, table: from_lines, key: id', 'connection: db, table: twice'),
    });
    expect((await waybill('run', 'twice')).status).toBe(0);
    expect(await bench.dump('twice')).toEqual(await bench.dump('every'));
  }, 120_000);
});
