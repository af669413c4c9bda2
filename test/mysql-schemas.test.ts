import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { noMysql, TestMysql } from './mysql.ts';
import { SchemaBench } from './schema-bench.ts';

const missing = noMysql();
if (missing !== undefined) console.log(`SKIPPED: tables made from what MySQL says of its columns: ${missing}`);
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let bench: SchemaBench;
let mysql: TestMysql;
beforeAll(async () => {
  if (missing !== undefined) return;
  [bench, mysql] = await Promise.all([SchemaBench.start(), TestMysql.start()]);
});
afterAll(async () => {
  await bench?.stop();
  await mysql?.stop();
});

const flowOf = (source: string, sink: string, window = 'day'): string =>
  `source: { connection: shop, ${source}, key: id }\nsink: { ${sink} }\nwindow: ${window}\nschema: evolve`;
/** Waybill's own user: what a test sets for the passwords of PostgreSQL is taken for both. */
function configure(flows: Readonly<Record<string, string>>): void {
  const { port } = mysql.server;
  const access = `host: 127.0.0.1, port: ${port}, database: items, user: waybill, password: env:WAREHOUSE`;
  bench.configure(flows, { shop: `{ type: mysql, ${access} }` });
}
const DAY = { window: '2026-11-19' };

const COLUMNS: Readonly<Record<string, readonly [type: string, made: string, values: readonly string[]]>> = {
  id: ['bigint primary key', 'bigint', ['-9223372036854775808', '9223372036854775807', '3']],
  flag: ['boolean', 'smallint', ['true', '-128', 'null']],
  byte: ['tinyint unsigned', 'smallint', ['255', '0', 'null']],
  small: ['smallint', 'smallint', ['-32768', '32767', 'null']],
  usmall: ['smallint unsigned', 'integer', ['65535', '0', 'null']],
  middle: ['mediumint unsigned', 'integer', ['16777215', '0', 'null']],
  plain: ['int', 'integer', ['-2147483648', '2147483647', 'null']],
  uplain: ['int unsigned', 'bigint', ['4294967295', '0', 'null']],
  large: ['bigint unsigned', 'numeric(20,0)', ['18446744073709551615', '0', 'null']],
  price: ['decimal(38,30)', 'numeric(38,30)', ['-12345678.123456789012345678901234567891', '0', 'null']],
  cents: ['decimal(5,0) unsigned', 'numeric(5,0)', ['99999', '0', 'null']],
  ratio: ['float', 'real', ['0.1', '-3.4e38', 'null']],
  exact: ['double', 'double precision', ['0.1', '5e-324', 'null']],
  born: ['date', 'date', ["'9999-12-31'", "'1000-01-01'", 'null']],
  span: ['time(3)', 'text', ["'-838:59:58.999'", "'00:00:00'", 'null']],
  at: ['datetime(6)', 'timestamp without time zone', ["'2026-11-19 08:30:00.000001'", "'1000-01-01'", 'null']],
  seen: ['timestamp(6) null', 'timestamp with time zone', ["'2026-11-19 08:30:00.999999'", 'null', 'null']],
  year: ['year', 'smallint', ['2155', '1901', 'null']],
  note: ['varchar(20)', 'text', ['\'ü "q"\'', "''", 'null']],
  essay: ['longtext', 'text', ["repeat('ab', 5000)", "''", 'null']],
  raw: ['varbinary(9)', 'bytea', ["x'00ff27'", "x''", 'null']],
  photo: ['longblob', 'bytea', ["x'0001'", "x''", 'null']],
  bits: ['bit(9)', 'bytea', ["b'100000001'", "b'0'", 'null']],
  mood: ["enum('calm','wild')", 'text', ["'calm'", "'wild'", 'null']],
  tags: ["set('a','b')", 'text', ["'a,b'", "''", 'null']],
  doc: ['json', 'json', [`'{"a":[1,2.50,"x"]}'`, "'null'", 'null']],
};

describe('a table is made from what MySQL says of its columns', () => {
  const names = Object.keys(COLUMNS);
  const made = Object.fromEntries(names.map((name) => [name, COLUMNS[name]![1]]));
  beforeAll(async () => {
    if (missing !== undefined) return;
    const list = names.map((name) => `${name} ${COLUMNS[name]![0]}`);
    const rows = [0, 1, 2].map((row) => `(${names.map((name) => COLUMNS[name]![2][row]).join(', ')})`);
    await mysql.run(`set time_zone = '+00:00'; create table wide (${list.join(', ')}); insert into wide values ${rows};
      alter user waybill@localhost identified by '${bench.server.password}'`);
  });

  it('P08: of every type, with values that PostgreSQL then has as MySQL had them', async () => {
    configure({ wide: flowOf('table: wide', 'connection: db, table: wide, key: [id]') });
    const ran = await bench.run('wide', DAY);
    expect(ran.run.state, JSON.stringify([ran.stalled, ran.lanes[0]!.balance])).toBe('complete');
    expect(ran.lanes[0]!.balance).toMatchObject({ delivered: 3, refused: 0 });
    expect(await bench.columns('wide')).toEqual(made);
    const texts = await bench.dump('wide');
    expect(texts).toHaveLength(3);
    const first = texts.find((text) => text.startsWith('(-9223372036854775808'))!;
    expect(first).toContain(
      ',1,255,-32768,65535,16777215,-2147483648,4294967295,18446744073709551615,' +
        '-12345678.123456789012345678901234567891,99999,0.1,0.1,9999-12-31,-838:59:58.999,' +
        '"2026-11-19 08:30:00.000001","2026-11-19 08:30:00.999999+00",2155,',
    );
    expect(first).toMatch(/,"\\\\x00ff27","\\\\x0001","\\\\x0101",calm,"a,b",/);
    expect(texts.find((text) => text.startsWith('(3,'))).toBe(`(3${','.repeat(names.length - 1)})`);
  });

  it('P08: of a window without a row as of any other, also in files that cannot do without types', async () => {
    const query = (what: string) => `query: "select ${what} from wide where born = :date"`;
    configure({
      none: flowOf(query('*'), 'connection: db, table: none, key: [id]'),
      sums: flowOf(
        query('id, price * 2 as twice, length(note) as n, concat(note, id) as text'),
        'connection: db, table: sums, key: [id]',
      ),
      files: flowOf('table: wide', 'connection: folder, path: "wide/{{ batch }}.parquet"'),
      back: flowOf('table: wide', 'connection: db, table: back').replace(
        'connection: shop, table: wide',
        'connection: folder, path: "wide/*.parquet"',
      ),
    });
    for (const flow of ['none', 'sums', 'files', 'back']) {
      expect((await bench.run(flow, DAY)).run.state, flow).toBe('complete');
    }
    expect(await bench.columns('none')).toEqual(made);
    expect(await bench.dump('none')).toEqual([]);
    expect(await bench.columns('sums')).toEqual({ id: 'bigint', twice: 'numeric(39,30)', n: 'integer', text: 'text' });
    expect(await bench.dump('back')).toEqual(await bench.dump('wide'));
  });

  it('P08: a `boolean` of MySQL, which is a small number there, goes into one of PostgreSQL', async () => {
    await mysql.run('create table flags (id int primary key, on_air boolean); insert into flags values (1, 1), (2, 0)');
    await bench.client.query('create table flags (id int primary key, on_air boolean)');
    const flow = flowOf('table: flags', 'connection: db, table: flags');
    configure({
      flags: flow,
      frozen: flow.replace('evolve', 'freeze').replace('table: flags }', 'table: flags, key: [id] }\nstrategy: keyed'),
    });
    for (const name of ['flags', 'frozen']) expect((await bench.run(name, DAY)).run.state).toBe('complete');
    expect(await bench.dump('flags')).toEqual(['(1,t)', '(2,f)']);
  });

  it('P08: by a cursor, and a column that comes later', async () => {
    await mysql.run('create table grown (id int primary key, n int); insert into grown values (1, 10), (2, 20)');
    configure({ grown: flowOf('table: grown, cursor: id', 'connection: db, table: grown, key: [id]', 'pull') });
    await bench.pull('grown');
    expect(await bench.columns('grown')).toEqual({ id: 'integer', n: 'integer' });
    await mysql.run("alter table grown add at datetime; insert into grown values (3, 30, '2026-11-19 01:02:03')");
    await bench.pull('grown');
    expect(await bench.dump('grown')).toEqual(['(1,10,)', '(2,20,)', '(3,30,"2026-11-19 01:02:03")']);
  });
});
