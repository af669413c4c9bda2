import type { Source } from '../../connectors/connector.ts';
import { encodeRecord } from '../../formats/encode.ts';
import type { Chunk } from '../../model/chunk.ts';
import type { Position } from '../../model/position.ts';
import type { SourceRange } from '../../model/range.ts';
import { expect, fail, rejection } from './expect.ts';
import { PART_PROMISES, PULL_PROMISES } from './pull-promises.ts';
import { expectWellFormed, readAll, recordsOf, textsOf } from './source-reading.ts';
import type { SourceAbility, SourceBench, SourceCheck, SourceSubject } from './source-subject.ts';
import type { Suite, SuiteCase } from './suite.ts';

/** What every source has to do, whatever it reads. */
export function sourceSuite(subject: SourceSubject): Suite {
  const { name, abilities } = subject;
  const make = (proves: readonly SourceAbility[], title: string, check: SourceCheck): SuiteCase => ({
    title,
    proves,
    run: () => useSource(subject, check),
  });
  const cases = [
    make([], 'shows what its author says that it can do', async () => undefined),
    make([], 'reads every record once, in order', readsAll),
    make([], 'hands over chunks that agree with what they say of themselves', wellFormed),
    make([], 'reads the same again, byte for byte', repeats),
    make([], 'reads from the top when it is given a position of a kind that it does not know', ignoresUnknown),
    make([], 'stops when it is told to, and can be read again', stops),
    make([], 'can be left in the middle', canBeLeft),
    ...abilities.flatMap((ability) =>
      (CHECKS[ability] ?? unknownAbility(ability)).map(([title, check]) =>
        make([ability], `${ability}: ${title}`, check),
      ),
    ),
    ...(abilities.includes('resume') || abilities.includes('pull')
      ? []
      : [make([], 'gives no position, since nobody can go on from one', noPositions)]),
  ];
  return { name: `${name} is a source`, claims: abilities, cases };
}

const CHECKS: Readonly<Record<SourceAbility, readonly (readonly [string, SourceCheck])[]>> = {
  resume: [
    ['from each position that it gave it reads exactly the rest', resumes],
    ['each position lies behind the one before', movesOn],
  ],
  remaining: [['says of every position how much it then reads', estimates]],
  reread: [
    ['from the range of each chunk it gives the same records again, byte for byte', rereads],
    ['says ranges only when it is asked for them', saysNoRanges],
  ],
  pull: PULL_PROMISES,
  parts: PART_PROMISES,
};

function unknownAbility(name: string): readonly (readonly [string, SourceCheck])[] {
  return [['is known', async () => fail(`the suite knows no ability ${name} of a source`)]];
}

async function useSource(subject: SourceSubject, check: SourceCheck): Promise<void> {
  const fixture = await subject.open();
  const other = fixture.another?.() ?? fixture.source;
  try {
    expectShown(fixture.source, subject.abilities);
    await check({ ...fixture, other, abilities: subject.abilities });
  } finally {
    await fixture.source.close?.();
    if (other !== fixture.source) await other.close?.();
    await fixture.close?.();
  }
}

/** What is not part of a source, or part of one of its abilities, nobody has seen keep its promise. */
function expectShown(source: Source, claimed: readonly SourceAbility[]): void {
  const shown = [
    ...(source.resumable ? ['resume'] : []),
    ...(source.pulls === undefined ? [] : ['pull']),
    ...(['remaining', 'reread'] as const).filter((name) => source[name] !== undefined),
    ...Object.entries(source).flatMap(([name, value]) =>
      typeof value === 'function' && !['read', 'close', 'remaining', 'reread'].includes(name) ? [name] : [],
    ),
  ];
  const silent = shown.filter((name) => !(claimed as readonly string[]).includes(name));
  if (silent.length > 0) fail(`the source shows ${silent.join(', ')}: name it in \`abilities\`, so that it is tested`);
  // Whether it closes parts is seen when it is pulled from.
  const missing = claimed.filter((name) => name !== 'parts' && !shown.includes(name));
  if (missing.length > 0) fail(`the source does not show ${missing.join(', ')}, which its author says that it can do`);
}

async function readsAll({ source, range, expected }: SourceBench): Promise<void> {
  const chunks = await readAll(source, range);
  expect(chunks.length, 'chunks; the fixture should hold enough records for two').toBeGreaterThan(1);
  expect(textsOf(chunks)).toEqual(expected.map(encodeRecord));
}

async function wellFormed({ source, range }: SourceBench): Promise<void> {
  for (const chunk of await readAll(source, range)) expectWellFormed(chunk, source);
}

async function repeats({ source, other, range }: SourceBench): Promise<void> {
  const [first, second] = [await readAll(source, range), await readAll(other, range)];
  expect(second.flatMap(recordsOf), 'the second reading').toEqual(first.flatMap(recordsOf));
}

async function ignoresUnknown({ source, range, expected }: SourceBench): Promise<void> {
  const from = { sourceName: 'elsewhere', kind: 'test/unknown-kind', value: '7@x' };
  expect(textsOf(await readAll(source, { ...range, from }))).toEqual(expected.map(encodeRecord));
}

async function stops({ source, range, expected }: SourceBench): Promise<void> {
  const stop = new AbortController();
  const seen: Chunk[] = [];
  const reading = async () => {
    for await (const chunk of source.read(range, stop.signal)) {
      seen.push(chunk);
      stop.abort(new DOMException('told to stop', 'AbortError'));
    }
  };
  await rejection(reading(), 'a reading that was told to stop');
  expect(textsOf(seen).length, 'records read before it stopped').toBeLessThan(expected.length);
  expect(textsOf(await readAll(source, range)), 'what is read after it was stopped').toEqual(
    expected.map(encodeRecord),
  );
}

async function canBeLeft({ source, range, expected }: SourceBench): Promise<void> {
  for await (const chunk of source.read(range, new AbortController().signal)) {
    expect(chunk.count, 'records in a chunk').toBeGreaterThan(0);
    break;
  }
  expect(textsOf(await readAll(source, range)), 'what is read after it was left').toEqual(expected.map(encodeRecord));
}

async function noPositions({ source, range }: SourceBench): Promise<void> {
  const chunks = await readAll(source, range);
  expect(chunks.map((chunk) => chunk.end)).toEqual(chunks.map(() => undefined));
}

async function resumes({ source, other, range }: SourceBench): Promise<void> {
  const chunks = await readAll(source, range);
  for (const [at, chunk] of chunks.entries()) {
    const rest = await readAll(other, { ...range, from: endOf(chunk, at) });
    const tail = chunks.slice(at + 1).flatMap(recordsOf);
    expect(rest.flatMap(recordsOf), `what is read from the end of chunk ${at + 1}`).toEqual(tail);
  }
}

/** A position that stands still or goes back would have records read twice, or never end. */
async function movesOn({ source, range }: SourceBench): Promise<void> {
  const chunks = await readAll(source, range);
  const ends = chunks.map(endOf).map(({ kind, value }) => `${kind} ${value}`);
  expect([...new Set(ends)], 'positions, each of them once').toEqual(ends);
  for (const [at, chunk] of chunks.entries()) {
    const next = await readAll(source, { ...range, from: endOf(chunk, at) });
    const onwards = next.map(endOf).map(({ kind, value }) => `${kind} ${value}`);
    const behind = ends.slice(0, at + 1).filter((end) => onwards.includes(end));
    expect(behind, `positions at or before chunk ${at + 1} that a reading from its end gave again`).toEqual([]);
  }
}

async function estimates({ source, range, expected }: SourceBench): Promise<void> {
  const { signal } = new AbortController();
  const left = async (from?: Position) =>
    await source.remaining!({ ...range, ...(from === undefined ? {} : { from }) }, signal);
  const whole = await left();
  if (whole.records !== undefined) expect(whole.records, 'records of the whole').toBe(expected.length);
  if (!source.resumable) return;
  const chunks = await readAll(source, range);
  for (const [at, chunk] of chunks.entries()) {
    const rest = chunks.slice(at + 1).reduce((sum, { count }) => sum + count, 0);
    const estimate = await left(endOf(chunk, at));
    if (estimate.records !== undefined) expect(estimate.records, `records after chunk ${at + 1}`).toBe(rest);
    if (estimate.bytes !== undefined) expect(estimate.bytes > 0, `bytes after chunk ${at + 1} are left`).toBe(rest > 0);
  }
}

/** Also where it has gone on from a position: the ranges of such a reading are no others. */
async function rereads({ source, other, range }: SourceBench): Promise<void> {
  const asked = { ...range, ranges: true };
  const chunks = await readAll(source, asked);
  const readings = [chunks];
  if (source.resumable) {
    for (const [at, chunk] of chunks.entries())
      readings.push(await readAll(source, { ...asked, from: endOf(chunk, at) }));
  }
  for (const reading of readings) for (const [at, chunk] of reading.entries()) await rereadsChunk(other, chunk, at);
}

async function rereadsChunk(source: Source, chunk: Chunk, at: number): Promise<void> {
  if (chunk.count === 0) return;
  if (chunk.range === undefined)
    fail(`chunk ${at + 1} of a source that was asked for ranges does not say where it stands`);
  // It goes through a file on its way.
  const range = JSON.parse(JSON.stringify(chunk.range)) as SourceRange;
  const again: Chunk[] = [];
  for await (const one of source.reread!(range, new AbortController().signal)) again.push(one);
  expect(again.flatMap(recordsOf), `chunk ${at + 1}, read again`).toEqual(recordsOf(chunk));
  expect(
    again.map(({ columns }) => columns),
    'columns of what is read again',
  ).toEqual(again.map(() => chunk.columns));
}

async function saysNoRanges({ source, range }: SourceBench): Promise<void> {
  const chunks = await readAll(source, range);
  expect(chunks.map((chunk) => chunk.range)).toEqual(chunks.map(() => undefined));
}

const endOf = (chunk: Chunk, at: number): Position =>
  chunk.end ?? fail(`chunk ${at + 1} of a source that can be resumed says where it ends`);
