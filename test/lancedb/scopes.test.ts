import { describe, expect, it } from 'vitest';
import { RefusedError } from '../../src/model/errors.ts';
import type { Scope } from '../../src/model/load.ts';
import { collected, type LanceBench, onLance } from './bench.ts';
import { loadOf, permitOf, stepOf, surely } from './steps.ts';

const COLUMNS = { id: 'int64', day: 'date', name: 'text' };
/** Rows told by a key, and rows told by where they came from. */
const WAYS = [
  { way: 'with a key', settings: { key: ['id'], columns: COLUMNS } },
  { way: 'without a key', settings: { columns: COLUMNS } },
];
const row = (id: number, day: number, name: string) => ({ id, day: `2026-11-${10 + day}`, name });
const dayOf = (day: number): Scope => ({
  kind: 'range',
  column: 'day',
  from: `2026-11-${10 + day}T00:00:00Z`,
  to: `2026-11-${11 + day}T00:00:00Z`,
  days: { from: `2026-11-${10 + day}`, to: `2026-11-${11 + day}` },
});
const ALL: Scope = { kind: 'all' };
const names = async (bench: LanceBench) => (await bench.rows()).map(({ name }) => name).sort();

async function refusedFor(work: Promise<unknown>): Promise<string> {
  const error = await work.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RefusedError);
  return (error as RefusedError).reason;
}

for (const { way, settings } of WAYS) {
  describe(`overwriting in LanceDB, ${way}`, () => {
    const replaced = async (bench: LanceBench, nth: number, scope: Scope, rows: object[]) => {
      const sink = bench.sink(settings);
      await collected(sink, loadOf(nth), rows as never);
      return await surely(sink, 'replace')(stepOf(loadOf(nth)), scope);
    };

    it(
      'P10: replaces exactly the rows of the partition and leaves the others alone',
      onLance(async (bench) => {
        await replaced(bench, 1, ALL, [row(1, 1, 'a'), row(2, 1, 'b'), row(3, 2, 'c')]);
        await replaced(bench, 2, dayOf(1), [row(1, 1, 'A'), row(4, 1, 'd')]);
        expect(await names(bench)).toEqual(['A', 'c', 'd']);
        await replaced(bench, 3, dayOf(2), []);
        expect(await names(bench)).toEqual(['A', 'd']);
        await replaced(bench, 4, { kind: 'equals', column: 'name', value: 'd' }, [row(5, 1, 'd')]);
        expect((await bench.rows()).map(({ id }) => id).sort()).toEqual(['1', '5']);
      }),
    );

    it(
      'P11: replaces the whole table, and what a predicate selects',
      onLance(async (bench) => {
        await replaced(bench, 1, ALL, [row(1, 1, 'a'), row(2, 1, 'b')]);
        await replaced(bench, 2, ALL, [row(3, 1, 'c')]);
        expect(await names(bench)).toEqual(['c']);
        await replaced(bench, 3, ALL, []);
        expect(await names(bench)).toEqual([]);
      }),
    );

    it(
      'P12: is never seen empty or by halves by a reader that looks all the time',
      onLance(async (bench) => {
        const rows = (version: string) => Array.from({ length: 50 }, (_, id) => row(id, 1, version));
        await replaced(bench, 1, ALL, [...rows('v0'), row(99, 2, 'other')]);
        let done = false;
        const seen = new Set<string>();
        const reader = (async () => {
          for (let look = 0; !done || look === 0; look++) {
            const found = await (await bench.table()).query().where("name <> 'other'").select(['name']).toArray();
            const versions = [...new Set(found.map((one: { name: string }) => one.name))].join();
            seen.add(`${found.length} ${versions}`);
          }
        })();
        for (const nth of [2, 3, 4, 5]) await replaced(bench, nth, dayOf(1), rows(`v${nth}`));
        done = true;
        await reader;
        expect([...seen].filter((one) => !/^50 v\d$/.test(one))).toEqual([]);
        expect(await names(bench)).toHaveLength(51);
      }),
    );

    it(
      'P13: says what was taken out and that earlier versions keep it until they are cleaned up',
      onLance(async (bench) => {
        await replaced(bench, 1, ALL, [row(1, 1, 'a'), row(2, 1, 'b')]);
        const receipt = await replaced(bench, 2, ALL, [row(3, 1, 'c')]);
        expect(receipt.summary).toMatch(/1 rows inserted, 0 changed, 2 removed.*until those are cleaned up/);
        expect(receipt.facts).toMatchObject({ inserted: 1, deleted: 2 });
      }),
    );

    it(
      'refuses rows outside of the scope, and scopes that the table has not, before anything changes',
      onLance(async (bench) => {
        await replaced(bench, 1, ALL, [row(1, 1, 'a'), row(2, 2, 'b')]);
        expect(await refusedFor(replaced(bench, 2, dayOf(1), [row(3, 1, 'c'), row(4, 2, 'd')]))).toBe('outside-scope');
        const nowhere = { kind: 'equals', column: 'never', value: 1 } as const;
        expect(await refusedFor(replaced(bench, 3, nowhere, [row(3, 1, 'c')]))).toBe('scope');
        const unfit = { kind: 'equals', column: 'id', value: 'seven' } as const;
        expect(await refusedFor(replaced(bench, 4, unfit, [row(3, 1, 'c')]))).toBe('scope');
        expect(await names(bench)).toEqual(['a', 'b']);
      }),
    );
  });
}

describe('rows of LanceDB', () => {
  it(
    'P10: have keys up to both ends of what 64 bits hold',
    onLance(async (bench) => {
      const sink = bench.sink({ key: ['id'], columns: COLUMNS });
      for (const [nth, name] of [
        [1, 'a'],
        [2, 'b'],
      ] as const) {
        const rows = ['-9223372036854775808', '9223372036854775807'].map(
          (id) => `{"id":${id},"day":"2026-11-11","name":"${name}${id}"}`,
        );
        await collected(sink, loadOf(nth), rows as never);
        await surely(sink, 'replace')(stepOf(loadOf(nth)), dayOf(1));
      }
      expect(await names(bench)).toEqual(['b-9223372036854775808', 'b9223372036854775807']);
    }),
  );

  it(
    'of a key that is there outside of the scope refuse the load',
    onLance(async (bench) => {
      const sink = bench.sink(WAYS[0]!.settings);
      await collected(sink, loadOf(1), [row(1, 1, 'a'), row(2, 2, 'later'), row(3, 0, 'earlier')]);
      await surely(sink, 'replace')(stepOf(loadOf(1)), ALL);
      for (const id of [2, 3]) {
        await collected(sink, loadOf(id), [row(id, 1, 'moved')]);
        expect(await refusedFor(surely(sink, 'replace')(stepOf(loadOf(id)), dayOf(1)))).toBe('key-elsewhere');
      }
      expect(await names(bench)).toEqual(['a', 'earlier', 'later']);
    }),
  );

  it(
    'P32: are seen when their load is published and not before, each once, however often it is asked for',
    onLance(async (bench) => {
      const sink = bench.sink({ columns: COLUMNS });
      await collected(sink, loadOf(1), [row(1, 1, 'a'), row(1, 1, 'a')]);
      expect(await names(bench)).toEqual([]);
      const receipt = await surely(sink, 'appendLoad')(stepOf(loadOf(1)));
      expect(await surely(bench.sink({ columns: COLUMNS }), 'appendLoad')(stepOf(loadOf(1)))).toEqual(receipt);
      await collected(sink, loadOf(2), [row(1, 1, 'b')]);
      await surely(sink, 'appendLoad')(stepOf(loadOf(2)));
      expect(await names(bench)).toEqual(['a', 'a', 'b']);
    }),
  );

  it(
    'P32: are not seen at all where the last batch does not fit',
    onLance(async (bench) => {
      const sink = bench.sink({ columns: COLUMNS });
      await collected(sink, loadOf(1), [row(1, 1, 'a')]);
      const add = surely(sink, 'load').add(permitOf(loadOf(1), [{ id: 'x', day: null, name: 'b' }]));
      expect(await refusedFor(add)).toBe('VALUE_UNFIT');
      expect(await names(bench)).toEqual([]);
    }),
  );
});
