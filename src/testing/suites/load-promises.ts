import type { MergeBy, Scope } from '../../model/load.ts';
import { daysOf, periodOf } from '../../model/period.ts';
import { expect, fail, rejection } from './expect.ts';
import { KEY, type LoadBench, type LoadCheck, loadOf, recordsOf } from './load-bench.ts';
import type { LoadAbility, LoadRecord } from './load-subject.ts';
import { VERSION_CHECKS } from './load-versions.ts';

const REMOVING: MergeBy = { key: ['n'], deleted: { column: 'gone', values: [true], how: 'remove' } };
const MARKING: MergeBy = { key: ['n'], deleted: { column: 'gone', values: [true], how: 'mark' } };
const LATEST: MergeBy = { key: ['n'], latestBy: 'version' };

/** What each ability promises beside what all promise; a new one in the contract is missed here by the compiler. */
export const loadPromises = (): Readonly<Record<LoadAbility, readonly LoadCheck[]>> => ({
  load: [],
  appendLoad: [{ title: 'adds, and leaves alone what is there', run: adds }],
  replace: [
    { title: 'replaces the rows of a range, and leaves all others alone', run: replacesRange },
    { title: 'replaces the rows that are equal to a value, and leaves all others alone', run: replacesEqual },
    { title: 'refuses rows that lie outside of what they take the place of', run: refusesOutside },
    { title: 'refuses a column that nobody knows, before anything changes', run: (bench) => scopesUnknown(bench) },
  ],
  merge: mergingChecks('merge'),
  mergeAt: [
    ...mergingChecks('mergeAt'),
    { title: 'goes back to where it stood before a load that is done again', run: goesBack },
    { title: 'removes what the latest load does not bring any more', run: repairsLatest },
    { title: 'goes back to what was there before its first load', run: goesBackToStart },
  ],
  addToPeriod: [
    { title: 'joins what the period holds, or takes its place, and leaves other periods alone', run: joinsPeriods },
  ],
  publish: [
    { title: 'keeps as many earlier loads as it is told, and removes older ones', run: keepsSome },
    { title: 'lets nobody write to the place of a load that was published', run: writtenOnce },
  ],
  versions: VERSION_CHECKS,
});

function mergingChecks(ability: 'merge' | 'mergeAt'): readonly LoadCheck[] {
  const make = (title: string, run: (bench: LoadBench, ability: 'merge' | 'mergeAt') => Promise<void>): LoadCheck => ({
    title,
    run: (bench) => run(bench, ability),
  });
  return [
    make('inserts and changes by key, and leaves alone what it does not name', mergesByKey),
    make('removes what is flagged as deleted, and never inserts it', removesDeleted),
    make('marks what is flagged as deleted, and never inserts it', marksDeleted),
    make('takes equal rows of one key for one, and refuses others without a rule', mergesRepeats),
    make('takes the latest row of a key, and refuses two that are the latest', mergesLatest),
    make('refuses rows without a key', refusesNullKey),
    make('refuses columns that nobody knows, before anything changes', mergesUnknown),
  ];
}

async function adds(bench: LoadBench): Promise<void> {
  await bench.run('appendLoad', loadOf(16, 1), recordsOf(16, [1, 1, 2]));
  await bench.run('appendLoad', loadOf(16, 2), recordsOf(16, [1, 2]));
  await bench.expectSeen(recordsOf(16, [1, 1, 1, 2, 2]), 'after a window was added twice, in two generations');
}

const has = ({ fixture }: LoadBench, kind: Scope['kind']): boolean =>
  fixture.scopes === undefined || fixture.scopes.includes(kind);

const dayRange = (date: number): Scope => {
  const { window } = loadOf(date);
  return { kind: 'range', column: 'day', from: window.start!, to: window.end!, days: daysOf(window)! };
};

async function replacesRange(bench: LoadBench): Promise<void> {
  if (!has(bench, 'range')) return expectAll(bench);
  const put = (date: number, generation: number, numbers: readonly number[]) =>
    bench.run('replace', loadOf(date, generation), recordsOf(date, numbers), { scope: dayRange(date) });
  await put(15, 1, [1]);
  await put(16, 1, [1, 2, 3]);
  await put(17, 1, [4]);
  await put(16, 2, [3, 5]);
  const others = [...recordsOf(15, [1]), ...recordsOf(17, [4])];
  await bench.expectSeen([...others, ...recordsOf(16, [3, 5])], 'after a day was replaced between two others');
  await put(16, 3, []);
  await bench.expectSeen(others, 'after a day was replaced by nothing');
}

async function replacesEqual(bench: LoadBench): Promise<void> {
  if (!has(bench, 'equals')) return expectAll(bench);
  const put = (generation: number, version: number, numbers: readonly number[]) =>
    bench.run('replace', loadOf(16, generation), recordsOf(16, numbers, version), {
      scope: { kind: 'equals', column: 'version', value: version },
    });
  await put(1, 0, [1, 2]);
  await put(2, 1, [3, 4]);
  await put(3, 0, [5]);
  await bench.expectSeen([...recordsOf(16, [5]), ...recordsOf(16, [3, 4], 1)], 'after one of two values was replaced');
}

async function refusesOutside(bench: LoadBench): Promise<void> {
  if (!has(bench, 'range')) return expectAll(bench);
  await bench.run('replace', loadOf(16), recordsOf(16, [1]), { scope: dayRange(16) });
  const load = loadOf(17);
  await bench.collect(load, [...recordsOf(17, [2]), ...recordsOf(16, [3])]);
  const replacing = bench.publish('replace', load, { scope: dayRange(17) });
  await bench.expectRefused(replacing, 'a load with a row that lies outside of its scope');
  await bench.expectSeen(recordsOf(16, [1]), 'after it was refused');
}

async function scopesUnknown(bench: LoadBench): Promise<void> {
  if (!has(bench, 'equals')) return expectAll(bench);
  await bench.run('replace', loadOf(16), recordsOf(16, [1]));
  const load = loadOf(17);
  await bench.collect(load, recordsOf(17, [2]));
  const scope: Scope = { kind: 'equals', column: 'nowhere', value: 1 };
  await rejection(bench.publish('replace', load, { scope }), 'a scope by a column that nobody knows');
  await bench.expectSeen(recordsOf(16, [1]), 'after it was refused');
  await bench.publish('replace', load);
  await bench.expectSeen(bench.expected('replace', [{ load, records: recordsOf(17, [2]) }]), 'after it was corrected');
}

/** A sink that replaces nothing smaller says so: everything else is judged by the cases about `all`. */
async function expectAll({ fixture }: LoadBench): Promise<void> {
  expect(fixture.scopes, 'what it can take the place of').toContain('all');
}

type Merging = 'merge' | 'mergeAt';

async function mergesByKey(bench: LoadBench, ability: Merging): Promise<void> {
  await bench.run(ability, loadOf(16), recordsOf(16, [1, 2, 3]));
  await bench.run(ability, loadOf(17), recordsOf(17, [2, 4], 1));
  const after = [...recordsOf(16, [1, 3]), ...recordsOf(17, [2, 4], 1)];
  await bench.expectSeen(after, 'after a change and a new row');
}

const deletions = (date: number, numbers: readonly number[]): readonly LoadRecord[] =>
  recordsOf(date, numbers).map((record) => ({ ...record, gone: true }));

async function removesDeleted(bench: LoadBench, ability: Merging): Promise<void> {
  const by = REMOVING;
  await bench.run(ability, loadOf(16), [...recordsOf(16, [1, 2]), ...deletions(16, [7])], { by });
  await bench.expectSeen(recordsOf(16, [1, 2]), 'after a first load with a deletion of what is not there');
  await bench.run(ability, loadOf(17), [...deletions(16, [2, 8]), ...recordsOf(17, [3])], { by });
  await bench.expectSeen([...recordsOf(16, [1]), ...recordsOf(17, [3])], 'after a row was removed');
}

async function marksDeleted(bench: LoadBench, ability: Merging): Promise<void> {
  const by = MARKING;
  await bench.run(ability, loadOf(16), [...recordsOf(16, [1, 2]), ...deletions(16, [7])], { by });
  await bench.run(ability, loadOf(17), deletions(16, [2, 8]), { by });
  await bench.expectSeen([...recordsOf(16, [1]), ...deletions(16, [2])], 'after a row was marked');
}

async function mergesRepeats(bench: LoadBench, ability: Merging): Promise<void> {
  await bench.run(ability, loadOf(16), recordsOf(16, [1, 1, 2, 2]));
  await bench.expectSeen(recordsOf(16, [1, 2]), 'after equal rows of one key');
  const load = loadOf(17);
  await bench.collect(load, [...recordsOf(17, [1]), ...recordsOf(17, [1], 1)]);
  await bench.expectRefused(bench.publish(ability, load), 'rows of one key that differ');
  await bench.expectSeen(recordsOf(16, [1, 2]), 'after rows of one key that differ were refused');
}

async function mergesLatest(bench: LoadBench, ability: Merging): Promise<void> {
  const by = LATEST;
  const versions = [1, 3, 2].flatMap((version) => recordsOf(16, [1], version));
  await bench.run(ability, loadOf(16), [...versions, ...recordsOf(16, [2], 1)], { by });
  await bench.expectSeen([...recordsOf(16, [1], 3), ...recordsOf(16, [2], 1)], 'after three versions of one key');
  const load = loadOf(17);
  await bench.collect(load, [...recordsOf(17, [1], 4), ...recordsOf(18, [1], 4)]);
  await bench.expectRefused(bench.publish(ability, load, { by }), 'two different rows that are the latest');
  await bench.expectSeen([...recordsOf(16, [1], 3), ...recordsOf(16, [2], 1)], 'after they were refused');
}

async function refusesNullKey(bench: LoadBench, ability: Merging): Promise<void> {
  await bench.run(ability, loadOf(16), recordsOf(16, [1]));
  const load = loadOf(17);
  await bench.open(load);
  const record = { ...recordsOf(17, [2])[0]!, n: null } as unknown as LoadRecord;
  // A place may refuse it already; what counts is that no row without a key is ever seen.
  const [added] = await Promise.allSettled([bench.sink.can.load!.add(bench.permit(load, [record]))]);
  if (added!.status === 'fulfilled') await bench.expectRefused(bench.publish(ability, load), 'a row without a key');
  await bench.expectSeen(recordsOf(16, [1]), 'after a row without a key');
}

async function mergesUnknown(bench: LoadBench, ability: Merging): Promise<void> {
  await bench.run(ability, loadOf(16), recordsOf(16, [1]));
  const load = loadOf(17);
  await bench.collect(load, recordsOf(17, [2]));
  const unknown: readonly MergeBy[] = [
    { key: ['nowhere'] },
    { key: ['n', 'nowhere'] },
    { ...KEY, latestBy: 'nowhere' },
    { ...KEY, deleted: { column: 'nowhere', values: [true], how: 'remove' } },
    { ...KEY, deleted: { column: 'nowhere', values: [true], how: 'mark' } },
  ];
  for (const by of unknown) {
    await rejection(bench.publish(ability, load, { by }), `by ${JSON.stringify(by)}`);
    await bench.expectSeen(recordsOf(16, [1]), `after it was refused to go by ${JSON.stringify(by)}`);
  }
  await bench.publish(ability, load);
  await bench.expectSeen([...recordsOf(16, [1]), ...recordsOf(17, [2])], 'after it was corrected');
}

async function goesBack(bench: LoadBench): Promise<void> {
  const by = REMOVING;
  await bench.run('mergeAt', loadOf(16), recordsOf(16, [1, 2, 3]), { by });
  await bench.run('mergeAt', loadOf(17), [...recordsOf(17, [2, 4], 1), ...deletions(17, [3])], { by });
  await bench.run('mergeAt', loadOf(18), recordsOf(18, [1, 5], 2), { by });
  await bench.run('mergeAt', loadOf(17, 2), recordsOf(17, [2, 6], 3), { by });
  const corrected = [...recordsOf(16, [1, 3]), ...recordsOf(17, [2, 6], 3)];
  await bench.expectSeen(corrected, 'after the second of three days was done again');
  await bench.run('mergeAt', loadOf(18, 2), recordsOf(18, [1, 5], 2), { by });
  const whole = [...recordsOf(16, [3]), ...recordsOf(17, [2, 6], 3), ...recordsOf(18, [1, 5], 2)];
  await bench.expectSeen(whole, 'after the third day was done again, too');
}

async function repairsLatest(bench: LoadBench): Promise<void> {
  await bench.run('mergeAt', loadOf(16), recordsOf(16, [1, 2]));
  await bench.run('mergeAt', loadOf(17, 1), recordsOf(17, [2, 3], 1));
  await bench.run('mergeAt', loadOf(17, 2), recordsOf(17, [4], 2));
  await bench.expectSeen([...recordsOf(16, [1, 2]), ...recordsOf(17, [4], 2)], 'after the latest day was done again');
}

async function goesBackToStart(bench: LoadBench): Promise<void> {
  await bench.run('mergeAt', loadOf(16, 1), recordsOf(16, [1, 2]));
  await bench.run('mergeAt', loadOf(17), recordsOf(17, [3]));
  await bench.run('mergeAt', loadOf(16, 2), recordsOf(16, [2], 1));
  await bench.expectSeen(recordsOf(16, [2], 1), 'after the first day was done again');
}

async function joinsPeriods(bench: LoadBench): Promise<void> {
  const month = (date: number) => periodOf(loadOf(date).window, 'month');
  const next = { name: '2026_12', firstDay: '2026-12-01', lastDay: '2026-12-31' };
  const put = (date: number, generation: number, period: typeof next, fresh: boolean) =>
    bench.run('addToPeriod', loadOf(date, generation), recordsOf(date, [date], generation), { period, fresh });
  await put(16, 1, month(16), true);
  await put(17, 1, month(17), false);
  await put(18, 1, next, true);
  const december = recordsOf(18, [18], 1);
  const both = [...recordsOf(16, [16], 1), ...recordsOf(17, [17], 1)];
  await bench.expectSeen([...both, ...december], 'after two loads joined one period, and another one began');
  await put(16, 2, month(16), true);
  await bench.expectSeen([...recordsOf(16, [16], 2), ...december], 'after the period was begun again');
  await put(17, 2, month(17), false);
  const again = [...recordsOf(16, [16], 2), ...recordsOf(17, [17], 2)];
  await bench.expectSeen([...again, ...december], 'after the other load joined it again');
}

async function keepsSome(bench: LoadBench): Promise<void> {
  const dates = [15, 16, 17, 18, 19];
  for (const date of dates) await bench.run('publish', loadOf(date), recordsOf(date, [date]), { keep: 2 });
  await bench.expectSeen(recordsOf(19, [19]), 'after five loads');
  const places = await bench.fixture.places();
  expect([...places].sort(), 'loads that can still be read').toEqual([17, 18, 19].map((date) => loadOf(date).id));
  await bench.run('publish', loadOf(20), recordsOf(20, [20]), { keep: 0 });
  expect(await bench.fixture.places(), 'loads that can still be read when none is kept').toEqual([loadOf(20).id]);
}

async function writtenOnce(bench: LoadBench): Promise<void> {
  const { tamper } = bench.fixture;
  if (tamper === undefined)
    fail('give the fixture `tamper`: how somebody would try to change a load that is published');
  const { load } = await bench.run('publish', loadOf(16), recordsOf(16, [1]));
  await bench.run('publish', loadOf(17), recordsOf(17, [2]));
  for (const one of [load, loadOf(17)]) await rejection(tamper(one), 'a change of a load that is published');
  await bench.expectSeen(recordsOf(17, [2]), 'after somebody tried to change it');
}
