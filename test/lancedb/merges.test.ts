import { describe, expect, it } from 'vitest';
import { Opened } from '../../src/connectors/lancedb/database.ts';
import { loadDrivers } from '../../src/connectors/lancedb/driver.ts';
import { RefusedError } from '../../src/model/errors.ts';
import type { MergeBy } from '../../src/model/load.ts';
import { collected, merged, onLance } from './bench.ts';
import { loadOf, permitOf, stepOf, surely } from './steps.ts';

const BY: MergeBy = { key: ['id'] };
const KEYED = { key: ['id'], columns: { id: 'int64', day: 'date', name: 'text', gone: 'boolean' } };
const row = (id: number, name: string, more: object = {}) => ({ id, day: '2026-11-16', name, gone: false, ...more });

async function refusal(work: Promise<unknown>): Promise<RefusedError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(RefusedError);
  return error as RefusedError;
}

describe('a merge into LanceDB', () => {
  it(
    'P14: inserts what is new and updates what changed, by one key column or by several',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      await merged(sink, loadOf(1), [row(1, 'a'), row(2, 'b'), row(3, 'c')], BY);
      const receipt = await merged(sink, loadOf(2), [row(2, 'B'), row(4, 'd')], BY);
      expect(await bench.rows()).toMatchObject([{ name: 'a' }, { name: 'B' }, { name: 'c' }, { name: 'd' }]);
      expect(receipt.facts).toMatchObject({ inserted: 1, updated: 1, deleted: 0 });
      const two = bench.sink({ table: 'two', key: ['a', 'b'] });
      const by = { key: ['a', 'b'] };
      await merged(
        two,
        loadOf(3),
        [
          { a: 1, b: "x'y", n: 1 },
          { a: 1, b: 'z', n: 2 },
        ],
        by,
      );
      await merged(
        two,
        loadOf(4),
        [
          { a: 1, b: "x'y", n: 3 },
          { a: 2, b: 'z', n: 4 },
        ],
        by,
      );
      expect(await bench.lines('two')).toEqual(["1 x'y 3", '1 z 2', '2 z 4']);
    }),
  );

  it(
    'P15: removes or marks what is flagged, and never inserts it, on the first run neither',
    onLance(async (bench) => {
      const deleted = { column: 'gone', values: [true], how: 'remove' } as const;
      const sink = bench.sink(KEYED);
      const flagged = (id: number) => row(id, 'x', { gone: true });
      await merged(sink, loadOf(1), [row(1, 'a'), row(2, 'b'), flagged(7)], { ...BY, deleted });
      expect((await bench.rows()).map(({ id }) => id)).toEqual(['1', '2']);
      const receipt = await merged(sink, loadOf(2), [flagged(2), flagged(8)], { ...BY, deleted });
      expect((await bench.rows()).map(({ id }) => id)).toEqual(['1']);
      expect(receipt.facts).toMatchObject({ deleted: 1 });
      const mark = { ...deleted, how: 'mark' } as const;
      await merged(sink, loadOf(3), [flagged(1), flagged(9)], { ...BY, deleted: mark });
      expect(await bench.rows()).toMatchObject([{ id: '1', gone: 'true' }]);
    }),
  );

  it(
    'P15: removes by a key of several columns',
    onLance(async (bench) => {
      const sink = bench.sink({ key: ['a', 'b'] });
      const by: MergeBy = { key: ['a', 'b'], deleted: { column: 'op', values: ['D'], how: 'remove' } };
      const rows = Array.from({ length: 40 }, (_, at) => ({ a: at % 4, b: `b${at}`, op: 'I' }));
      await merged(sink, loadOf(1), rows, by);
      await merged(
        sink,
        loadOf(2),
        rows.slice(0, 37).map((one) => ({ ...one, op: 'D' })),
        by,
      );
      expect(await bench.lines()).toEqual(['1 b37 I', '2 b38 I', '3 b39 I']);
    }),
  );

  it(
    'P16: leaves alone what the load does not name, and the columns that the flow does not write',
    onLance(async (bench) => {
      const { columns } = KEYED;
      await merged(bench.sink(KEYED), loadOf(1), [row(1, 'a'), row(2, 'b')], BY);
      const narrow = bench.sink({ key: ['id'], columns: { id: columns.id, name: columns.name } });
      await merged(
        narrow,
        loadOf(2),
        [
          { id: 2, name: 'B' },
          { id: 3, name: 'c' },
        ],
        BY,
      );
      expect(await bench.lines()).toEqual(['1 2026-11-16 a false', '2 2026-11-16 B false', '3  c ']);
    }),
  );

  it(
    'P17: takes equal rows of one key as one, the latest where it is told how, and refuses others',
    onLance(async (bench) => {
      const sink = bench.sink({ ...KEYED, columns: { ...KEYED.columns, at: 'timestamptz' } });
      const at = (id: number, name: string, time: string) => row(id, name, { at: `2026-11-16T00:00:00${time}Z` });
      await merged(sink, loadOf(1), [row(1, 'a'), row(1, 'a'), row(2, 'b')], BY);
      expect((await bench.rows()).map(({ name }) => name)).toEqual(['a', 'b']);
      await collected(sink, loadOf(2), [row(1, 'x'), row(3, 'c'), row(1, 'y')]);
      const error = await refusal(surely(sink, 'merge')(stepOf(loadOf(2)), BY));
      expect(error.reason).toBe('key-twice');
      expect((await bench.rows()).map(({ name }) => name)).toEqual(['a', 'b']);
      const latest = { ...BY, latestBy: 'at' };
      // Less than a microsecond apart is not apart; and a moment without a fraction is earlier than one with.
      await merged(sink, loadOf(3), [at(1, 'old', ''), at(1, 'new', '.000002'), at(1, 'mid', '.000001')], latest);
      expect((await bench.rows()).map(({ name }) => name)).toEqual(['new', 'b']);
      await collected(sink, loadOf(4), [at(1, 'p', ''), at(1, 'q', '')]);
      expect((await refusal(surely(sink, 'merge')(stepOf(loadOf(4)), latest))).reason).toBe('key-twice');
    }),
  );

  it(
    'P17: refuses a null in a key column with its batch, names row and column, and holds the rest',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      await collected(sink, loadOf(1), [row(1, 'a')]);
      const error = await refusal(surely(sink, 'load').add(permitOf(loadOf(1), [row(2, 'b'), { name: 'c' }])));
      expect(error.message).toMatch(/record 2 .*"id"/);
      await surely(sink, 'merge')(stepOf(loadOf(1)), BY);
      expect((await bench.rows()).map(({ id }) => id)).toEqual(['1']);
    }),
  );

  it(
    'P18: is repaired by a corrected load of the same window, without a replay',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      await merged(sink, loadOf(1), [row(1, 'wrong'), row(2, 'b')], BY);
      await merged(sink, loadOf(2), [row(3, 'c')], BY);
      await merged(sink, loadOf(1, 2), [row(1, 'right'), row(2, 'b')], BY);
      expect((await bench.rows()).map(({ name }) => name)).toEqual(['right', 'b', 'c']);
    }),
  );

  it(
    'refuses columns that are not there and another key than its own before anything changes',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      await collected(sink, loadOf(1), [row(1, 'a')]);
      const step = stepOf(loadOf(1));
      expect((await refusal(surely(sink, 'merge')(step, { key: ['name'] }))).reason).toBe('key');
      expect((await refusal(surely(sink, 'merge')(step, { ...BY, latestBy: 'never' }))).reason).toBe('column');
      const deleted = { column: 'never', values: [1], how: 'remove' } as const;
      expect((await refusal(surely(sink, 'merge')(step, { ...BY, deleted }))).reason).toBe('column');
      expect(await bench.lines()).toEqual([]);
    }),
  );

  it(
    'adds a batch to its place once, also when the repeat and the first arrive together',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      const load = loadOf(1);
      await surely(sink, 'load').open(stepOf(load));
      const permit = permitOf(load, [row(1, 'a'), row(2, 'b')]);
      expect(await surely(sink, 'load').add(permit)).not.toBe('already');
      expect(await surely(bench.sink(KEYED), 'load').add(permit)).toBe('already');
      const late = permitOf(load, [row(3, 'c')]);
      await Promise.all([sink, bench.sink(KEYED), bench.sink(KEYED)].map((one) => surely(one, 'load').add(late)));
      const receipt = await surely(sink, 'merge')(stepOf(load), BY);
      expect(receipt.facts).toMatchObject({ inserted: 3 });
      expect((await bench.rows()).map(({ id }) => id)).toEqual(['1', '2', '3']);
    }),
  );

  it(
    'tells what a published load has come to, and takes nothing more for it',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      const receipt = await merged(sink, loadOf(1), [row(1, 'a')], BY);
      await merged(sink, loadOf(2), [row(1, 'b')], BY);
      expect(await surely(bench.sink(KEYED), 'merge')(stepOf(loadOf(1)), BY)).toEqual(receipt);
      expect((await refusal(surely(sink, 'load').add(permitOf(loadOf(1), [row(9, 'z')])))).reason).toBe('load-gone');
      expect((await bench.rows()).map(({ name }) => name)).toEqual(['b']);
    }),
  );

  it(
    'removes places of earlier generations and refuses older fences',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      await collected(sink, loadOf(1, 1), [row(1, 'old')]);
      await collected(sink, loadOf(1, 2), [row(1, 'new')], 5);
      expect((await refusal(surely(sink, 'merge')(stepOf(loadOf(1, 1), 5), BY))).reason).toBe('load-gone');
      expect((await refusal(surely(sink, 'merge')(stepOf(loadOf(1, 2), 4), BY))).reason).toBe('fence');
      expect((await refusal(surely(sink, 'load').add(permitOf(loadOf(1, 1), [row(9, 'z')])))).reason).toBe('load-gone');
      await surely(sink, 'merge')(stepOf(loadOf(1, 2), 5), BY);
      expect((await bench.rows()).map(({ name }) => name)).toEqual(['new']);
    }),
  );

  it(
    'publishes an empty load as nothing',
    onLance(async (bench) => {
      const sink = bench.sink({ key: ['id'] });
      await merged(sink, loadOf(1), [], BY);
      expect(await bench.rows()).toEqual([]);
      await merged(sink, loadOf(2), [row(1, 'a')], BY);
      await merged(sink, loadOf(3), [], BY);
      expect((await bench.rows()).map(({ name }) => name)).toEqual(['a']);
    }),
  );
});

describe('two writers of one table of LanceDB', () => {
  it(
    'P30: bring each key once, with what one of them has sent, though both found it missing',
    onLance(async (bench) => {
      const writers = Array.from({ length: 4 }, () => bench.sink(KEYED));
      const rows = (writer: number) => Array.from({ length: 30 }, (_, id) => row(id, `w${writer}`));
      await Promise.all(writers.map((sink, writer) => sink.can.put!(permitOf(undefined, rows(writer)))));
      const held = await bench.rows();
      expect(held.map(({ id }) => Number(id)).sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, id) => id));
      // Each batch is one commit, so the last one has all of it.
      expect(new Set(held.map(({ name }) => name)).size).toBe(1);
    }),
  );

  it(
    'P30: make a table once, whoever of them is the first, and lose no row that another one has written',
    onLance(async (bench) => {
      for (let round = 0; round < 5; round++) {
        const table = `made${round}`;
        const writers = Array.from({ length: 12 }, () => bench.sink({ ...KEYED, table }));
        // Who comes late finds a table that others have just begun to fill.
        await Promise.all(
          writers.map(async (sink, writer) => {
            for (let turn = 0; turn < writer; turn++) await bench.lines(table);
            await sink.can.put!(permitOf(undefined, [row(writer, 'x')]));
          }),
        );
        expect(await bench.lines(table), table).toHaveLength(12);
      }
    }),
  );

  it(
    'P30: say in a bucket, where nothing can be moved, whose rows were overwritten, and which version has them',
    onLance(async (bench) => {
      const drivers = await loadDrivers();
      const connection = await bench.connection();
      // What LanceDB does to whoever makes a table that another one has made since it looked.
      const late = new Proxy(connection, {
        get: (target, name) =>
          name === 'createEmptyTable'
            ? (table: string, schema: never, options: object) =>
                target.createEmptyTable(table, schema, { ...options, mode: 'overwrite' })
            : Reflect.get(target, name).bind(target),
      });
      const opened = new Opened(drivers, late);
      const columns = opened.newColumns([{ name: 'id', type: { kind: 'int64' }, nullable: false }], ['id']);
      const fields = columns.map(({ field }) => field);
      const made = await opened.make('t', fields);
      // An empty one holds nothing that could be lost.
      expect(await (await opened.make('t', fields)).version()).toBe(2);
      await made.checkoutLatest();
      await made.add([{ id: 1n }, { id: 2n }]);
      const error = await refusal(opened.make('t', fields));
      expect(error.message).toMatch(/overwritten their 2 rows/);
      expect(error.hint).toMatch(/version 3 of the table: restore it/);
      await made.checkout(3);
      expect(await made.countRows()).toBe(2);
    }),
  );

  it(
    'P14: merge their loads beside each other, and neither loses a row of the other',
    onLance(async (bench) => {
      await merged(bench.sink(KEYED), loadOf(1), [row(0, 'before')], BY);
      const days = [2, 3, 4, 5];
      const sinks = days.map(() => bench.sink(KEYED));
      await Promise.all(
        days.map((day, at) => collected(sinks[at]!, loadOf(day), [row(day, `d${day}`), row(99, `d${day}`)])),
      );
      await Promise.all(days.map((day, at) => surely(sinks[at]!, 'merge')(stepOf(loadOf(day)), BY)));
      const held = await bench.rows();
      expect(held.map(({ id }) => Number(id)).sort((a, b) => a - b)).toEqual([0, 2, 3, 4, 5, 99]);
    }),
  );

  it(
    'P27: give the last record of a key in a batch, whose records count in their order',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      await sink.can.put!(permitOf(undefined, [row(1, 'first'), row(2, 'b'), row(1, 'last')]));
      expect((await bench.rows()).map(({ name }) => name)).toEqual(['last', 'b']);
    }),
  );
});
