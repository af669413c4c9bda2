import type { ReadRange, Source } from '../../src/connectors/connector.ts';
import { MEMORY_POSITION, memorySource } from '../../src/connectors/memory/source.ts';
import type { Chunk } from '../../src/model/chunk.ts';
import type { Position } from '../../src/model/position.ts';
import type { SourceRange } from '../../src/model/range.ts';
import { ALL } from '../../src/model/window.ts';
import type { SourceAbility, SourceFixture } from '../../src/testing/suites/source-subject.ts';

export interface SourceLie {
  readonly title: string;
  readonly abilities: readonly SourceAbility[];
  readonly noticedBy: string;
  open(): SourceFixture;
}

const expected = Array.from({ length: 20 }, (_, n) => ({ n }));
const range: ReadRange = { window: ALL, parameters: {} };
const BOTH = ['resume', 'remaining', 'pull'] as const;
const never = new AbortController().signal;

type Change = (source: Source) => Partial<Source>;
type Alter = (chunk: Chunk, at: number, before: Chunk | undefined) => Chunk;

const lying = (change: Change): SourceFixture => {
  const rows = [...expected];
  const source = memorySource(() => rows, { chunkRecords: 6 });
  const { pulls, ...lie } = { ...source, ...change(source) };
  return {
    // One that gives no positions has nothing to pull from.
    source: lie.resumable && pulls !== undefined ? { ...lie, pulls } : lie,
    range,
    expected,
    pull: {
      unreadable: [{ sourceName: 'memory', kind: MEMORY_POSITION, value: 'twenty' }],
      grow: async () => [rows[rows.push({ n: rows.length }) - 1]!],
    },
  };
};

/** Every chunk is changed on its way out. */
const altered =
  (alter: Alter): Change =>
  (source) => ({
    async *read(asked, signal) {
      let [at, before]: [number, Chunk | undefined] = [0, undefined];
      for await (const chunk of source.read(asked, signal)) {
        yield alter(chunk, at, before);
        at += 1;
        before = chunk;
      }
    },
  });

const memoryPosition = (place: number): Position => ({
  sourceName: 'memory',
  kind: MEMORY_POSITION,
  value: String(place),
});

/** With the ranges that a source of rows that stay has. `always`: also when nobody has asked. */
const ranged = (source: Source, always = false): Partial<Source> => ({
  async *read(asked, signal) {
    let from = Number(asked.from?.kind === MEMORY_POSITION ? asked.from.value : 0);
    for await (const chunk of source.read(asked, signal)) {
      const at = { object: 'rows', version: '1', from, to: from + chunk.count, row: from + 1 };
      from += chunk.count;
      yield asked.ranges === true || always ? { ...chunk, range: at } : chunk;
    }
  },
});

async function* onlyIn(source: Source, { from, to }: SourceRange, signal: AbortSignal): AsyncGenerator<Chunk> {
  for await (const chunk of source.read({ ...range, from: memoryPosition(Number(from)) }, signal)) {
    if (chunk.firstRow > Number(to)) return;
    yield chunk;
  }
}

const lie = (
  title: string,
  noticedBy: string,
  change: Change,
  abilities: readonly SourceAbility[] = BOTH,
): SourceLie => ({ title, abilities, noticedBy, open: () => lying(change) });

const shorter = (chunk: Chunk): Chunk => ({
  ...chunk,
  count: chunk.count - 1,
  spans: chunk.spans.slice(0, (chunk.count - 1) * 2),
});
const withEnd = (chunk: Chunk, value: string): Chunk => ({ ...chunk, end: { ...chunk.end!, value } });

export const SOURCE_LIES: readonly SourceLie[] = [
  lie(
    'a record that is left out',
    'reads every record once',
    altered((chunk, at) => (at === 1 ? shorter(chunk) : chunk)),
  ),
  lie(
    'a chunk that comes twice',
    'reads every record once',
    altered((chunk, at, before) => (at === 1 ? before! : chunk)),
  ),
  lie(
    'a position that goes back',
    'from each position that it gave',
    altered((chunk, at, before) => (at > 0 ? { ...chunk, end: before!.end! } : chunk)),
  ),
  lie(
    'a position that stands still',
    'each position lies behind',
    altered((chunk) => withEnd(chunk, '6')),
  ),
  lie(
    'a position that runs ahead',
    'from each position that it gave',
    altered((chunk) => withEnd(chunk, String(Number(chunk.end!.value) + 1))),
  ),
  lie(
    'a position that is missing',
    'from each position that it gave',
    altered(({ end: _end, ...chunk }) => chunk),
  ),
  lie('a position of a source that cannot go on', 'gives no position', () => ({ resumable: false }), ['remaining']),
  lie('a position that is not looked at', 'from each position that it gave', (source) => ({
    read: ({ window, parameters }, signal) => source.read({ window, parameters }, signal),
  })),
  lie('a position of another kind that is believed', 'of a kind that it does not know', (source) => ({
    read: (asked, signal) =>
      source.read(
        asked.from === undefined ? asked : { ...asked, from: { ...asked.from, kind: 'waybill/count', value: '6' } },
        signal,
      ),
  })),
  lie('an order that changes', 'reads the same again', (source) => {
    let reading = 0;
    return {
      async *read(asked, signal) {
        const chunks: Chunk[] = [];
        for await (const chunk of source.read(asked, signal)) chunks.push(chunk);
        yield* reading++ % 2 === 0 ? chunks : chunks.reverse();
      },
    };
  }),
  lie(
    'spans that reach beyond the bytes',
    'agree with what they say of themselves',
    altered((chunk) => ({ ...chunk, bytes: chunk.bytes.slice(0, -8) })),
  ),
  lie('a format that it does not name', 'agree with what they say of themselves', () => ({ emits: ['csv'] })),
  lie('a source that does not stop', 'stops when it is told to', (source) => ({
    read: (asked) => source.read(asked, never),
  })),
  lie('an estimate that does not shrink', 'remaining: says of every position', () => ({
    remaining: async () => ({ records: expected.length }),
  })),
  lie(
    'a reread that gives too much',
    'reread: from the range of each chunk',
    (source) => ({
      ...ranged(source),
      reread: ({ from }, signal) => source.read({ ...range, from: memoryPosition(Number(from)) }, signal),
    }),
    [...BOTH, 'reread'],
  ),
  lie(
    'a range that is said to nobody',
    'reread: says ranges only when',
    (source) => ({ ...ranged(source, true), reread: (asked, signal) => onlyIn(source, asked, signal) }),
    [...BOTH, 'reread'],
  ),
  lie(
    'a source that can be read again, and does not say where',
    'reread: from the range of each chunk',
    (source) => ({ reread: (asked, signal) => onlyIn(source, asked, signal) }),
    [...BOTH, 'reread'],
  ),
  lie('an ability that its author does not name', 'shows what its author says', () => ({}), ['resume']),
  lie('an ability that is named and not shown', 'shows what its author says', () => ({ resumable: false })),
  lie(
    'a method that nobody has a check for',
    'shows what its author says',
    () => ({ seek: () => 0 }) as Partial<Source>,
  ),
];
