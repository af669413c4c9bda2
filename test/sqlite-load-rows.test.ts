import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { sqliteSink } from '../src/connectors/sqlite/sink.ts';
import type { Load, MergeBy, StepReceipt } from '../src/model/load.ts';
import { testPermit } from '../src/testing/permit.ts';
import { thrownBy } from './postgres-place.ts';

let folder: string;
let files = 0;
beforeAll(() => {
  // Nothing is cut off from power here, so nothing has to reach a disk.
  folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'waybill-sqlite-rows-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BY: MergeBy = { key: ['id'] };
const REMOVING: MergeBy = { ...BY, deleted: { column: 'gone', values: [true], how: 'remove' } };

const open: Bench[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ sink }) => sink.close!()));
});

/** A table `t` in a file of its own. */
class Bench {
  readonly sink;
  readonly #path: string;
  #loads = 0;

  constructor(sql: string, more: { readonly key?: readonly string[] } = {}) {
    files += 1;
    const file = `${files}.sqlite`;
    this.#path = join(folder, file);
    this.exec(sql);
    const clock = { wallMs: () => 5, monotonicMs: () => 5 };
    this.sink = sqliteSink({ folder, file, table: 't', base64: [], recordsPerBatch: 100, clock, ...more });
    open.push(this);
  }

  exec(sql: string): void {
    const db = new Database(this.#path);
    db.pragma('foreign_keys = ON');
    db.exec(sql);
    db.close();
  }

  rows(sql = 'select * from t order by 1'): unknown[] {
    const db = new Database(this.#path, { readonly: true });
    const rows = db.prepare(sql).raw(true).all();
    db.close();
    return rows;
  }

  /** Collects these records for a day, as a load of its own, in batches of two, and publishes them. */
  async run(ability: 'merge' | 'mergeAt' | 'replace', day: number, records: readonly object[], by = BY) {
    const generation = ++this.#loads;
    const at = `2026-01-${String(day).padStart(2, '0')}T00:00:00Z`;
    const window = { name: at.slice(0, 10), start: at, end: at };
    const family = `wb_test_${day}_`;
    const load: Load = { id: `${family}${generation}`, family, ledger: 'l', flow: 'f', lane: 'l', window, generation };
    const step = { load, fence: 1, correlationId: 'test', signal: new AbortController().signal };
    const { can } = this.sink;
    await can.load!.open(step);
    for (let at = 0; at < records.length; at += 2) {
      await can.load!.add(testPermit({ records: records.slice(at, at + 2), load, batch: at }));
    }
    const ways: Record<typeof ability, () => Promise<StepReceipt>> = {
      merge: () => can.merge!(step, by),
      mergeAt: () => can.mergeAt!(step, by, at),
      replace: () => can.replace!(step, { kind: 'all' }),
    };
    return await ways[ability]();
  }
}

describe('rows of loads in the SQLite sink', () => {
  it('P16: a column that a record does not bring is left as it is, record by record', async () => {
    const bench = new Bench(`create table t (id integer primary key, a text default 'new', b text);
      insert into t values (1, 'a', 'b'), (2, 'a', 'b'), (3, 'a', 'b')`);
    const records = [{ id: 1, a: 'A' }, { b: null, id: 2 }, { id: 3 }, { id: 4, b: 'B' }, { a: 'A', b: 'B', id: 5 }];
    await bench.run('merge', 1, records);
    expect(bench.rows()).toEqual([
      [1, 'A', 'b'],
      [2, 'a', null],
      [3, 'a', 'b'],
      [4, 'new', 'B'],
      [5, 'A', 'B'],
    ]);
    const tables = `select name from sqlite_schema where type = 'table' and name like 'wb_%'`;
    expect(bench.rows(tables), 'what lies about').toEqual([]);
  });

  it('P17: of one key, a row without a value and one that does not name the column are not the same', async () => {
    const bench = new Bench(`create table t (id integer, a text); insert into t values (1, 'a')`);
    const merging = bench.run('merge', 1, [{ id: 1 }, { id: 1, a: null }]);
    expect(await thrownBy(merging)).toMatchObject({ reason: 'key-repeated' });
    expect(bench.rows()).toEqual([[1, 'a']]);
  });

  it('P14: changes what differs, also where the column takes it for the same', async () => {
    const bench = new Bench(`create table t (id integer primary key, name text collate nocase);
      insert into t values (1, 'bob')`);
    expect((await bench.run('merge', 1, [{ id: 1, name: 'Bob' }])).facts).toMatchObject({ updated: 1 });
    expect(bench.rows()).toEqual([[1, 'Bob']]);
  });

  it('P17: refuses two keys that are one to the table', async () => {
    const bench = new Bench(`create table t (id text primary key collate nocase, name text);
      insert into t values ('k', 'a')`);
    const merging = bench.run(
      'merge',
      1,
      ['K', 'k'].map((id) => ({ id, name: id })),
    );
    expect(await thrownBy(merging)).toMatchObject({ reason: 'key-repeated' });
    expect(bench.rows()).toEqual([['k', 'a']]);
  });

  it.each(['on delete cascade', 'on delete set null', ''])(
    'P21: what refers to a row that stays is left alone, with a foreign key that says %j',
    async (deletes) => {
      const bench = new Bench(`create table t (id integer primary key, name text, given text);
        create table kids (kid integer, parent integer references t (id) ${deletes})`);
      await bench.run('mergeAt', 1, [{ id: 1, name: '1' }]);
      await bench.run(
        'mergeAt',
        2,
        [1, 2, 3].map((id) => ({ id, name: '2' })),
      );
      bench.exec(
        `insert into kids values (1, 1), (2, 2); update t set given = 'by hand'; insert into t values (9, '', '')`,
      );
      const again = await bench.run('mergeAt', 2, [{ id: 2, name: '2 again' }]);
      expect(again.facts).toMatchObject({ takenOut: 1, takenOutRows: 3, deleted: 1 });
      // A row that no load has named is nobody's to take out, and what no load has brought is left to the table.
      expect(bench.rows()).toEqual([
        [1, '1', 'by hand'],
        [2, '2 again', 'by hand'],
        [9, '', ''],
      ]);
      expect(bench.rows('select * from kids order by 1')).toEqual([
        [1, 1],
        [2, 2],
      ]);
    },
  );

  it('P24: is what a merge of the windows up to the last one would be, in whatever order they came', async () => {
    const row = fc.record(
      { id: fc.integer({ min: 1, max: 4 }), name: fc.constantFrom('a', 'b', null), n: fc.nat(2), gone: fc.boolean() },
      { requiredKeys: ['id', 'gone'] },
    );
    const days = fc.array(
      fc.record({ day: fc.integer({ min: 1, max: 4 }), rows: fc.uniqueArray(row, { selector: ({ id }) => id }) }),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(days, async (all) => {
        const bench = new Bench(`create table t (id integer, name text default 'none', n integer, gone integer);
          insert into t values (1, 'old', 7, 0), (2, 'old', 7, 1)`);
        for (const { day, rows } of all) await bench.run('mergeAt', day, rows, REMOVING);
        await bench.sink.close!();
        expect(bench.rows()).toEqual(expected(all));
      }),
      { numRuns: 60 },
    );
  });

  const IGNORES = `create trigger kept before delete on t begin select raise(ignore); end;
    create trigger left before insert on t when new.id = 7 begin select raise(ignore); end`;

  it('P10, P14: publishes nothing where a trigger keeps rows or leaves rows out', async () => {
    const bench = new Bench(`create table t (id integer, gone integer); insert into t values (1, 0); ${IGNORES}`);
    const leftOut = { reason: 'rows-left-out' };
    expect(await thrownBy(bench.run('merge', 1, [{ id: 7 }, { id: 8 }]))).toMatchObject(leftOut);
    const kept = { reason: 'rows-kept' };
    expect(await thrownBy(bench.run('replace', 2, [{ id: 8 }]))).toMatchObject(kept);
    expect(await thrownBy(bench.run('merge', 3, [{ id: 1, gone: true }], REMOVING))).toMatchObject(kept);
    await bench.run('mergeAt', 4, [{ id: 8 }]);
    expect(await thrownBy(bench.run('mergeAt', 4, [{ id: 9 }]))).toMatchObject(kept);
    bench.exec('drop trigger kept');
    expect(await thrownBy(bench.run('replace', 5, [{ id: 7 }]))).toMatchObject(leftOut);
    expect(bench.rows('select id from t order by 1')).toEqual([[1], [8]]);
  });

  it.each([
    ['a trigger', `create table t (id integer); ${IGNORES}`],
    ['a clause', 'create table t (id integer primary key on conflict ignore); insert into t values (7)'],
  ])('refuses a batch of which %s leaves a row out', async (_, sql) => {
    const bench = new Bench(sql);
    const before = bench.rows();
    const sending = bench.sink.can.commitOnce!(testPermit({ records: [{ id: 6 }, { id: 7 }], batch: 1 }));
    expect(await thrownBy(sending)).toMatchObject({ reason: 'rows-left-out', about: 'content' });
    expect(bench.rows()).toEqual(before);
  });

  const REPLACES = `create table t (id integer primary key, code text unique on conflict replace, name text);
    insert into t values (1, 'a', 'one'), (2, 'b', 'two')`;

  it('refuses rows that a clause of the table would let take the place of others', async () => {
    const bench = new Bench(REPLACES, { key: ['id'] });
    const before = bench.rows();
    const taken = { code: 'REFUSED', reason: expect.stringContaining('SQLITE_CONSTRAINT') };
    const [third, second] = [
      { id: 3, code: 'a' },
      { id: 2, code: 'a' },
    ];
    const { append, commitOnce, put } = bench.sink.can;
    expect(await thrownBy(append!(testPermit({ records: [third], batch: 1 })))).toMatchObject(taken);
    expect(await thrownBy(commitOnce!(testPermit({ records: [third], batch: 2 })))).toMatchObject(taken);
    for (const record of [third, second]) {
      expect(await thrownBy(put!(testPermit({ records: [record], batch: 3 })))).toMatchObject(taken);
    }
    for (const [nth, rows] of [[third], [second]].entries()) {
      expect(await thrownBy(bench.run('merge', nth, rows))).toMatchObject({ code: 'REFUSED' });
    }
    expect(bench.rows()).toEqual(before);
    await put!(testPermit({ records: [{ id: 2, code: 'c' }], batch: 4 }));
    expect(bench.rows('select id, code from t order by 1')).toEqual([
      [1, 'a'],
      [2, 'c'],
    ]);
  });

  it('leaves it to a clause of a column what stands there for a null', async () => {
    const bench = new Bench("create table t (id integer, v text not null on conflict replace default 'none')");
    await bench.sink.can.append!(testPermit({ records: [{ id: 6, v: null }], batch: 1 }));
    expect(bench.rows()).toEqual([[6, 'none']]);
  });

  it('lets triggers replace what they have written, where the table has no such clause', async () => {
    const bench = new Bench(`create table t (id integer); create table last (one integer primary key, id integer);
      create trigger keeps after insert on t begin insert or replace into last values (1, new.id); end`);
    await bench.sink.can.append!(testPermit({ records: [{ id: 6 }, { id: 7 }], batch: 1 }));
    expect(bench.rows('select id from last')).toEqual([[7]]);
  });

  it('refuses a record that is nothing but its key when a trigger leaves it out', async () => {
    const sql = `create table t (id integer primary key); insert into t values (6); ${IGNORES}`;
    const bench = new Bench(sql, { key: ['id'] });
    const put = (id: number) => bench.sink.can.put!(testPermit({ records: [{ id }], batch: id }));
    await put(6);
    expect(await thrownBy(put(7))).toMatchObject({ reason: 'rows-left-out', about: 'content' });
    expect(bench.rows()).toEqual([[6]]);
  });

  it('takes what a trigger of a view writes elsewhere', async () => {
    const bench = new Bench(`create table u (id integer); create view t as select id from u;
      create trigger one instead of insert on t begin insert into u values (new.id); end`);
    await bench.sink.can.commitOnce!(testPermit({ records: [{ id: 6 }], batch: 1 }));
    expect(bench.rows()).toEqual([[6]]);
  });
});

interface Row {
  readonly id: number;
  readonly name?: string | null;
  readonly n?: number;
  readonly gone: boolean;
}

/** What is left of the loads: a later one takes out those of its day and of later days. */
function expected(all: readonly { readonly day: number; readonly rows: readonly Row[] }[]): unknown[][] {
  const left = all.reduce<typeof all>((kept, one) => [...kept.filter(({ day }) => day < one.day), one], []);
  const table = new Map<number, object>([
    [1, { id: 1, name: 'old', n: 7, gone: false }],
    [2, { id: 2, name: 'old', n: 7, gone: true }],
  ]);
  for (const row of left.flatMap(({ rows }) => rows)) {
    const there = table.get(row.id);
    if (there !== undefined && row.gone) table.delete(row.id);
    else if (there !== undefined) table.set(row.id, { ...there, ...row });
    else if (!row.gone) table.set(row.id, { name: 'none', n: null, ...row });
  }
  const rows = [...table.values()] as Required<Row>[];
  return rows.sort((a, b) => a.id - b.id).map(({ id, name, n, gone }) => [id, name, n, gone ? 1 : 0]);
}
