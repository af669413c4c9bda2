import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
  name = `policy_${++nth}`;
  await bench.client.query(`create table src_${name} (id int8, day date, price numeric(12,2), n int4);
    insert into src_${name} values (1, '2026-11-19', 1.5, 1), (2, '2026-11-19', 2.5, 2)`);
});

const PLACES = ['db', 'lite'] as const;
type PlaceName = (typeof PLACES)[number];

function configure(place: PlaceName, schema: string, more = ''): string {
  const flow = `${name}_${place}`;
  bench.configure({
    [flow]: `source: { connection: db, query: "select * from src_${name} where day = :date order by id", key: id }
sink: { connection: ${place}, table: ${name}${more} }
window: day
schema: ${schema}`,
  });
  return flow;
}

async function rowsOf(place: PlaceName, columns: string): Promise<unknown[]> {
  const text = `select ${columns} from ${name} order by id`;
  if (place === 'db') return (await bench.client.query({ text, rowMode: 'array' })).rows;
  return bench.lite((database) => database.prepare(text).safeIntegers(false).raw().all());
}

/** The next day brings a column that the sink does not have, and one of its two records a value for it. */
async function newColumn(): Promise<void> {
  await bench.client.query(`alter table src_${name} add column note text;
    insert into src_${name} values (3, '2026-11-20', 3.5, 3, 'n'), (4, '2026-11-20', 4.5, 4, null)`);
}

const first = async (flow: string): Promise<Ran> => await bench.run(flow, { window: '2026-11-19' });
const second = async (flow: string): Promise<Ran> => await bench.run(flow, { window: '2026-11-20' });
const noticed = ({ notices }: Ran, kind: string): string[] =>
  notices.filter((one) => one.kind === kind).map(({ message }) => message);

describe.each(PLACES)('a column that is new in the source, and the sink is %s', (place) => {
  it('P08: is added under `evolve`, empty in the rows that were there', async () => {
    const flow = configure(place, 'evolve');
    await first(flow);
    await newColumn();
    expect((await bench.plan(flow, '2026-11-20')).lanes[0]!.schema).toEqual([
      expect.stringMatching(/adds the column note text/i),
    ]);
    const ran = await second(flow);
    expect(ran.run.state).toBe('complete');
    expect(noticed(ran, 'schema')).toEqual([expect.stringMatching(/adds the column note text/i)]);
    expect(await rowsOf(place, 'id, note')).toEqual(
      [
        [1, null],
        [2, null],
        [3, 'n'],
        [4, null],
      ].map(([id, note]) => [place === 'db' ? String(id) : id, note]),
    );
    const again = await bench.run(flow, { window: '2026-11-20', refresh: true });
    expect(noticed(again, 'schema')).toEqual([]);
  });

  it('P08: ends the run before anything is sent under `freeze`, and goes on when the sink has it', async () => {
    const flow = configure(place, '{ policy: freeze, create: true }');
    await first(flow);
    await newColumn();
    await expect(second(flow)).rejects.toMatchObject({
      code: 'SCHEMA_DIFFERS',
      message: expect.stringMatching(/the column "note" \(text\) is not in the sink/),
    });
    expect(await rowsOf(place, 'id')).toHaveLength(2);
    const add = `alter table ${name} add column note text`;
    if (place === 'db') await bench.client.query(add);
    else bench.lite((database) => database.exec(add));
    // The source has changed since the lane was delivered last, so a person has to say that this is meant.
    await expect(second(flow)).rejects.toMatchObject({ message: expect.stringMatching(/"note" is new in the source/) });
    configure(place, 'evolve');
    expect((await second(flow)).run.state).toBe('complete');
    configure(place, 'freeze');
    expect((await bench.run(flow, { window: '2026-11-20', refresh: true })).run.state).toBe('complete');
  });

  it('P08: is left out and counted under `discard-column`', async () => {
    const flow = configure(place, '{ policy: discard-column, create: true }');
    await first(flow);
    await newColumn();
    const ran = await second(flow);
    expect(ran.run.state).toBe('complete');
    expect(noticed(ran, 'columns-left-out')).toEqual([
      expect.stringMatching(/the column "note" was left out of 1 record$/),
    ]);
    expect(await rowsOf(place, 'n')).toEqual([[1], [2], [3], [4]]);
  });

  it('P08: refuses the records that bring something for it under `reject-record`', async () => {
    const flow = configure(place, '{ policy: reject-record, create: true }');
    await first(flow);
    await newColumn();
    const ran = await second(flow);
    expect(ran.run.state).toBe('complete-with-refusals');
    expect(ran.lanes[0]!.balance).toMatchObject({ delivered: 1, refused: 1 });
    expect(await rowsOf(place, 'n')).toEqual([[1], [2], [4]]);
  });

  it('P08: that is declared as required cannot be added to rows that have no value for it', async () => {
    const flow = configure(place, 'evolve');
    await first(flow);
    await newColumn();
    configure(place, '{ policy: evolve, columns: { note: text not null } }');
    await expect(second(flow)).rejects.toMatchObject({
      code: 'SCHEMA_DIFFERS',
      message: expect.stringMatching(/"note" is required, .* read the earlier windows again/),
    });
  });
});

describe.each(PLACES)('a type that has changed in the source, and the sink is %s', (place) => {
  const wider = async (): Promise<void> => {
    await bench.client.query(`alter table src_${name} alter n type int8, alter price type numeric(20,4);
      insert into src_${name} values (3, '2026-11-20', 123456789012.1234, 9007199254740993)`);
  };
  it('P08: is widened under `evolve` where nothing is lost by it', async () => {
    const flow = configure(place, 'evolve');
    await first(flow);
    await wider();
    const ran = await second(flow);
    expect(noticed(ran, 'schema')).toEqual([
      expect.stringMatching(/widens the column price from decimal\(12,2\) to decimal\(20,4\)/),
      expect.stringMatching(/widens the column n from int32 to int64/),
    ]);
    expect(await rowsOf(place, 'cast(price as text), cast(n as text)')).toEqual([
      [place === 'db' ? '1.5000' : '1.50', '1'],
      [place === 'db' ? '2.5000' : '2.50', '2'],
      ['123456789012.1234', '9007199254740993'],
    ]);
    expect(noticed(await bench.run(flow, { window: '2026-11-20', refresh: true }), 'schema')).toEqual([]);
  });

  it('P08: ends the run under `freeze`, and refuses the records that do not fit under `reject-record`', async () => {
    const flow = configure(place, '{ policy: freeze, create: true }');
    await first(flow);
    await wider();
    await expect(second(flow)).rejects.toMatchObject({
      message: expect.stringMatching(/"price" of the sink is decimal\(12,2\), and the source needs decimal\(20,4\)/),
    });
    await bench.client.query(`insert into src_${name} values (4, '2026-11-20', 1, 4)`);
    configure(place, 'reject-record');
    const ran = await second(flow);
    expect(ran.lanes[0]!.balance).toMatchObject({ delivered: 1, refused: 1 });
  });
});

describe('a column that is gone from the source', () => {
  it('P08: leaves the sink as it is, unless that needs a value for it or the flow is frozen', async () => {
    const flow = configure('db', 'evolve');
    await first(flow);
    await bench.client.query(
      `alter table src_${name} drop column n; insert into src_${name} values (3, '2026-11-20', 3)`,
    );
    expect((await second(flow)).run.state).toBe('complete');
    expect(await rowsOf('db', 'n')).toEqual([[1], [2], [null]]);
    await bench.client.query(`insert into src_${name} values (4, '2026-11-21', 3); update ${name} set n = 0;
      alter table ${name} alter n set not null`);
    await expect(bench.run(flow, { window: '2026-11-21' })).rejects.toMatchObject({
      message: expect.stringMatching(/"n" of the sink needs a value, and the source has no such column/),
    });
    configure('db', 'freeze');
    await bench.client.query(`alter table ${name} alter n drop not null; alter table src_${name} drop column price`);
    await expect(bench.run(flow, { window: '2026-11-21' })).rejects.toMatchObject({
      message: expect.stringMatching(/"price" is gone from the source/),
    });
  });
});

describe('records that carry their names, and nobody knows their types', () => {
  it('P08: are looked into one by one under a policy', async () => {
    mkdirSync(join(bench.folder, name));
    const lines = ['{"id":1,"x":1}', '{"id":2,"x":2,"y":null}', '{"id":3,"y":3}'];
    writeFileSync(join(bench.folder, name, 'in.ndjson'), `${lines.join('\n')}\n`);
    await bench.client.query(`create table ${name} (id int8, x int4)`);
    const flow = (policy: string) => `source: { connection: folder, path: ${name}/in.ndjson, key: id }
sink: { connection: db, table: ${name} }
schema: ${policy}`;
    bench.configure({
      stop: flow('freeze'),
      grow: flow('evolve'),
      refuse: flow('reject-record'),
      leave: flow('discard-column'),
    });
    for (const stops of ['stop', 'grow']) {
      await expect(bench.run(stops)).rejects.toMatchObject({
        code: 'SCHEMA_DIFFERS',
        message: expect.stringMatching(/field "y"/),
      });
    }
    expect(await bench.dump(name)).toEqual([]);
    expect((await bench.run('refuse')).lanes[0]!.balance).toMatchObject({ delivered: 2, refused: 1 });
    expect(noticed(await bench.run('leave'), 'columns-left-out')).toEqual([
      expect.stringMatching(/"y" was left out of 1 record$/),
    ]);
    expect(await bench.dump(name)).toEqual(['(1,1)', '(1,1)', '(2,2)', '(2,2)', '(3,)']);
  });

  it('P08: bring a column in the middle, which is added there under `evolve` with `infer`', async () => {
    mkdirSync(join(bench.folder, name));
    const lines = Array.from({ length: 30_000 }, (_, id) =>
      JSON.stringify({ id, x: 'y'.repeat(40), ...(id > 20_000 ? { late: id } : {}) }),
    );
    writeFileSync(join(bench.folder, name, 'in.ndjson'), `${lines.join('\n')}\n`);
    for (const strategy of ['ledgered-append', 'transactional-writer']) {
      const flow = `${name}_${strategy}`;
      const table = `${name}_${strategy.length}`;
      bench.configure({
        [flow]: `source: { connection: folder, path: ${name}/in.ndjson, key: id }
sink: { connection: db, table: ${table} }
strategy: ${strategy}
schema: { policy: evolve, infer: true }`,
      });
      const ran = await bench.run(flow);
      expect(ran.run.state, JSON.stringify(ran.stalled)).toBe('complete');
      expect(noticed(ran, 'schema')).toHaveLength(2);
      expect(await bench.dump(table, 'count(*), count(late), max(late), min(late)')).toEqual([
        '(30000,9999,29999,20001)',
      ]);
    }
  });
});

describe('a sink that knows no columns', () => {
  it('P08: is held against what the lane sent the last time', async () => {
    const flow = (policy: string): void =>
      bench.configure({
        [name]: `source: { connection: db, query: "select id, n from src_${name} where day = :date", key: id }
sink: { connection: folder, path: "${name}/{{ window }}.ndjson" }
window: day
schema: ${policy}`,
      });
    const lines = (day: string): string => readFileSync(join(bench.folder, name, `${day}.ndjson`), 'utf8');
    flow('freeze');
    expect((await first(name)).run.state).toBe('complete');
    await newColumn();
    const wider = (policy: string): void => {
      flow(policy);
      const file = join(bench.folder, 'waybill.yaml');
      writeFileSync(file, readFileSync(file, 'utf8').replace('select id, n', 'select id, n, note'));
    };
    wider('freeze');
    await expect(second(name)).rejects.toMatchObject({ message: expect.stringMatching(/"note" \(text\) is not in/) });
    wider('discard-column');
    const ran = await second(name);
    expect(noticed(ran, 'columns-left-out')).toEqual([expect.stringMatching(/"note" was left out of 1 record$/)]);
    expect(lines('2026-11-20')).toBe('{"id":3,"n":3}\n{"id":4,"n":4}\n');
  });
});
