import { RefusedError } from '../../model/errors.ts';
import { tally } from '../../model/verdict.ts';
import { expect, fail, rejection } from './expect.ts';
import { type LoadBench, loadOf, recordsOf } from './load-bench.ts';
import type { Publishing } from './load-subject.ts';

interface CollectingCheck {
  readonly title: string;
  run(bench: LoadBench, through: Publishing): Promise<void>;
}

const CLAIMANTS = 6;

/** What the place of a load promises, whatever it is published by. */
export const COLLECTING: readonly CollectingCheck[] = [
  { title: 'shows nobody what is collected', run: collectsUnseen },
  { title: 'keeps what it holds when it is opened again', run: opensAgain },
  { title: 'takes a batch once, whoever sends it again', run: addsOnce },
  { title: 'takes a batch once that comes many times at once', run: addsOnceAtOnce },
  { title: 'takes a batch whole or not at all when it is broken off', run: addsWhole },
  { title: 'refuses a batch with a record that does not fit, and keeps the rest', run: refusesUnfit },
  { title: 'adds nothing once the permit has run out or was withdrawn', run: addsInTime },
  { title: 'takes nothing for a load that has no place', run: addsNowhere },
  { title: 'removes places of earlier generations that were never published, and no others', run: removesEarlier },
  { title: 'is not opened by whoever has an older fence', run: opensFenced },
];

async function collectsUnseen(bench: LoadBench, through: Publishing): Promise<void> {
  const first = await bench.run(through, loadOf(16), recordsOf(16, [1, 2]));
  await bench.collect(loadOf(17), recordsOf(17, [2, 3], 1));
  await bench.expectSeen(bench.expected(through, [first]), 'while the next load is collected');
}

async function opensAgain(bench: LoadBench, through: Publishing): Promise<void> {
  const load = loadOf(16);
  const first = await bench.open(load);
  await bench.add(load, recordsOf(16, [1, 2]));
  const again = await bench.open(load, { fence: 2, sink: bench.other() });
  expect(again.summary, 'what opening has come to, asked again').toBe(first.summary);
  await bench.add(load, recordsOf(16, [3]));
  await bench.publish(through, load, { fence: 2 });
  await bench.expectSeen(recordsOf(16, [1, 2, 3]), 'after a place was opened twice');
}

async function addsOnce(bench: LoadBench, through: Publishing): Promise<void> {
  const load = loadOf(16);
  await bench.open(load);
  const permit = bench.permit(load, recordsOf(16, [1, 2]));
  await bench.sink.can.load!.add(permit);
  for (const [attempt, sink] of [bench.sink, bench.other()].entries()) {
    const again = await sink.can.load!.add({ ...permit, attempt: attempt + 2 });
    if (again !== 'already') expect(tally(again, 2).applied, 'records of a repeat').toBe(2);
    if (bench.sink.facts.loadRung !== 'put') expect(again, 'a repeat, told by its marker').toBe('already');
  }
  await bench.add(load, recordsOf(16, [3]));
  await bench.publish(through, load);
  await bench.expectSeen(recordsOf(16, [1, 2, 3]), 'after a batch was added three times');
}

async function addsOnceAtOnce(bench: LoadBench, through: Publishing): Promise<void> {
  const load = loadOf(16);
  await bench.open(load);
  const permit = bench.permit(load, recordsOf(16, [1, 2]));
  const sinks = [bench.sink, bench.other()];
  const adding = Array.from({ length: CLAIMANTS }, (_, at) =>
    sinks[at % 2]!.can.load!.add({ ...permit, attempt: at + 1 }),
  );
  const answers = await Promise.allSettled(adding);
  expect(answers.filter(({ status }) => status === 'fulfilled').length, 'answers').toBeGreaterThan(0);
  await bench.publish(through, load);
  await bench.expectSeen(recordsOf(16, [1, 2]), 'after one batch came many times at once');
}

async function addsWhole(bench: LoadBench, through: Publishing): Promise<void> {
  const { breakOff } = bench.fixture;
  if (typeof breakOff !== 'function') return expect(breakOff.never, 'why a call cannot be broken off').not.toBe('');
  const load = loadOf(16);
  await bench.open(load);
  const permit = bench.permit(load, recordsOf(16, [1, 2]));
  const broken = await Promise.allSettled([breakOff(() => bench.sink.can.load!.add(permit))]);
  const sink = bench.other();
  if (broken[0]!.status === 'fulfilled') fail('`breakOff` of the fixture has let a call through to its end');
  await sink.can.load!.add({ ...permit, attempt: 2 });
  await bench.publish(through, load, { sink });
  await bench.expectSeen(recordsOf(16, [1, 2]), 'after a batch was broken off and added again');
}

async function refusesUnfit(bench: LoadBench, through: Publishing): Promise<void> {
  const { refused } = bench.fixture;
  if ('never' in refused) return expect(refused.never, 'why the sink refuses no record').not.toBe('');
  const load = loadOf(16);
  await bench.open(load);
  await bench.add(load, recordsOf(16, [1]));
  const records = [...recordsOf(16, [2]), refused.record];
  const unfit = bench.permit(load, [], { records, keys: ['key-2', 'key-refused'] });
  const error = await rejection(bench.sink.can.load!.add(unfit), 'a record that does not fit');
  expect(error instanceof RefusedError, `it is refused for good (RefusedError, not ${String(error)})`).toBe(true);
  await bench.publish(through, load);
  await bench.expectSeen(recordsOf(16, [1]), 'after a batch was refused');
}

async function addsInTime(bench: LoadBench, through: Publishing): Promise<void> {
  const load = loadOf(16);
  await bench.open(load);
  const late = bench.permit(load, recordsOf(16, [1]), { expired: true });
  await bench.expectRefused(bench.sink.can.load!.add(late), 'a permit that has run out');
  const stopped = bench.permit(load, recordsOf(16, [2]), { signal: AbortSignal.abort() });
  await rejection(bench.sink.can.load!.add(stopped), 'an addition that was given up');
  await bench.publish(through, load);
  await bench.expectSeen([], 'of batches that were never added');
}

async function addsNowhere(bench: LoadBench, through: Publishing): Promise<void> {
  const add = (load: ReturnType<typeof loadOf>) => bench.sink.can.load!.add(bench.permit(load, recordsOf(16, [1])));
  await bench.expectRefused(add(loadOf(15)), 'a load that was never opened');
  await bench.open(loadOf(16, 1));
  await bench.open(loadOf(16, 2));
  await bench.expectRefused(add(loadOf(16, 1)), 'a load that a later generation has taken the place of');
  await bench.publish(through, loadOf(16, 2));
  await bench.expectSeen([], 'of loads that have no place');
}

async function removesEarlier(bench: LoadBench, through: Publishing): Promise<void> {
  await bench.collect(loadOf(15), recordsOf(15, [1]));
  await bench.collect(loadOf(16, 1), recordsOf(16, [2]));
  const before = await bench.fixture.places();
  expect([...before].sort(), 'loads that have a place').toEqual([loadOf(15).id, loadOf(16, 1).id]);
  await bench.collect(loadOf(16, 2), recordsOf(16, [3]));
  const after = await bench.fixture.places();
  expect([...after].sort(), 'loads that have a place, after another generation began').toEqual([
    loadOf(15).id,
    loadOf(16, 2).id,
  ]);
  await bench.publish(through, loadOf(16, 2));
  await bench.expectSeen(recordsOf(16, [3]), 'after the second generation');
}

async function opensFenced(bench: LoadBench): Promise<void> {
  const { fenceless } = bench.fixture;
  if (fenceless !== undefined) return expect(fenceless, 'why fences cannot be told apart').not.toBe('');
  await bench.open(loadOf(16, 2), { fence: 5 });
  await bench.expectRefused(bench.open(loadOf(16, 3), { fence: 4, sink: bench.other() }), 'an older fence');
  expect(await bench.fixture.places(), 'places, after an older fence came').toEqual([loadOf(16, 2).id]);
  await bench.open(loadOf(17), { fence: 1 });
}
