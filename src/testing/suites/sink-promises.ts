import { RefusedError } from '../../model/errors.ts';
import { tally, type Verdict } from '../../model/verdict.ts';
import { expect, fail, rejection } from './expect.ts';
import type { SinkBench } from './sink-bench.ts';
import type { Ability } from './sink-subject.ts';

/** One promise of an ability: a sentence, and what shows that it is kept. */
export interface SinkCheck {
  readonly title: string;
  run(bench: SinkBench): Promise<void>;
}

/** How many come at once where one of them may win. */
const CLAIMANTS = 6;

/** What each ability promises; a new one in the contract is missed here by the compiler. */
export const PROMISES: Readonly<Record<Ability, readonly SinkCheck[]>> = {
  append: [{ title: 'adds the records, and adds them again when it is called again', run: appendsEachTime }],
  appendAt: [
    { title: 'adds only at the position where the sink stands, and knows a repeat', run: appendsAtPosition },
    { title: 'lets one of many have a position', run: onePositionOneBatch },
  ],
  appendOnce: [
    { title: 'adds nothing more under a key that was used', run: appendsOncePerKey },
    { title: 'adds once what comes many times at once', run: appendsOnceAtOnce },
  ],
  commitOnce: [
    { title: 'finds the marker of a batch that it has, and only of that', run: findsMarkers },
    { title: 'lets one of many at once commit, and the others find its marker', run: commitsOnceAtOnce },
  ],
  marked: [
    { title: 'tells whether the marker of a batch is there, and leaves none', run: tellsOfMarkers },
    { title: 'lets nothing in of a send that it has said is not there', run: shutsOutWhatIsNotThere },
  ],
  put: [
    { title: 'changes nothing when it is called again', run: putsAgain },
    { title: 'replaces what stands under a key, and leaves the rest', run: putReplaces },
  ],
  job: [{ title: 'submits nothing by opening, and everything by sending', run: jobsSubmitOnSend }],
  find: [
    { title: 'finds what is there and nothing else', run: findsWhatIsThere },
    { title: 'tells the records of one batch apart', run: findsPartly },
  ],
  fence: [
    { title: 'shuts out what is older, for its own shard, and never falls', run: fencesOff },
    { title: 'lets an older sender change nothing, even when it has its bytes already', run: fencesLate },
  ],
};

async function appendsEachTime(bench: SinkBench): Promise<void> {
  await bench.send('append', { records: [1, 2] });
  await bench.send('append', { records: [1, 2], attempt: 2 });
  await bench.send('append', { records: [3], batch: 2 });
  expect(await bench.held(), 'after the same batch twice and another').toEqual(['1', '1', '2', '2', '3']);
}

async function appendsAtPosition(bench: SinkBench): Promise<void> {
  const start = await bench.sink.facts.tail!();
  const at = (expected: string) => ({ expected });
  const first = await bench.send('appendAt', { records: [1, 2] }, at(start));
  const next = positionOf(first);
  // A sink that begins a new place for each run tells where a lane begins, not where this one has come to.
  expect([start, next], 'the tail is where the lane began or stands').toContain(await bench.sink.facts.tail!());
  const again = await bench.send('appendAt', { records: [1, 2], attempt: 2 }, at(start));
  expect(positionOf(again), 'a repeat leads to the same place').toBe(next);
  expect(tally(again, 2).applied, 'a repeat is applied').toBe(2);
  await bench.send('appendAt', { records: [3], batch: 2 }, at(next));
  await refused(
    bench.send('appendAt', { records: [4], batch: 3 }, at(next)),
    'another batch at a position that is gone',
  );
  expect(await bench.held()).toEqual(['1', '2', '3']);
  const repeated = await bench.send('appendAt', { records: [1, 2], attempt: 3 }, at(start));
  expect(tally(repeated, 2).applied, 'a repeat is recognised after later batches, too').toBe(2);
  expect(await bench.held()).toEqual(['1', '2', '3']);
}

async function onePositionOneBatch(bench: SinkBench): Promise<void> {
  const expected = await bench.sink.facts.tail!();
  const sinks = [bench.sink, bench.other()];
  const sends = await Promise.allSettled(
    numbers(CLAIMANTS).map((n) =>
      bench.send('appendAt', { records: [n], batch: n }, { expected, sink: sinks[n % 2]! }),
    ),
  );
  expect(
    sends.filter(({ status }) => status === 'fulfilled'),
    'batches that got the position',
  ).toHaveLength(1);
  expect(await bench.held(), 'what is held after many came for one position').toHaveLength(1);
}

async function appendsOncePerKey(bench: SinkBench): Promise<void> {
  await bench.send('appendOnce', { records: [1, 2], idempotencyKey: 'key-a' });
  const again = await bench.send('appendOnce', { records: [1, 2], idempotencyKey: 'key-a', attempt: 2 });
  expect(tally(again, 2).applied, 'a repeat is applied').toBe(2);
  await bench.send('appendOnce', { records: [3], batch: 2, idempotencyKey: 'key-b' });
  await Promise.allSettled([bench.send('appendOnce', { records: [4], batch: 3, idempotencyKey: 'key-b' })]);
  expect(await bench.held(), 'a key that was used adds nothing more').toEqual(['1', '2', '3']);
}

async function appendsOnceAtOnce(bench: SinkBench): Promise<void> {
  const sinks = [bench.sink, bench.other()];
  await Promise.allSettled(
    numbers(CLAIMANTS).map((n) => bench.send('appendOnce', { records: [1, 2], attempt: n }, { sink: sinks[n % 2]! })),
  );
  expect(await bench.held(), 'after one batch came many times at once').toEqual(['1', '2']);
}

async function findsMarkers(bench: SinkBench): Promise<void> {
  const commitOnce = bench.sink.can.commitOnce!;
  await bench.send('commitOnce', { records: [1, 2] });
  expect(await commitOnce(bench.permit({ records: [1, 2], attempt: 2 })), 'a repeat').toBe('already');
  await bench.send('commitOnce', { records: [1, 2], batch: 2 });
  const { idempotencyKey } = bench.permit({ records: [1, 2] }).batch;
  const reused = bench.permit({ records: [9], batch: 3, idempotencyKey });
  await refused(commitOnce(reused), 'a marker with another digest is no marker of this batch');
  expect(await bench.held()).toEqual(['1', '1', '2', '2']);
}

async function commitsOnceAtOnce(bench: SinkBench): Promise<void> {
  const permit = bench.permit({ records: [5] });
  const sinks = [bench.sink, bench.other()];
  const answers = await Promise.allSettled(numbers(CLAIMANTS).map((n) => sinks[n % 2]!.can.commitOnce!(permit)));
  const values = answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  expect(
    values.filter((value) => value !== 'already'),
    'commits that found no marker',
  ).toHaveLength(1);
  expect(await bench.held(), 'after one batch came many times at once').toEqual(['5']);
}

async function tellsOfMarkers(bench: SinkBench): Promise<void> {
  const ask = { records: [1, 2] };
  const asked = async (lost: ReturnType<SinkBench['permit']>) => await bench.sink.can.marked!(lost);
  expect(await asked(bench.permit(ask)), 'of a batch that was never sent').toBe(false);
  expect(await asked(bench.permit(ask)), 'of the same once more').toBe(false);
  await bench.send('commitOnce', { ...ask, attempt: 2 });
  expect(await asked(bench.permit({ ...ask, attempt: 2 })), 'of one that is there').toBe(true);
  expect(await asked(bench.permit({ ...ask, attempt: 3, fence: 9 })), 'of one that is there, by a later claim').toBe(
    true,
  );
  const other = bench.permit({ ...ask, batch: 2, fence: 9 });
  expect(await asked(other), 'of another one with the same records').toBe(false);
  expect(await bench.held()).toEqual(['1', '2']);
}

/** The sender that was lost may have slept, and has its bytes already. */
async function shutsOutWhatIsNotThere(bench: SinkBench): Promise<void> {
  const ask = { records: [1] };
  const { permit, asked, release } = heldBack(bench.permit({ ...ask, fence: 4 }));
  const late = bench.sendPermit('commitOnce', permit).then(
    () => 'answered',
    () => 'refused',
  );
  await Promise.race([asked, late]);
  const marked = await bench.other().can.marked!(bench.permit({ ...ask, fence: 5 }));
  expect(marked, 'of a send that is not through').toBe(false);
  release();
  expect(await late, 'a send that was under way when it was asked for').toBe('refused');
  expect(await bench.held(), 'after it').toEqual([]);
  await bench.send('commitOnce', { ...ask, attempt: 2, fence: 5 });
  expect(await bench.held(), 'after it was sent again').toEqual(['1']);
}

async function putsAgain(bench: SinkBench): Promise<void> {
  await bench.send('put', { records: [1, 2] });
  await bench.send('put', { records: [1, 2], attempt: 2 });
  expect(await bench.held(), 'after the same batch twice').toEqual(['1', '2']);
}

async function putReplaces(bench: SinkBench): Promise<void> {
  await bench.send('put', { records: [1, 2] });
  await bench.send('put', { records: [2, 3], batch: 2, version: 1 });
  expect(await bench.held(), 'after 2 and 3 came in version 1').toEqual(['1', '2v1', '3v1']);
}

async function jobsSubmitOnSend(bench: SinkBench): Promise<void> {
  const job = bench.sink.can.job!;
  const permit = bench.permit({ records: [9] });
  const orphan = await job.open(permit);
  expect(await bench.held(), 'opening a job submits nothing').toEqual([]);
  await bench.send('job', { records: [1, 2], batch: 2 });
  expect(await bench.held()).toEqual(['1', '2']);
  expect(await job.state(orphan, permit.batch), 'a job that nothing was sent to').toBe('empty');
}

async function findsWhatIsThere(bench: SinkBench): Promise<void> {
  const ask = { records: [1, 2] };
  const none = await bench.find(ask);
  expect(none.records, 'found in a sink that is empty').not.toContain('applied');
  await bench.send(bench.anySending, ask);
  await bench.settle();
  expect((await bench.find(ask)).records, 'found after it was sent').toEqual(['applied', 'applied']);
  const other = await bench.find({ records: [7, 8], batch: 2 });
  expect(other.records, 'found of a batch that was never sent').not.toContain('applied');
}

/** The first half of a batch has come in under its name: what a send that breaks off leaves behind. */
async function findsPartly(bench: SinkBench): Promise<void> {
  const whole = bench.permit({ records: [1, 2, 3, 4] });
  const { idempotencyKey } = whole.batch;
  await bench.send(bench.anySending, { records: [1, 2], idempotencyKey });
  await bench.settle();
  const { records } = await bench.find({ records: [1, 2, 3, 4], idempotencyKey });
  expect(records.slice(0, 2), 'found of the half that is there').not.toContain('absent');
  expect(records.slice(2), 'found of the half that is not').not.toContain('applied');
  if (records.includes('unknown')) fail('a look tells the records of a batch apart, or it cannot settle half of one');
}

async function fencesOff(bench: SinkBench): Promise<void> {
  const ability = bench.anySending;
  await bench.sink.can.fence!('test-lane', 5);
  await refused(bench.send(ability, { records: [1], fence: 4 }), 'a fence that is older');
  await bench.sink.can.fence!('test-lane', 3);
  await refused(bench.send(ability, { records: [1], fence: 4 }), "a fence that is older; the sink's never falls");
  expect(await bench.held(), 'after sends that were fenced off').toEqual([]);
  await bench.send(ability, { records: [2], batch: 2, fence: 5 });
  await bench.send(ability, { records: [3], batch: 3, fence: 1, lane: 'other-lane' });
  expect(await bench.held()).toEqual(['2', '3']);
}

/** Whoever compares fences before it has the bytes would let through a sender that slept in between. */
async function fencesLate(bench: SinkBench): Promise<void> {
  const { permit, asked, release } = heldBack(bench.permit({ records: [1], fence: 4 }));
  const late = bench.sendPermit(bench.anySending, permit).then(
    () => 'answered',
    (error: unknown) => (error instanceof RefusedError ? 'refused' : 'failed'),
  );
  await Promise.race([asked, late]);
  await bench.sink.can.fence!('test-lane', 5);
  release();
  expect(await late, 'a send that was under way when the fence rose').not.toBe('answered');
  await bench.settle();
  expect(await bench.held(), 'after it').toEqual([]);
}

/** The same permit, whose bytes come only when they are released: a sender that is held up at the last moment. */
export function heldBack(permit: ReturnType<SinkBench['permit']>) {
  const [asking, releasing] = [gate(), gate()];
  return {
    permit: {
      ...permit,
      async payload() {
        asking.open();
        await releasing.opened;
        return await permit.payload();
      },
    },
    /** Resolves when the sink has asked for the bytes. */
    asked: asking.opened,
    release: releasing.open,
  };
}

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

async function refused(work: Promise<unknown>, about: string): Promise<void> {
  const error = await rejection(work, about);
  expect(error instanceof RefusedError, `${about}: it is refused for good (RefusedError, not ${String(error)})`).toBe(
    true,
  );
}

function positionOf({ receipt }: Verdict): string {
  return receipt.position ?? fail('an answer to appendAt says in its receipt where the sink stands now');
}

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => at + 1);
