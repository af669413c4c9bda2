import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SchemaBench } from './schema-bench.ts';

let bench: SchemaBench;
beforeAll(async () => {
  bench = await SchemaBench.start();
});
afterAll(() => bench?.stop());

const evolve = (source: string, sink: string, schema = 'evolve', strategy = 'ledgered-append'): string =>
  `source: { ${source} }\nsink: { ${sink} }\nwindow: day\nstrategy: ${strategy}\nschema: ${schema}`;
const DAY = { window: '2026-11-19' };

describe('a table is made from what a source says of itself', () => {
  it('P08: by the declared types of SQLite, and by the values where they are others', async () => {
    bench.lite((database) =>
      database.exec(`create table foreigners (id integer primary key, flag boolean, price decimal(10,2), born date,
          seen datetime, note varchar(20), raw blob, size real, anything, liar integer, doc json);
        insert into foreigners values (9007199254740993, 1, 12.5, '2026-11-19', '2026-11-19 08:30:00', 'a', x'0001',
          0.1, 5, 'no number', '{"a":1}'), (2, 0, 3, null, null, null, null, null, null, 7, null)`),
    );
    const source = 'connection: lite, table: foreigners, key: id';
    bench.configure({ move: evolve(source, 'connection: db, table: foreigners, key: [id]') });
    expect((await bench.plan('move')).lanes[0]!.schema).toEqual([
      'creates the table: id bigint, flag boolean, price numeric, born date, seen timestamp, note text, raw bytea, ' +
        'size double precision, anything bigint, liar text, doc text',
    ]);
    expect((await bench.run('move', DAY)).run.state).toBe('complete');
    expect(await bench.columns('foreigners')).toMatchObject({ flag: 'boolean', raw: 'bytea', liar: 'text' });
    expect(await bench.dump('foreigners')).toEqual([
      '(2,f,3,,,,,,,7,)',
      '(9007199254740993,t,12.5,2026-11-19,"2026-11-19 08:30:00",a,"\\\\x0001",0.1,5,"no number","{""a"":1}")',
    ]);
  });

  it('P08: by types that only PostgreSQL has, as what its JSON makes of them', async () => {
    await bench.client.query(`create type mood as enum ('calm'); create domain price as numeric(8,2);
      create table odd (id int, mood mood, span interval, range int4range, price price, place inet, pair mood[]);
      insert into odd values (1, 'calm', '1 day', '[1,3)', 2.5, '127.0.0.1', '{calm}')`);
    bench.configure({
      odd: evolve('connection: db, table: odd, key: id', 'connection: lite, table: odd, key: [id]'),
    });
    expect((await bench.run('odd', DAY)).run.state).toBe('complete');
    const declared = bench.lite((database) =>
      database.prepare('select name, type from pragma_table_info(?)').raw().all('odd'),
    );
    expect(declared).toEqual([
      ['id', 'INTEGER INT32'],
      ['mood', 'TEXT'],
      ['span', 'TEXT'],
      ['range', 'TEXT'],
      ['price', 'TEXT DECIMAL(8,2)'],
      ['place', 'TEXT'],
      ['pair', 'TEXT JSON'],
    ]);
    expect(bench.lite((database) => database.prepare('select * from odd').raw().all())).toEqual([
      [1n, 'calm', 'P1D', '[1,3)', '2.50', '127.0.0.1', '["calm"]'],
    ]);
  });

  it('P08: by declared types of CSV, by an asked inference, and not at all without either', async () => {
    writeFileSync(
      join(bench.folder, 'items.csv'),
      'id,price,code,day,none\n1,1.50,007,2026-11-19,\n2,3,8,2026-11-20,\n',
    );
    const source = 'connection: folder, path: items.csv, key: id';
    const typed = `${source}, types: { id: int64, price: "decimal(12,2)", day: date }`;
    const sink = (table: string) => `connection: db, table: ${table}`;
    bench.configure({
      typed: evolve(typed, sink('typed')),
      inferred: evolve(source, sink('inferred'), '{ policy: evolve, infer: true }'),
      declared: evolve(source, sink('declared'), '{ policy: evolve, columns: { id: int32 not null }, infer: true }'),
      nothing: evolve(source, sink('nothing')),
    });
    for (const flow of ['typed', 'inferred', 'declared'])
      expect((await bench.run(flow, DAY)).run.state).toBe('complete');
    expect(await bench.columns('typed')).toEqual({
      id: 'bigint',
      price: 'numeric(12,2)',
      code: 'text',
      day: 'date',
      none: 'text',
    });
    expect(await bench.dump('typed')).toEqual(['(1,1.50,007,2026-11-19,)', '(2,3.00,8,2026-11-20,)']);
    expect(await bench.columns('inferred')).toEqual({
      id: 'bigint',
      price: 'numeric',
      code: 'text',
      day: 'date',
      none: 'text',
    });
    expect(await bench.columns('declared')).toMatchObject({ id: 'integer', price: 'numeric' });
    await expect(bench.run('nothing', DAY)).rejects.toMatchObject({
      code: 'SCHEMA_DIFFERS',
      message: expect.stringMatching(/nothing says the types of "id", "price", "code", "day", "none"/),
    });
    expect(await bench.columns('nothing')).toEqual({});
  });

  it('P08: by the values of NDJSON where that is asked for, wide enough for all of a chunk', async () => {
    const lines = [
      '{"id":1,"n":1,"f":1.50,"t":"a","b":true,"j":{"x":1},"m":1}',
      '{"id":2,"n":12345678901234567890,"m":"x"}',
    ];
    writeFileSync(join(bench.folder, 'items.ndjson'), `${lines.join('\n')}\n`);
    const source = 'connection: folder, path: items.ndjson, key: id';
    bench.configure({
      lines: evolve(source, 'connection: db, table: lines', '{ create: true, infer: true }'),
      files: evolve(source, 'connection: folder, path: "lines/{{ window }}/{{ batch }}.parquet"', '{ infer: true }'),
      back: evolve('connection: folder, path: "lines/**/*.parquet", key: id', 'connection: db, table: back'),
    });
    for (const flow of ['lines', 'files', 'back']) expect((await bench.run(flow, DAY)).run.state).toBe('complete');
    const types = { id: 'bigint', n: 'numeric', f: 'numeric', t: 'text', b: 'boolean', j: 'json', m: 'json' };
    expect(await bench.columns('lines')).toEqual(types);
    expect(await bench.columns('back')).toEqual(types);
    expect(await bench.dump('lines')).toEqual(await bench.dump('back'));
    expect(await bench.dump('lines')).toEqual(['(1,1,1.50,a,t,"{""x"":1}",1)', '(2,12345678901234567890,,,,,"""x""")']);
  });

  it('P08: in LanceDB, and what it holds comes from every type', async () => {
    await bench.client.query(`create table vectors (id int8, v real[], at timestamptz, doc jsonb, price numeric(12,2));
      insert into vectors values (1, '{0.5,1}', '2026-11-19 08:30:00+00', '{"a": 1}', 12.5)`);
    bench.configure({
      lance: evolve(
        'connection: db, table: vectors, key: id',
        'connection: lance, table: vectors, key: [id]',
        'evolve',
        'keyed',
      ),
    });
    expect((await bench.run('lance', DAY)).run.state).toBe('complete');
    const { connect } = await import('@lancedb/lancedb');
    const table = await (await connect(join(bench.folder, 'lance'))).openTable('vectors');
    const fields = (await table.schema()).fields.map(({ name, type }) => [name, String(type)]);
    expect(fields).toEqual([
      ['id', 'Int64'],
      ['v', 'List<Float32>'],
      ['at', 'Timestamp<MICROSECOND, UTC>'],
      ['doc', 'Utf8'],
      ['price', 'Decimal[12e+2]'],
    ]);
    expect(await table.countRows(`id = 1 and doc = '{"a": 1}'`)).toBe(1);
    await bench.client.query('alter table vectors add note text; update vectors set note = $$n$$');
    const ran = await bench.run('lance', { window: '2026-11-20' });
    expect(ran.run.state).toBe('complete');
    expect(
      await (await connect(join(bench.folder, 'lance')))
        .openTable('vectors')
        .then((one) => one.countRows(`note = 'n'`)),
    ).toBe(1);
  });
});

describe('a load', () => {
  it.each(['proxy', 'metadata-cleaner', 'merger', 'transactional-writer', 'data-overwrite', 'stateful-merger'])(
    'P08: of %s makes what is not there, and its place follows a column that is new',
    async (strategy) => {
      const name = strategy.replaceAll('-', '_');
      await bench.client.query(`create table src_${name} (id int8, day date, price numeric(12,2));
        insert into src_${name} values (1, '2026-11-19', 1.5), (2, '2026-11-20', 2.5)`);
      const source = `connection: db, query: "select * from src_${name} where day = :date", key: id`;
      const key = /merger/.test(strategy) ? ', key: [id]' : '';
      const period = strategy === 'metadata-cleaner' ? ', load: { period: day }' : '';
      const scope = strategy === 'data-overwrite' ? ', load: { scope: { column: day } }' : '';
      for (const place of ['db', 'lite']) {
        bench.configure({
          [`${name}_${place}`]: evolve(
            source,
            `connection: ${place}, table: ${name}${key}${period}${scope}`,
            'evolve',
            strategy,
          ),
        });
        const first = await bench.run(`${name}_${place}`, DAY);
        expect(first.run.state, JSON.stringify(first.stalled)).toBe('complete');
        await bench.client.query(`alter table src_${name} add column if not exists note text default 'n'`);
        const second = await bench.run(`${name}_${place}`, { window: '2026-11-20' });
        expect(second.run.state, JSON.stringify(second.stalled)).toBe('complete');
        const all =
          strategy === 'proxy'
            ? [[2, 'n']]
            : [
                [1, null],
                [2, 'n'],
              ];
        const found =
          place === 'db'
            ? (await bench.client.query({ text: `select id::int, note from ${name} order by 1`, rowMode: 'array' }))
                .rows
            : bench
                .lite((database) =>
                  database.prepare(`select cast(id as text), note from ${name} order by 1`).raw().all(),
                )
                .map((row) => [Number((row as string[])[0]), (row as string[])[1]]);
        expect(found, place).toEqual(all);
        await bench.client.query(`alter table src_${name} drop column note`);
      }
    },
    60_000,
  );
});
