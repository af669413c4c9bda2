import { expect } from './expect.ts';
import { type LoadBench, type LoadCheck, loadOf, recordsOf } from './load-bench.ts';

/** What a sink promises that keeps its own past; its content comes there by `merge`. */
export const VERSION_CHECKS: readonly LoadCheck[] = [
  { title: 'names each content, and keeps the names of what can be had', run: namesVersions },
  { title: 'goes back to a version, or to nothing, and once is enough', run: restores },
  { title: 'refuses a version that it does not keep', run: refusesUnknown },
  { title: 'goes back for nobody who has an older fence', run: restoresFenced },
  { title: 'goes back no more for a load that was merged already', run: restoresPublished },
];

async function threeDays(bench: LoadBench): Promise<readonly string[]> {
  const versions: string[] = [];
  for (const date of [16, 17, 18]) {
    await bench.run('merge', loadOf(date), recordsOf(date, [date, 1], date));
    versions.push(await bench.sink.can.versions!.current());
  }
  return versions;
}

async function namesVersions(bench: LoadBench): Promise<void> {
  const versions = await threeDays(bench);
  expect(new Set(versions).size, 'names of three contents').toBe(3);
  const { current, kept } = bench.other().can.versions!;
  expect(await current(), 'the present content, asked by another process').toBe(versions.at(-1));
  const there = await kept();
  expect(
    versions.filter((version) => !there.includes(version)),
    'versions that were there and are not kept',
  ).toEqual([]);
  expect(
    there.filter((version) => versions.includes(version)),
    'what is kept, oldest first',
  ).toEqual(versions);
}

async function restores(bench: LoadBench): Promise<void> {
  const [first] = await threeDays(bench);
  const { versions } = bench.sink.can;
  const step = bench.step(loadOf(17, 2));
  const receipt = await versions!.restore(step, first!);
  expect(receipt.summary, 'what going back has come to, in words').not.toBe('');
  const then = [...recordsOf(16, [16, 1], 16)];
  await bench.expectSeen(then, 'after going back to the first of three versions');
  await bench.other().can.versions!.restore(step, first!);
  await bench.expectSeen(then, 'after going back there twice');
  await versions!.restore(bench.step(loadOf(16, 2)), null);
  await bench.expectSeen([], 'after going back to nothing');
  await bench.run('merge', loadOf(19), recordsOf(19, [5]));
  await bench.expectSeen(recordsOf(19, [5]), 'after the load that came next');
}

async function refusesUnknown(bench: LoadBench): Promise<void> {
  await threeDays(bench);
  const before = await bench.seen();
  const going = bench.sink.can.versions!.restore(bench.step(loadOf(17, 2)), '987654321');
  await bench.expectRefused(going, 'a version that nobody has made');
  expect(await bench.seen(), 'after it was refused').toEqual(before);
}

async function restoresFenced(bench: LoadBench): Promise<void> {
  const { fenceless } = bench.fixture;
  if (fenceless !== undefined) return expect(fenceless, 'why fences cannot be told apart').not.toBe('');
  const [first] = await threeDays(bench);
  const before = await bench.seen();
  await bench.open(loadOf(17, 2), { fence: 5 });
  const going = bench.sink.can.versions!.restore(bench.step(loadOf(17, 2), { fence: 4 }), first!);
  await bench.expectRefused(going, 'a step with an older fence');
  expect(await bench.seen(), 'after it was refused').toEqual(before);
}

/** A load is published by going back and merging; asked for again as a whole, that must not take it out. */
async function restoresPublished(bench: LoadBench): Promise<void> {
  await threeDays(bench);
  const [first] = await bench.sink.can.versions!.kept();
  const before = await bench.seen();
  await bench.sink.can.versions!.restore(bench.step(loadOf(18)), first!);
  await bench.publish('merge', loadOf(18));
  expect(await bench.seen(), 'after a load was asked for again that was merged already').toEqual(before);
}
