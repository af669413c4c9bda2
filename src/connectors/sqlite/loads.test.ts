import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Load, LoadStep, MergeBy, Scope } from '../../model/load.ts';
import { periodOf } from '../../model/period.ts';
import { testPermit } from '../../testing/permit.ts';
import type { Sink } from '../connector.ts';
import { type SqliteSinkOptions, sqliteSink } from './sink.ts';

let folder: string;
let nextFile = 0;
beforeAll(() => {
  // Nothing is cut off from power here, so nothing has to reach a disk.
  folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'waybill-sqlite-loads-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const clock = { wallMs: () => 5, monotonicMs: () => 5 };
const KEY: MergeBy = { key: ['id'] };

/** A database of its own, with one sink on it. */
class Place {
  readonly #path: string;
  readonly sink: Sink;
  #batches = 0;

  constructor(sql: string, options: Partial<SqliteSinkOptions> = {}) {
    nextFile += 1;
    const file = `db-${nextFile}.sqlite`;
    this.#path = join(folder, file);
    this.exec(sql);
    this.sink = sqliteSink({ folder, file, table: 't', base64: [], recordsPerBatch: 100, clock, ...options });
  }

  exec(sql: string): void {
    const db = new Database(this.#path);
    try {
      db.exec(sql);
    } finally {
      db.close();
    }
  }

  select(sql: string): unknown[] {
    const db = new Database(this.#path, { readonly: true });
    try {
      return db.prepare(sql).raw(true).all();
    } finally {
      db.close();
    }
  }

  step(load: Load): LoadStep {
    return { load, fence: 1, correlationId: 'test', signal: new AbortController().signal };
  }

  async add(load: Load, records: readonly (object | string)[]): Promise<void> {
    this.#batches += 1;
    await this.sink.can.load!.add(testPermit({ records, load, batch: this.#batches }));
  }

  async collect(load: Load, records: readonly (object | string)[]): Promise<LoadStep> {
    const step = this.step(load);
    await this.sink.can.load!.open(step);
    if (records.length > 0) await this.add(load, records);
    return step;
  }
}

function loadOf(day: number, generation = 1): Load {
  const date = new Date(Date.UTC(2026, 0, day)).toISOString().slice(0, 10);
  const window = { name: date, start: `${date}T00:00:00Z`, end: `${date}T00:00:00Z` };
  const family = `wb_test_${date.replaceAll('-', '_')}_`;
  return { id: `${family}${generation}`, family, ledger: 'l', flow: 'f', lane: 'l', window, generation };
}

async function using<T>(place: Place, work: (place: Place) => Promise<T>): Promise<T> {
  try {
    return await work(place);
  } finally {
    await place.sink.close!();
  }
}

describe('the place of a load', () => {
  it('refuses a batch for what the target would refuse, with the record and the column', async () => {
    const sql = `create table t (id integer primary key, name text not null, size integer) strict`;
    await using(new Place(sql), async (place) => {
      await place.collect(loadOf(1), [{ id: 1, name: 'a' }]);
      const bad = async (record: object, message: RegExp) =>
        await expect(place.add(loadOf(1), [{ id: 2, name: 'b' }, record])).rejects.toSatisfy(
          (error) =>
            error instanceof RefusedError &&
            /^record 2 of the batch/.test(error.message) &&
            message.test(error.message),
        );
      await bad({ id: 3, name: null }, /name/);
      await bad({ id: 3 }, /name/);
      await bad({ id: 3, name: 'c', size: 'large' }, /size/);
      await bad({ id: 'three', name: 'c' }, /id/);
      await bad({ id: 3, name: 'c', color: 'red' }, /color/);
      const receipt = await place.sink.can.appendLoad!(place.step(loadOf(1)));
      expect(receipt).toEqual({ summary: '1 rows added in one transaction', facts: { inserted: 1 } });
      expect(place.select('select id, name, size from t')).toEqual([[1, 'a', null]]);
    });
  });

  it('says what is missing: the table, or its columns', async () => {
    await using(new Place('vacuum'), async (place) => {
      const opening = place.sink.can.load!.open(place.step(loadOf(1)));
      await expect(opening).rejects.toMatchObject({ code: 'REFUSED', hint: expect.stringContaining('columns') });
    });
    const columns = { id: 'integer not null', name: 'text' };
    await using(new Place('vacuum', { columns }), async (place) => {
      const step = await place.collect(loadOf(1), [{ id: 1 }]);
      expect(place.select(`select name from sqlite_schema where name = 't'`)).toEqual([]);
      await place.sink.can.merge!(step, KEY);
      expect(place.select('select * from t')).toEqual([[1, null]]);
    });
  });

  it('takes names that nobody would give', async () => {
    const table = `t "x"; drop table t; --`;
    const quoted = `"${table.replaceAll('"', '""')}"`;
    const sql = `create table ${quoted} ("rowid" integer, "a b" "odd; type", "it's" text default 'it''s')`;
    await using(new Place(sql, { table }), async (place) => {
      const by: MergeBy = {
        key: ['a b'],
        latestBy: 'rowid',
        deleted: { column: "it's", values: ["'"], how: 'remove' },
      };
      const first = await place.collect(loadOf(1), [
        { rowid: 7, 'a b': 1 },
        { rowid: 8, 'a b': 1 },
        { rowid: 9, 'a b': 2 },
      ]);
      await place.sink.can.mergeAt!(first, by, '2026-01-01T00:00:00Z');
      const second = await place.collect(loadOf(2), [{ 'a b': 2, "it's": "'" }]);
      await place.sink.can.mergeAt!(second, by, '2026-01-02T00:00:00Z');
      expect(place.select(`select * from ${quoted}`)).toEqual([[8, 1, "it's"]]);
    });
  });
});

describe('publishing into rows', () => {
  it('leaves columns alone that the load does not name, and lets the table fill them', async () => {
    const sql = `create table t (id integer, name text, seen text default 'never');
      insert into t values (1, 'a', 'today')`;
    await using(new Place(sql), async (place) => {
      const step = await place.collect(loadOf(1), [
        { id: 1, name: 'b' },
        { id: 2, name: 'c' },
      ]);
      const receipt = await place.sink.can.merge!(step, KEY);
      expect(receipt.facts).toEqual({ inserted: 1, updated: 1, deleted: 0 });
      expect(place.select('select * from t order by id')).toEqual([
        [1, 'b', 'today'],
        [2, 'c', 'never'],
      ]);
    });
  });

  it('P17: refuses to merge by a key that the table holds more than once', async () => {
    const sql = `create table t (id integer, name text);
      insert into t values (1, 'a'), (1, 'b'), (2, 'c'), (3, 'd'), (3, 'd')`;
    await using(new Place(sql), async (place) => {
      const step = await place.collect(loadOf(1), [{ id: 1, name: 'x' }]);
      await expect(place.sink.can.merge!(step, KEY)).rejects.toMatchObject({ reason: 'key-ambiguous' });
      // What the load does not name is no concern of it.
      const next = await place.collect(loadOf(2), [{ id: 2, name: 'x' }]);
      expect((await place.sink.can.merge!(next, KEY)).facts).toMatchObject({ updated: 1 });
    });
  });

  it('merges many rows into a table without an index in no time that grows with the square', async () => {
    const sql = `create table t (id integer, name text);
      with recursive n (i) as (select 1 union all select i + 1 from n where i < 30000)
      insert into t select i, 'old' from n`;
    await using(new Place(sql, { columns: { op: 'text' } }), async (place) => {
      const records = Array.from({ length: 30_000 }, (_, at) => ({
        id: at * 2,
        name: 'new',
        op: at % 10 === 0 ? 'd' : 'u',
      }));
      const step = await place.collect(loadOf(1), records);
      const by: MergeBy = { ...KEY, deleted: { column: 'op', values: ['d'], how: 'remove' } };
      const receipt = await place.sink.can.merge!(step, by);
      expect(receipt.facts).toEqual({ inserted: 13_500, updated: 13_500, deleted: 1_500 });
    });
  });

  it('P18: counts as changed only what differs', async () => {
    await using(
      new Place(`create table t (id integer, name text); insert into t values (1, 'a'), (2, 'b')`),
      async (place) => {
        const step = await place.collect(loadOf(1), [
          { id: 1, name: 'a' },
          { id: 2, name: 'c' },
        ]);
        expect((await place.sink.can.merge!(step, KEY)).facts).toEqual({ inserted: 0, updated: 1, deleted: 0 });
      },
    );
  });

  it('P15: takes a flag of deletion that the table does not have, and refuses any other such column', async () => {
    const deleted: MergeBy['deleted'] = { column: 'op', values: ['d', 3], how: 'remove' };
    const columns = { op: 'text', typo: 'text' };
    const sql = `create table t (id integer, name text); insert into t values (1, 'a'), (2, 'b')`;
    await using(new Place(sql, { columns }), async (place) => {
      const step = await place.collect(loadOf(1), [
        { id: 1, op: 'd' },
        { id: 3, name: 'c', op: 'i' },
        { id: 9, op: 'd' },
      ]);
      const receipt = await place.sink.can.merge!(step, { ...KEY, deleted });
      expect(receipt.facts).toEqual({ inserted: 1, updated: 0, deleted: 1 });
      expect(place.select('select * from t order by id')).toEqual([
        [2, 'b'],
        [3, 'c'],
      ]);
      const next = await place.collect(loadOf(2), [{ id: 4, typo: 'x' }]);
      await expect(place.sink.can.merge!(next, KEY)).rejects.toBeInstanceOf(RefusedError);
      await expect(place.sink.can.merge!(next, { ...KEY, deleted: { ...deleted, how: 'mark' } })).rejects.toThrow(
        '"op"',
      );
      expect(place.select('select count(*) from t')).toEqual([[2]]);
    });
  });

  it('changes nothing for a load that breaks a rule of the table, and publishes it when that is mended', async () => {
    await using(
      new Place("create table t (id integer unique, name text check (name <> 'bad')); insert into t values (1, 'a')"),
      async (place) => {
        const step = await place.collect(loadOf(1), [
          { id: 2, name: 'b' },
          { id: 1, name: 'c' },
        ]);
        const refused = await place.sink.can.appendLoad!(step).catch((error: unknown) => error);
        expect(refused).toMatchObject({ reason: 'SQLITE_CONSTRAINT_UNIQUE' });
        expect(place.select('select * from t')).toEqual([[1, 'a']]);
        place.exec('delete from t');
        await place.sink.can.appendLoad!(step);
        expect(place.select('select id from t order by id')).toEqual([[1], [2]]);
      },
    );
  });

  it('P13: says after an overwriting what it has left behind in the file', async () => {
    await using(new Place('create table t (id integer, name text)'), async (place) => {
      const many = Array.from({ length: 100 }, (_, id) => ({ id, name: 'x'.repeat(2000) }));
      await place.sink.can.replace!(await place.collect(loadOf(1), many), { kind: 'all' });
      const receipt = await place.sink.can.replace!(await place.collect(loadOf(2), [{ id: 1 }]), { kind: 'all' });
      expect(receipt.facts).toMatchObject({ inserted: 1, deleted: 100 });
      expect(receipt.summary).toMatch(/VACUUM/);
      expect(receipt.facts!.freePages).toBeGreaterThan(10);
    });
  });

  it('waits for nobody: whoever holds the file is told of as not applied, and the step is done later', async () => {
    await using(new Place('create table t (id integer)'), async (place) => {
      const step = await place.collect(loadOf(1), [{ id: 1 }]);
      const other = new Database(join(folder, `db-${nextFile}.sqlite`));
      other.exec('begin immediate');
      await expect(place.sink.can.appendLoad!(step)).rejects.toBeInstanceOf(NotAppliedError);
      other.exec('rollback');
      other.close();
      await place.sink.can.appendLoad!(step);
      expect(place.select('select * from t')).toEqual([[1]]);
    });
  });

  it('names the rows that lie outside of their scope by number, and not by content', async () => {
    await using(new Place('create table t (id integer, day text)'), async (place) => {
      const step = await place.collect(loadOf(1), [{ id: 1, day: 'here' }, { id: 2, day: 'secret' }, { id: 3 }]);
      const scope: Scope = { kind: 'equals', column: 'day', value: 'here' };
      const error = (await place.sink.can.replace!(step, scope).catch((one: unknown) => one)) as Error;
      expect(error.message).toMatch(/^2 rows .* "day".* row 2$/);
    });
  });
});

describe('a history of loads', () => {
  it('P24: keeps every load with its time, and begins again from what was there before the first', async () => {
    const sql = `create table t (id integer, name text); insert into t values (100, 'old')`;
    await using(new Place(sql), async (place) => {
      const merge = async (day: number, generation: number, records: readonly object[]) => {
        const load = loadOf(day, generation);
        return await place.sink.can.mergeAt!(await place.collect(load, records), KEY, load.window.start!);
      };
      await merge(1, 1, [{ id: 1, name: 'a' }]);
      await merge(2, 1, [
        { id: 1, name: 'b' },
        { id: 100, name: 'new' },
      ]);
      expect(place.select('select wb_at, id, name from waybill_history_t order by wb_at, id')).toEqual([
        ['', 100, 'old'],
        ['2026-01-01T00:00:00Z', 1, 'a'],
        ['2026-01-02T00:00:00Z', 1, 'b'],
        ['2026-01-02T00:00:00Z', 100, 'new'],
      ]);
      const receipt = await merge(1, 2, [{ id: 2, name: 'c' }]);
      expect(receipt).toMatchObject({ facts: { takenOut: 2, takenOutRows: 3 } });
      expect(place.select('select id, name from t order by id')).toEqual([
        [2, 'c'],
        [100, 'old'],
      ]);
    });
  });

  it('goes back over loads that never named the flag of deletion', async () => {
    await using(new Place('create table t (id integer)', { columns: { op: 'text' } }), async (place) => {
      const by: MergeBy = { ...KEY, deleted: { column: 'op', values: ['d'], how: 'remove' } };
      const merge = async (day: number, generation: number, records: readonly object[]) => {
        const load = loadOf(day, generation);
        await place.sink.can.mergeAt!(await place.collect(load, records), by, load.window.start!);
      };
      await merge(1, 1, [{ id: 1 }, { id: 2 }]);
      await merge(2, 1, [{ id: 3 }]);
      await merge(2, 2, [{ id: 1, op: 'd' }]);
      expect(place.select('select id from t')).toEqual([[2]]);
    });
  });

  it('takes a column that joins the table later', async () => {
    await using(new Place('create table t (id integer)'), async (place) => {
      const merge = async (day: number, generation: number, records: readonly object[]) => {
        const load = loadOf(day, generation);
        await place.sink.can.mergeAt!(await place.collect(load, records), KEY, load.window.start!);
      };
      await merge(1, 1, [{ id: 1 }]);
      place.exec('alter table t add column name text');
      await merge(2, 1, [{ id: 2, name: 'b' }]);
      await merge(3, 1, [{ id: 3, name: 'c' }]);
      await merge(3, 2, [{ id: 4, name: 'd' }]);
      expect(place.select('select id, name from t order by id')).toEqual([
        [1, null],
        [2, 'b'],
        [4, 'd'],
      ]);
    });
  });

  it('P21: what another flow has brought is not taken out, in books of an earlier version neither', async () => {
    const books = `create table waybill_load (load text primary key, family text not null, generation integer not null,
      target text not null, state text not null, place text, named text not null default '[]', nth integer, at text,
      at_ms integer); create table t (id integer primary key)`;
    await using(new Place(books), async (place) => {
      const merge = async (load: Load) =>
        await place.sink.can.mergeAt!(await place.collect(load, [{ id: 1 }]), KEY, '2026-01-01T00:00:00Z');
      await merge(loadOf(1));
      const other = { ...loadOf(2), flow: 'returns' };
      await expect(merge(other)).rejects.toMatchObject({ reason: 'flow-foreign', ids: { other: loadOf(1).flow } });
      expect(place.select('select id from t')).toEqual([[1]]);
    });
  });
});

describe('views over loads', () => {
  const columns = { id: 'integer', name: 'text' };

  it('P05: a period that another flow has filled is not begun again', async () => {
    await using(new Place('vacuum', { columns }), async (place) => {
      const add = async (load: Load, fresh: boolean) => {
        const step = await place.collect(load, [{ id: load.generation, name: load.flow }]);
        return await place.sink.can.addToPeriod!(step, periodOf(load.window, 'month'), fresh);
      };
      await add(loadOf(1), true);
      const other = { ...loadOf(2), flow: 'returns' };
      await expect(add(other, true)).rejects.toMatchObject({ reason: 'flow-foreign', ids: { other: loadOf(1).flow } });
      await place.sink.can.addToPeriod!(place.step(other), periodOf(other.window, 'month'), false);
      await expect(add(loadOf(3), true)).rejects.toMatchObject({ reason: 'flow-foreign', ids: { other: 'returns' } });
      expect(place.select('select count(*) from t')).toEqual([[2]]);
    });
  });

  it('P03, P08: shows more periods than are joined in one query', async () => {
    await using(new Place('vacuum', { columns }), async (place) => {
      const add = async (day: number) => {
        const load = loadOf(day);
        await place.sink.can.addToPeriod!(await place.collect(load, [{ id: day }]), periodOf(load.window, 'day'), true);
      };
      await add(1);
      // As 900 days before would have left it.
      const numbers = Array.from({ length: 900 }, (_, at) => at);
      place.exec(
        numbers
          .map(
            (n) => `create table old_${n} as select ${n} as id;
              insert into waybill_load_view values ('t', 'o${n}', 'old_${n}', 'periods');`,
          )
          .join(''),
      );
      await add(32);
      expect(place.select('select count(*), sum(id), count(name) from t')).toEqual([[902, (899 * 900) / 2 + 33, 0]]);
      expect(place.select('select id from t_2026_02_01')).toEqual([[32]]);
    });
  });

  it('P08: a column that later periods have is null in the rows of earlier ones', async () => {
    await using(new Place('vacuum', { columns: { id: 'integer' } }), async (place) => {
      const first = loadOf(1);
      await place.sink.can.addToPeriod!(await place.collect(first, [{ id: 1 }]), periodOf(first.window, 'day'), true);
      const { sink } = place;
      const more = sqliteSink({
        folder,
        file: `db-${nextFile}.sqlite`,
        table: 't',
        base64: [],
        recordsPerBatch: 100,
        clock,
        columns,
      });
      await sink.close!();
      const second = loadOf(2);
      const step = place.step(second);
      await more.can.load!.open(step);
      await more.can.load!.add(testPermit({ records: [{ id: 2, name: 'b' }], load: second }));
      await more.can.addToPeriod!(step, periodOf(second.window, 'day'), true);
      await more.close!();
      expect(place.select('select id, name from t order by id')).toEqual([
        [1, null],
        [2, 'b'],
      ]);
    });
  });

  it('P04: begins a period again without looking at the others', async () => {
    await using(new Place('vacuum', { columns }), async (place) => {
      const [small, large] = [loadOf(1), loadOf(2)];
      await place.sink.can.addToPeriod!(await place.collect(small, [{ id: 1 }]), periodOf(small.window, 'day'), true);
      await place.sink.can.addToPeriod!(await place.collect(large, [{ id: 2 }]), periodOf(large.window, 'day'), true);
      const pages = () =>
        place.select(`select name, rootpage from sqlite_schema where name like 't_2026%' order by name`);
      const before = pages();
      const again = loadOf(1, 2);
      await place.sink.can.addToPeriod!(await place.collect(again, [{ id: 3 }]), periodOf(again.window, 'day'), true);
      // The table of the other period was not written: it begins where it did. That of this one is another table.
      expect(pages()[1]).toEqual(before[1]);
      expect(pages()[0]).not.toEqual(before[0]);
      expect(place.select('select id from t order by id')).toEqual([[2], [3]]);
    });
  });

  it('takes no name that somebody else has given, and says so before anything changes', async () => {
    const load = loadOf(1);
    const period = periodOf(load.window, 'day');
    for (const sql of ['create table t (id integer, name text)', 'create view t as select 1 as id, 2 as name']) {
      await using(new Place(sql, { columns }), async (place) => {
        const step = await place.collect(load, [{ id: 1 }]);
        await expect(place.sink.can.publish!(step, 1)).rejects.toMatchObject({ reason: 'name-taken' });
        await expect(place.sink.can.addToPeriod!(step, period, true)).rejects.toMatchObject({ reason: 'name-taken' });
      });
    }
    await using(new Place('create table t_2026_01_01 (x)', { columns }), async (place) => {
      const step = await place.collect(load, [{ id: 1 }]);
      await expect(place.sink.can.addToPeriod!(step, period, true)).rejects.toMatchObject({ reason: 'name-taken' });
      await place.sink.can.publish!(step, 1);
      const next = await place.collect(loadOf(2), [{ id: 2 }]);
      await expect(place.sink.can.appendLoad!(next)).rejects.toMatchObject({ reason: 'not-a-table' });
      const joining = place.sink.can.addToPeriod!(next, periodOf(loadOf(2).window, 'day'), true);
      await expect(joining).rejects.toMatchObject({ reason: 'name-taken' });
      expect(place.select('select id from t')).toEqual([[1]]);
    });
  });

  it('P36, P39: leaves every load readable under its own name, and lets nobody write there', async () => {
    await using(new Place('vacuum', { columns }), async (place) => {
      for (const day of [1, 2, 3]) await place.sink.can.publish!(await place.collect(loadOf(day), [{ id: day }]), 9);
      expect(place.select(`select id from ${loadOf(1).id}`)).toEqual([[1]]);
      for (const write of ['insert into $ values (1, 2)', 'update $ set id = 5', 'delete from $']) {
        for (const where of [loadOf(1).id, loadOf(3).id]) {
          expect(() => place.exec(write.replace('$', where))).toThrow('never changed');
        }
        expect(() => place.exec(write.replace('$', 't'))).toThrow('view');
      }
    });
  });
});
