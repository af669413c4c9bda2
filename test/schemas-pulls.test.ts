import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Ran, SchemaBench } from './schema-bench.ts';

let bench: SchemaBench;
beforeAll(async () => {
  bench = await SchemaBench.start();
});
afterAll(() => bench?.stop());

let nth = 0;
let name: string;
beforeEach(async () => {
  name = `pulled_${++nth}`;
  await bench.client.query(`create table src_${name} (id int8 primary key, price numeric(12,2));
    insert into src_${name} values (1, 1.5), (2, 2.5)`);
});

const PLACES = ['db', 'lite'] as const;
type PlaceName = (typeof PLACES)[number];

function configure(place: PlaceName, schema: string, more = ''): string {
  const flow = `${name}_${place}`;
  bench.configure({
    [flow]: `source: { connection: db, table: src_${name}, key: id, cursor: id }
sink: { connection: ${place}, table: ${name}, ${more === '' ? '' : 'key: [id]'} }
window: pull
schema: ${schema}${more === '' ? '' : `\n${more}`}`,
  });
  return flow;
}

async function rowsOf(place: PlaceName, columns: string): Promise<unknown[]> {
  const text = `select cast(id as text), ${columns} from ${name} order by 1`;
  if (place === 'db') return (await bench.client.query({ text, rowMode: 'array' })).rows;
  return bench.lite((database) => database.prepare(text).safeIntegers(false).raw().all());
}

async function newColumn(): Promise<void> {
  await bench.client.query(`alter table src_${name} add column note text;
    insert into src_${name} values (3, 3.5, 'n'), (4, 4.5, null)`);
}

const noticed = ({ notices }: Ran, kind: string): string[] =>
  notices.filter((one) => one.kind === kind).map(({ message }) => message);

describe.each(PLACES)('a pull into %s', (place) => {
  it('P08: makes the table, and adds a column that comes with a later pull', async () => {
    const flow = configure(place, 'evolve');
    expect((await bench.pull(flow)).run.state).toBe('complete');
    await newColumn();
    const ran = await bench.pull(flow);
    expect(ran.run.state).toBe('complete');
    expect(noticed(ran, 'schema')).toEqual([expect.stringMatching(/adds the column note text/i)]);
    expect(await rowsOf(place, 'note')).toEqual([
      ['1', null],
      ['2', null],
      ['3', 'n'],
      ['4', null],
    ]);
  });

  it('P08: ends under `freeze` before anything of the pull is sent, and goes on once that is settled', async () => {
    const flow = configure(place, '{ policy: freeze, create: true }');
    await bench.pull(flow);
    await newColumn();
    for (const again of [1, 2]) {
      await expect(bench.pull(flow), `time ${again}`).rejects.toMatchObject({
        code: 'SCHEMA_DIFFERS',
        message: expect.stringMatching(/the column "note" \(text\) is not in the sink/),
      });
    }
    expect(await rowsOf(place, 'price')).toHaveLength(2);
    configure(place, 'evolve');
    expect((await bench.pull(flow)).run.state).toBe('complete');
    expect(await rowsOf(place, 'note')).toEqual([
      ['1', null],
      ['2', null],
      ['3', 'n'],
      ['4', null],
    ]);
  });

  it('P08: leaves the column out under `discard-column`, and counts the records of which', async () => {
    const flow = configure(place, '{ policy: discard-column, create: true }');
    await bench.pull(flow);
    await newColumn();
    const ran = await bench.pull(flow);
    expect(ran.lanes[0]).toMatchObject({ balance: { delivered: 2 }, leftOut: [{ column: 'note', records: 1 }] });
    expect(noticed(ran, 'columns-left-out')).toEqual([expect.stringMatching(/"note" was left out of 1 record$/)]);
    expect(await rowsOf(place, 'price is null')).toHaveLength(4);
  });

  it('P08: refuses the records with a value for it under `reject-record`', async () => {
    const flow = configure(place, '{ policy: reject-record, create: true }');
    await bench.pull(flow);
    await newColumn();
    const ran = await bench.pull(flow);
    expect(ran.lanes[0]!.balance).toMatchObject({ delivered: 1, refused: 1 });
    expect((await rowsOf(place, 'price')).map((row) => (row as string[])[0])).toEqual(['1', '2', '4']);
  });

  it.each(['transactional-writer', 'merger', 'ledgered-append'])(
    'P08: makes the target of %s, which follows a column that is new',
    async (strategy) => {
      const flow = configure(place, 'evolve', `strategy: ${strategy}`);
      const first = await bench.pull(flow);
      expect(first.run.state, JSON.stringify(first.stalled)).toBe('complete');
      await newColumn();
      const second = await bench.pull(flow);
      expect(second.run.state, JSON.stringify(second.stalled)).toBe('complete');
      expect(await rowsOf(place, 'note')).toEqual([
        ['1', null],
        ['2', null],
        ['3', 'n'],
        ['4', null],
      ]);
    },
  );

  it('P08: makes a table of history, with the columns that history adds', async () => {
    const flow = `${name}_${place}`;
    bench.configure({
      [flow]: `source: { connection: db, table: src_${name}, key: id, cursor: id }
sink: { connection: ${place}, table: ${name} }
window: pull
history: { merge: ledger }
strategy: transactional-writer
schema: evolve`,
    });
    const first = await bench.pull(flow);
    expect(first.run.state, JSON.stringify(first.stalled)).toBe('complete');
    await newColumn();
    expect((await bench.pull(flow)).run.state).toBe('complete');
    expect(await rowsOf(place, 'op, note')).toEqual([
      ['1', 0, null],
      ['2', 0, null],
      ['3', 0, 'n'],
      ['4', 0, null],
    ]);
  });
});

describe('a table that is read by a cursor and has got a column', () => {
  it.each(['db', 'lite'])('brings no row twice from %s', async (place) => {
    const table = `grown_${place}`;
    const make = `create table ${table} (id integer primary key, t text);
      insert into ${table} values (1, 'ü"'), (2, null)`;
    const grow = `alter table ${table} add column note text default 'n'`;
    if (place === 'db') await bench.client.query(make);
    else bench.lite((database) => database.exec(make));
    const flow = `grown_${place}`;
    bench.configure({
      [flow]: `source: { connection: ${place}, table: ${table}, key: id, cursor: id }
sink: { connection: db, table: to_${table} }
window: pull
schema: evolve`,
    });
    await bench.pull(flow);
    if (place === 'db') await bench.client.query(grow);
    else bench.lite((database) => database.exec(grow));
    await expect(bench.pull(flow)).rejects.toThrow('nothing was new');
    expect(await bench.dump(`to_${table}`, 'count(*)')).toEqual(['(2)']);
  });
});
