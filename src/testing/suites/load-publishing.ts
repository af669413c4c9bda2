import { setImmediate } from 'node:timers/promises';
import type { Sink } from '../../connectors/connector.ts';
import { NotAppliedError } from '../../model/errors.ts';
import type { StepReceipt } from '../../model/load.ts';
import { expect, fail, rejection } from './expect.ts';
import { type LoadBench, type LoadCheck, type Loaded, loadOf, recordsOf, spell } from './load-bench.ts';
import type { LoadRecord, Publishing } from './load-subject.ts';

/** How often a step is asked again that readers were in the way of. */
const PATIENCE = 20;

/** What every way to publish promises. */
export function publishingChecks(ability: Publishing): readonly LoadCheck[] {
  const make = (title: string, run: (story: Story) => Promise<void>): LoadCheck => ({
    title: `${ability}: ${title}`,
    run: async (bench) => await run(await Story.begin(bench, ability)),
  });
  return [
    make('shows all of a load in one step, and nothing of it before', showsWhole),
    make('changes nothing when it is asked again, and tells the same', repeats),
    make('publishes a load without records', publishesEmpty),
    make('is done whole or not at all when it is broken off', breaksOff),
    make('shows whoever reads meanwhile what was before or what is after', readMeanwhile),
    make('is done once when two ask at the same time', asksAtOnce),
    make('does nothing for whoever has an older fence', refusesOlder),
    make('does nothing when it was told to stop before it began', refusesAborted),
    make('publishes nothing of a load that was given up', refusesGivenUp),
    make('shows nothing of what is added after it', addsAfterwards),
  ];
}

/** One load is published, and another one, that shares a key with it, is collected. */
class Story {
  readonly bench: LoadBench;
  readonly ability: Publishing;
  readonly first: Loaded;
  readonly second: Loaded;

  private constructor(bench: LoadBench, ability: Publishing, [first, second]: readonly [Loaded, Loaded]) {
    this.bench = bench;
    this.ability = ability;
    this.first = first;
    this.second = second;
  }

  static async begin(bench: LoadBench, ability: Publishing): Promise<Story> {
    const first = await bench.run(ability, loadOf(16), recordsOf(16, [1, 2, 3]));
    const second = await bench.collect(loadOf(17), recordsOf(17, [3, 4, 5], 1));
    return new Story(bench, ability, [first, second]);
  }

  get before(): readonly LoadRecord[] {
    return this.bench.expected(this.ability, [this.first]);
  }

  get after(): readonly LoadRecord[] {
    return this.bench.expected(this.ability, [this.first, this.second]);
  }

  publish(how: { readonly fence?: number; readonly sink?: Sink; readonly signal?: AbortSignal } = {}) {
    return this.bench.publish(this.ability, this.second.load, how);
  }

  seen(records: readonly LoadRecord[], about: string): Promise<void> {
    return this.bench.expectSeen(records, about);
  }
}

async function showsWhole(story: Story): Promise<void> {
  await story.seen(story.before, 'before the load is published');
  const receipt = await story.publish();
  expect(receipt.summary, 'what it has come to, in words').not.toBe('');
  await story.seen(story.after, 'after the load was published');
}

async function repeats(story: Story): Promise<void> {
  const receipt = await story.publish();
  for (const [at, sink] of [story.bench.sink, story.bench.other()].entries()) {
    const again: StepReceipt = await story.publish({ sink, fence: at + 1 });
    expect(again, 'what it tells when it is asked again').toEqual(receipt);
    await story.seen(story.after, `asked ${at + 2} times`);
  }
  // What comes later is not undone by somebody who asks for an earlier load again.
  const third = await story.bench.run(story.ability, loadOf(18), recordsOf(18, [6, 1], 2));
  await story.publish({ fence: 9 });
  await story.seen(
    story.bench.expected(story.ability, [story.first, story.second, third]),
    'asked again after a later load was published',
  );
}

async function publishesEmpty({ bench, ability, first, second }: Story): Promise<void> {
  await bench.publish(ability, second.load);
  const empty = await bench.run(ability, loadOf(18), []);
  await bench.expectSeen(bench.expected(ability, [first, second, empty]), 'after a load without records');
}

async function breaksOff(story: Story): Promise<void> {
  const { breakOff } = story.bench.fixture;
  if (typeof breakOff !== 'function') return expect(breakOff.never, 'why a call cannot be broken off').not.toBe('');
  const [broken] = await Promise.allSettled([breakOff(() => story.publish())]);
  if (broken!.status === 'fulfilled') fail('`breakOff` of the fixture has let a call through to its end');
  if (story.bench.sink.facts.seenByHalves !== true) {
    const seen = await story.bench.seen();
    const [before, after] = [spell(story.before), spell(story.after)];
    if (seen.join() !== before.join()) expect(seen, 'what is seen after a step was broken off').toEqual(after);
  }
  const sink = story.bench.other();
  await story.publish({ sink });
  await story.seen(story.after, 'after a step was broken off and asked for again');
  await story.publish({ sink });
  await story.seen(story.after, 'asked once more');
}

async function readMeanwhile(story: Story): Promise<void> {
  const watching = await (story.bench.fixture.watch?.() ?? watch(story.bench));
  const loads = [loadOf(18), loadOf(19), loadOf(20)];
  const states = [spell(story.before), spell(story.after)];
  await patiently(() => story.publish());
  const loaded = [story.first, story.second];
  for (const [at, load] of loads.entries()) {
    const records = recordsOf(18 + at, [3, 7], 2 + at);
    await patiently(() => story.bench.open(load));
    await patiently(() => story.bench.add(load, records));
    await patiently(() => story.bench.publish(story.ability, load));
    loaded.push({ load, records });
    states.push(spell(story.bench.expected(story.ability, loaded)));
  }
  const seen = (await watching.stop()).map(spell);
  expect(seen.length, 'looks at what is there meanwhile').toBeGreaterThan(0);
  if (story.bench.sink.facts.seenByHalves === true) return;
  const known = new Set(states.map((state) => state.join()));
  expect(
    seen.filter((state) => !known.has(state.join())),
    'what was seen meanwhile, and is neither what was before nor what was after',
  ).toEqual([]);
}

/** Readers may be in the way for a while; the sink says so, and is asked again. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let time = 1; ; time++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof NotAppliedError) || time >= PATIENCE) throw error;
    }
  }
}

/** Looks whenever it can, until it is stopped. */
async function watch(bench: LoadBench): Promise<{ stop(): Promise<readonly (readonly LoadRecord[])[]> }> {
  const seen: (readonly LoadRecord[])[] = [];
  let stopped = false;
  const looking = (async () => {
    while (!stopped) {
      seen.push(await bench.fixture.seen());
      await setImmediate();
    }
  })();
  // Heard at the end.
  looking.catch(() => undefined);
  return {
    async stop() {
      stopped = true;
      await looking;
      return seen;
    },
  };
}

async function asksAtOnce(story: Story): Promise<void> {
  const sinks = [story.bench.sink, story.bench.other()];
  const asked = await Promise.allSettled(sinks.map((sink) => story.publish({ sink })));
  // One of them may have met the other's lock; then it has done nothing and is asked again.
  const receipts = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  expect(receipts.length, 'answers').toBeGreaterThan(0);
  const last = await story.publish();
  for (const receipt of receipts) expect(receipt, 'what each was told').toEqual(last);
  await story.seen(story.after, 'after two asked at the same time');
}

async function refusesOlder(story: Story): Promise<void> {
  const { bench, ability, second } = story;
  const { fenceless } = bench.fixture;
  if (fenceless !== undefined) return expect(fenceless, 'why fences cannot be told apart').not.toBe('');
  await bench.open(second.load, { fence: 5, sink: bench.other() });
  await bench.expectRefused(story.publish({ fence: 4 }), 'a step with an older fence');
  await story.seen(story.before, 'after a step with an older fence');
  await story.publish({ fence: 5 });
  await story.seen(story.after, 'after a step with the right fence');
  // The process that was stalled had begun another generation of the same window.
  await bench.expectRefused(bench.open(loadOf(17, 2), { fence: 4 }), 'another generation with an older fence');
  await rejection(bench.publish(ability, loadOf(17, 2), { fence: 4 }), 'its publishing');
  await story.seen(story.after, 'after whoever was stalled woke up');
}

async function refusesAborted(story: Story): Promise<void> {
  await rejection(story.publish({ signal: AbortSignal.abort() }), 'a step that was given up');
  await story.seen(story.before, 'after a step that was given up before it began');
}

async function refusesGivenUp(story: Story): Promise<void> {
  const { bench, ability, first, second } = story;
  const later = loadOf(17, 2);
  const third = await bench.collect(later, recordsOf(17, [8], 2), { fence: 2 });
  await bench.expectRefused(bench.publish(ability, second.load, { fence: 2 }), 'a load that was given up');
  await bench.expectRefused(bench.publish(ability, loadOf(12), { fence: 2 }), 'a load that was never opened');
  await story.seen(story.before, 'after loads were asked for that have no place');
  await bench.publish(ability, later, { fence: 2 });
  await story.seen(bench.expected(ability, [first, third]), 'after the generation that took its place');
}

async function addsAfterwards(story: Story): Promise<void> {
  const { bench, ability, first, second } = story;
  await story.publish();
  const late = bench.permit(second.load, recordsOf(17, [9], 1));
  await Promise.allSettled([bench.sink.can.load!.add(late), bench.other().can.load!.add(late)]);
  await story.seen(story.after, 'after a batch that came too late');
  await story.publish();
  await story.seen(story.after, 'asked again after a batch that came too late');
  const third = await bench.run(ability, loadOf(18), recordsOf(18, [6], 2));
  await story.seen(bench.expected(ability, [first, second, third]), 'after the load that came next');
}
