import type { Look, Pulls, ReadRange, Source } from '../../src/connectors/connector.ts';
import type { Chunk } from '../../src/model/chunk.ts';
import type { SourceAbility, SourceFixture } from '../../src/testing/suites/source-subject.ts';
import type { SourceLie } from './lying-source.ts';
import {
  countFixture,
  countSource,
  documentFixture,
  documentSource,
  partFixture,
  partSource,
} from './pulled-sources.ts';

type Change = (source: Source) => Partial<Source>;
const never = new AbortController().signal;

/** Every chunk of a pull is changed on its way out. */
const altered =
  (alter: (chunk: Chunk, asked: ReadRange, at: number) => Chunk | readonly Chunk[]): Change =>
  (source) => ({
    async *read(asked, signal) {
      let at = 0;
      for await (const chunk of source.read(asked, signal)) {
        const said = asked.pull === undefined ? chunk : alter(chunk, asked, at++);
        yield* Array.isArray(said) ? said : [said as Chunk];
      }
    },
  });

/** What is asked is changed on its way in. */
const asking =
  (alter: (asked: ReadRange) => ReadRange): Change =>
  (source) => ({ read: (asked, signal) => source.read(asked.pull === undefined ? asked : alter(asked), signal) });

const pulling =
  (alter: (pulls: Pulls) => Partial<Pulls>): Change =>
  (source) => ({ pulls: { ...source.pulls!, ...alter(source.pulls!) } });

const looking = (alter: (look: Look, range: ReadRange) => Look): Change =>
  pulling((pulls) => ({ look: async (range, signal) => alter(await pulls.look(range, signal), range) }));

type Kind = 'parts' | 'count' | 'document';
const ABILITIES: Readonly<Record<Kind, readonly SourceAbility[]>> = {
  parts: ['pull', 'parts'],
  count: ['resume', 'remaining', 'pull'],
  document: ['pull'],
};

function fixture(kind: Kind, change: Change): SourceFixture {
  const lying = (source: Source): Source => ({ ...source, ...change(source) });
  if (kind === 'parts') return partFixture((shelf) => lying(partSource(shelf)));
  if (kind === 'count') return countFixture((rows) => lying(countSource(rows)));
  return documentFixture((document) => lying(documentSource(document)));
}

const lie = (kind: Kind, title: string, noticedBy: string, change: Change): SourceLie => ({
  title,
  abilities: ABILITIES[kind],
  noticedBy,
  open: () => fixture(kind, change),
});

const without = ({ count, spans, ...chunk }: Chunk): Chunk => ({
  ...chunk,
  count: count - 1,
  spans: spans.slice(0, (count - 1) * 2),
});
const moved = (chunk: Chunk, by: number): Chunk =>
  chunk.end === undefined
    ? chunk
    : { ...chunk, end: { ...chunk.end, value: String(Math.max(0, Number(chunk.end.value) + by)) } };
const early = ({ closes: _closes, ...chunk }: Chunk, closes: string): Chunk => ({
  ...chunk,
  closes,
  end: { sourceName: 'shelf', kind: 'test/part', value: closes },
});

const ALL_CAME = 'from the top it brings every record once';
const REST = 'from each position that it gave it brings';
const ONCE = 'a position that records lie before';
const LOOKS = 'looks, and says whether';
const NOTHING = 'at the last position it brings nothing';
const REFUSES = 'refuses positions that it cannot';
const SURVIVES = 'cut at any chunk';
const NEW = 'brings what is new later';
const ONE_NAME = 'each part has one name';
const REPORTS = 'was never taken is reported';
const TAKES = 'brings a part that somebody wants';

export const PULL_LIES: readonly SourceLie[] = [
  lie(
    'parts',
    'a record that a pull skips',
    ALL_CAME,
    altered((chunk, _asked, at) => (at === 1 ? without(chunk) : chunk)),
  ),
  lie(
    'parts',
    'a chunk that a pull brings twice',
    ALL_CAME,
    altered((chunk, _asked, at) => (at === 1 ? [chunk, chunk] : chunk)),
  ),
  lie(
    'count',
    'a pull whose last records stand at no position',
    ALL_CAME,
    altered(({ end, ...chunk }) => (end?.value === '10' ? chunk : { ...chunk, ...(end === undefined ? {} : { end }) })),
  ),
  lie(
    'parts',
    'parts that nobody was told of',
    ALL_CAME,
    altered(({ closes: _closes, ...chunk }) => chunk),
  ),
  lie(
    'count',
    'a part that is closed where its author says that there are none',
    ALL_CAME,
    altered((chunk, _asked, at) => ({ ...chunk, closes: `part ${at}` })),
  ),
  lie(
    'count',
    'a position that is too early',
    REST,
    altered((chunk) => moved(chunk, -1)),
  ),
  lie(
    'count',
    'a position that is too late',
    REST,
    altered((chunk) => moved(chunk, 1)),
  ),
  lie(
    'parts',
    'a pull that brings all of it again',
    REST,
    asking(({ from: _from, ...asked }) => asked),
  ),
  lie('parts', 'a look that loses what it has found', REST, (source) => {
    let looked = false;
    return {
      async *read(asked, signal) {
        let first = true;
        for await (const chunk of source.read(asked, signal)) {
          if (!(looked && first)) yield chunk;
          first = false;
        }
        looked = false;
      },
      pulls: {
        ...source.pulls!,
        look: async (range, signal) => {
          looked = true;
          return await source.pulls!.look(range, signal);
        },
      },
    };
  }),
  lie(
    'count',
    'a position that is given for every chunk',
    ONCE,
    altered((chunk) => (chunk.end === undefined ? chunk : { ...chunk, end: { ...chunk.end, value: '10' } })),
  ),
  lie(
    'parts',
    'a look that finds something new for ever',
    LOOKS,
    looking(() => ({ kind: 'new' })),
  ),
  lie(
    'parts',
    'a look that finds nothing new',
    LOOKS,
    looking(() => ({ kind: 'unchanged', why: 'nobody has looked' })),
  ),
  lie(
    'document',
    'a look that cannot say why',
    LOOKS,
    looking((look) => (look.kind === 'new' ? look : { ...look, why: '' })),
  ),
  lie(
    'count',
    'a look that guesses how much is left',
    LOOKS,
    looking((look) => (look.kind === 'new' ? { kind: 'new', estimate: { records: 10 } } : look)),
  ),
  lie('document', 'a document that is read again at its own version', NOTHING, (source) => ({
    read: (asked, signal) =>
      source.read(asked.pull === undefined ? asked : { ...asked, pull: { ...asked.pull, force: true } }, signal),
  })),
  lie(
    'parts',
    'a position of another kind that is believed in a pull',
    REFUSES,
    pulling(() => ({ refuses: () => undefined })),
  ),
  lie(
    'document',
    'a position that is refused without a word',
    REFUSES,
    pulling((pulls) => ({ refuses: (position) => pulls.refuses(position)?.slice(0, 0) })),
  ),
  lie(
    'count',
    'a value that nobody can read and that is believed',
    REFUSES,
    pulling(() => ({ refuses: ({ kind }) => (kind === 'waybill/count' ? undefined : 'another kind') })),
  ),
  lie(
    'document',
    'a position of its own that is refused',
    REFUSES,
    pulling(() => ({ refuses: () => 'no position is good enough' })),
  ),
  lie('parts', 'a pull that does not stop', SURVIVES, (source) => ({
    read: (asked, signal) => source.read(asked, asked.pull === undefined ? signal : never),
  })),
  lie(
    'parts',
    'a part that is closed before all of it has come',
    SURVIVES,
    altered((chunk, { from, pull }, at) =>
      at === 0 && from === undefined && pull?.take === undefined ? early(chunk, 'a') : chunk,
    ),
  ),
  lie(
    'document',
    'a download that is used for another version',
    NEW,
    asking((asked) => {
      const { from: _from, ...top } = asked;
      return asked.from === undefined ? asked : top;
    }),
  ),
  lie('parts', 'a place that is looked at once', NEW, (source) => {
    let kept: Look | undefined;
    return {
      pulls: {
        ...source.pulls!,
        look: async (range, signal) => {
          kept = range.from === undefined ? undefined : (kept ?? (await source.pulls!.look(range, signal)));
          return kept ?? (await source.pulls!.look(range, signal));
        },
      },
    };
  }),
  lie(
    'parts',
    'parts that all have one name',
    ONE_NAME,
    altered((chunk) => (chunk.closes === undefined ? chunk : { ...chunk, closes: 'part' })),
  ),
  lie(
    'parts',
    'a part that is skipped in silence',
    REPORTS,
    looking(({ notices: _notices, ...look }) => look as Look),
  ),
  lie(
    'parts',
    'parts that are reported although they were taken',
    REPORTS,
    looking((look) => ({ ...look, notices: [{ kind: 'part-skipped', message: 'a, b and c' }] })),
  ),
  lie(
    'parts',
    'a part that is wanted and not brought',
    TAKES,
    asking(({ pull, ...asked }) => {
      const { take: _take, ...rest } = pull!;
      return { ...asked, pull: rest };
    }),
  ),
  lie(
    'parts',
    'a position that goes back to the part that was wanted',
    TAKES,
    altered((chunk, { pull }) => (pull?.take === undefined ? chunk : early(chunk, pull.take[0]!))),
  ),
  lie('parts', 'a part that is not there and is not missed', TAKES, (source) => ({
    async *read(asked, signal) {
      if (asked.pull?.take?.includes('no such part') !== true) yield* source.read(asked, signal);
    },
  })),
];
