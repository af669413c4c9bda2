import { encodeRecord } from '../../formats/encode.ts';
import type { Position } from '../../model/position.ts';
import { expect, fail, rejection } from './expect.ts';
import { type Commit, type Cut, PullBench, pullsOf, recordsIn, standingAfter, TOP } from './pull-bench.ts';
import { expectWellFormed } from './source-reading.ts';
import type { SourceCheck } from './source-subject.ts';

type PullCheck = (pulling: PullBench) => Promise<void>;
type Promises = readonly (readonly [title: string, check: SourceCheck])[];

/** A pull of more chunks than that is cut at so many of them, evenly. */
const CUTS_MAX = 12;
const SKIPPED = 'part-skipped';

const promise = (title: string, check: PullCheck): readonly [string, SourceCheck] => [
  title,
  (bench) => PullBench.use(bench, check),
];

/** What every source with `pulls` has to do. */
export const PULL_PROMISES: Promises = [
  promise('from the top it brings every record once, up to a position', bringsAll),
  promise('from each position that it gave it brings exactly what lies behind', goesOn),
  promise('a position that records lie before is given once', movesOn),
  promise('looks, and says whether there is anything behind a position', looks),
  promise('at the last position it brings nothing', bringsNothing),
  promise('refuses positions that it cannot go on from, in words, and none of its own', refuses),
  promise('cut at any chunk, and pulled from again, it has brought every record once', survives),
  promise('brings what is new later, and nothing twice', grows),
];

/** What every source that closes parts has to do. */
export const PART_PROMISES: Promises = [
  promise('each part has one name, and one end', closesParts),
  promise('a part that lies behind the position and was never taken is reported', reportsSkipped),
  promise('brings a part that somebody wants, and the position stays', takes),
];

async function bringsAll(pulling: PullBench): Promise<void> {
  const { source, expected, abilities } = pulling.bench;
  const { commits, loose, chunks } = await pulling.full();
  expect(recordsIn(commits), 'records up to the last position').toEqual(expected.map(encodeRecord));
  expect(loose, 'records behind the last position, which nobody keeps').toEqual([]);
  for (const chunk of chunks) if (chunk.count > 0) expectWellFormed(chunk, source);
  for (const { end } of commits) expectPosition(end);
  const closing = commits.some(({ closes }) => closes !== undefined);
  if (closing !== abilities.includes('parts'))
    fail(`the source ${closing ? 'closes parts' : 'closes no part'}: \`parts\` in \`abilities\` says so`);
}

function expectPosition(end: Position): void {
  for (const name of ['sourceName', 'kind', 'value'] as const) {
    expect(typeof end[name], `${name} of a position`).toBe('string');
    expect(end[name].length, `characters of the ${name} of a position`).toBeGreaterThan(0);
  }
}

async function goesOn(pulling: PullBench): Promise<void> {
  const { other } = pulling.bench;
  const { commits } = await pulling.full();
  // The last position has a case of its own: what cannot be told there may have to be forced.
  for (let count = 1; count < commits.length; count++) {
    const standing = standingAfter(commits, count);
    // Whoever looks first must find the same as whoever does not.
    if (count % 2 === 0) await pulling.look(other, standing);
    const rest = await pulling.pull(other, standing);
    expect(recordsIn(rest.commits), `what is read from position ${count}`).toEqual(recordsIn(commits.slice(count)));
    expect(rest.loose, 'records behind the last position').toEqual([]);
  }
}

const marksOf = (commits: readonly Commit[]): readonly string[] =>
  commits.flatMap(({ end, records }) => (records.length === 0 ? [] : [`${end.kind} ${end.value}`]));

async function movesOn(pulling: PullBench): Promise<void> {
  const { commits } = await pulling.full();
  const marks = marksOf(commits);
  expect([...new Set(marks)], 'positions, each of them once').toEqual(marks);
  for (let count = 1; count < commits.length; count++) {
    const rest = await pulling.pull(pulling.bench.other, standingAfter(commits, count));
    const before = marksOf(commits.slice(0, count));
    const again = marksOf(rest.commits).filter((mark) => before.includes(mark));
    expect(again, `positions up to number ${count} that a pull from there gave again`).toEqual([]);
  }
}

async function looks(pulling: PullBench): Promise<void> {
  const { source, other } = pulling.bench;
  expect((await pulling.look(source, TOP)).kind, 'what it says where nothing was read').toBe('new');
  const { commits } = await pulling.full();
  for (let count = 1; count < commits.length; count++) {
    const left = recordsIn(commits.slice(count)).length;
    if (left === 0) continue;
    const look = await pulling.look(other, standingAfter(commits, count));
    expect(look.kind, `what it says at position ${count}`).toBe('new');
    const { records, bytes } = (look.kind === 'new' ? look.estimate : undefined) ?? {};
    if (records !== undefined) expect(records, `records after position ${count}`).toBe(left);
    if (bytes !== undefined) expect(bytes, `bytes after position ${count}`).toBeGreaterThan(0);
  }
  const last = standingAfter(commits);
  for (const one of [source, other]) {
    const { kind } = await pulling.look(one, last);
    expect(kind, 'what it says at the last position').toBe(pulling.facts.atEnd ?? 'unchanged');
  }
}

async function bringsNothing(pulling: PullBench): Promise<void> {
  const { other, expected } = pulling.bench;
  const last = standingAfter((await pulling.full()).commits);
  if (pulling.facts.atEnd === 'uncacheable') {
    const forced = await pulling.pull(other, last, { force: true });
    expect(recordsIn(forced.commits), 'what is read when it is forced').toEqual(expected.map(encodeRecord));
    return;
  }
  const again = await pulling.pull(other, last);
  expect([...recordsIn(again.commits), ...again.loose], 'what is read at the last position').toEqual([]);
  for (const { end } of again.commits) expect(end, 'where it stands then').toEqual(last.from);
}

async function refuses(pulling: PullBench): Promise<void> {
  const { source, other } = pulling.bench;
  const { commits } = await pulling.full();
  const { unreadable } = pulling.facts;
  const ends = commits.map(({ end }) => end);
  const foreign = { sourceName: 'elsewhere', kind: 'test/unknown-kind', value: '7@x' };
  const strange = [
    ...ends.map((end) => ({ ...end, kind: foreign.kind })),
    ...('never' in unreadable ? [] : unreadable),
  ];
  for (const one of [source, other]) {
    for (const end of ends) expect(pullsOf(one).refuses(end), `what it has against ${end.value}`).toBeUndefined();
    for (const position of [foreign, ...strange]) {
      const why = pullsOf(one).refuses(position) ?? '';
      expect(why.trim(), `why it cannot go on from ${position.kind} ${position.value}`).not.toBe('');
    }
  }
}

async function survives(pulling: PullBench): Promise<void> {
  const { length } = (await pulling.full()).chunks;
  const step = Math.ceil(length / CUTS_MAX);
  for (let after = 1; after <= length; after += step) {
    await survivesCut(pulling, { after, how: 'left' });
    // One who is told to stop after the last chunk may have come to its end already.
    if (after < length) await survivesCut(pulling, { after, how: 'stopped' });
  }
}

async function survivesCut(pulling: PullBench, cut: Cut): Promise<void> {
  const { source, other, expected } = pulling.bench;
  const { commits } = await pulling.cut(source, TOP, cut);
  if (cut.how === 'left') await pulling.loseDownloads();
  const standing = standingAfter(commits);
  const records = [...recordsIn(commits)];
  if (records.length < expected.length) {
    await pulling.look(other, standing);
    records.push(...recordsIn((await pulling.pull(other, standing)).commits));
  }
  const about = `records of a pull that was ${cut.how} after chunk ${cut.after}, and of the next one`;
  expect(records, about).toEqual(expected.map(encodeRecord));
}

async function grows(pulling: PullBench): Promise<void> {
  const { source, other } = pulling.bench;
  const last = standingAfter((await pulling.full()).commits);
  const added = (await pulling.facts.grow()).map(encodeRecord);
  expect(added.length, 'records that `grow` of the fixture adds').toBeGreaterThan(0);
  const blind = pulling.facts.atEnd === 'uncacheable';
  expect((await pulling.look(other, last)).kind, 'what it says of something new').toBe(blind ? 'uncacheable' : 'new');
  const news = await pulling.pull(other, last, blind ? { force: true } : {});
  expect(recordsIn(news.commits), 'what is read from the position before').toEqual(added);
  const next = { ...standingAfter(news.commits), taken: [...last.taken, ...standingAfter(news.commits).taken] };
  for (const one of [source, other]) {
    const { kind } = await pulling.look(one, next);
    expect(kind, 'what it says when that was read').toBe(pulling.facts.atEnd ?? 'unchanged');
  }
}

async function closesParts(pulling: PullBench): Promise<void> {
  const names = (await pulling.full()).commits.flatMap(({ closes }) => closes ?? []);
  expect([...new Set(names)], 'names of parts, each of them once').toEqual(names);
  expect(names.length, 'parts; the fixture should hold two').toBeGreaterThan(1);
}

/** Each part, and what came since the part before. */
function partsOf(
  commits: readonly Commit[],
): readonly { readonly name: string; readonly records: readonly string[] }[] {
  const parts: { name: string; records: readonly string[] }[] = [];
  let records: readonly string[] = [];
  for (const commit of commits) {
    records = [...records, ...commit.records];
    if (commit.closes === undefined) continue;
    parts.push({ name: commit.closes, records });
    records = [];
  }
  return parts;
}

async function reportsSkipped(pulling: PullBench): Promise<void> {
  const { commits } = await pulling.full();
  const last = standingAfter(commits);
  for (const one of [pulling.bench.source, pulling.bench.other]) {
    const quiet = await pulling.look(one, last);
    expect(quiet.notices?.filter(({ kind }) => kind === SKIPPED) ?? [], 'notices where all were taken').toEqual([]);
    for (const name of last.taken.slice(0, -1)) {
      const { notices = [] } = await pulling.look(one, { ...last, taken: last.taken.filter((part) => part !== name) });
      const messages = notices.filter(({ kind }) => kind === SKIPPED).map(({ message }) => message);
      expect(messages.join('\n'), `notices of the kind ${SKIPPED} about ${name}`).toContain(
        pulling.facts.called?.(name) ?? name,
      );
    }
  }
}

async function takes(pulling: PullBench): Promise<void> {
  const { other } = pulling.bench;
  const { commits } = await pulling.full();
  const last = standingAfter(commits);
  for (const { name, records } of partsOf(commits)) {
    expect((await pulling.look(other, last, { take: [name] })).kind, 'what it says of a part that is wanted').toBe(
      'new',
    );
    const { commits: brought, loose } = await pulling.pull(other, last, { take: [name] });
    expect(recordsIn(brought), `records of ${name}`).toEqual(records);
    expect(loose, 'records behind the last position').toEqual([]);
    expect(
      brought.flatMap(({ closes }) => closes ?? []),
      'parts that were closed',
    ).toEqual([name]);
    for (const { end } of brought) expect(end, 'the position meanwhile').toEqual(last.from);
  }
  await rejection(pulling.pull(other, last, { take: ['no such part'] }), 'a part that is not there');
}
