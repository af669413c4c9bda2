import { ObjectLines, type ObjectPiece } from '../../formats/object-lines.ts';
import { type Chunk, endChunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';
import type { SourceRange } from '../../model/range.ts';
import type { Look, LookNotice, ReadRange, Source } from '../connector.ts';
import { addEntry, type Entry, type EntryRecords } from './entries.ts';
import {
  expectGoesOn,
  isAfter,
  isBare,
  placeOf,
  positionOf,
  START_ID,
  type StreamFacts,
  type StreamPlace,
} from './stream-place.ts';
import { StreamReader, type StreamReaderOptions } from './stream-reader.ts';

export interface RedisSourceOptions extends StreamReaderOptions {
  readonly records: EntryRecords;
  /** No such stream, and none was read before: an error, or nothing to read. */
  readonly whenNone: 'fail' | 'empty';
}

const CHUNK_BYTES = 512 * 1024;
/** A page should be about as large as this; how large entries are is learnt from those before. */
const PAGE_BYTES = 2 * 1024 * 1024;
const FIRST_PAGE_ENTRIES = 100;
const PAGE_ENTRIES_MAX = 5000;

/** Reads the entries of a stream in the order of their ids, up to the last one that is there at the beginning. */
export function redisSource(options: RedisSourceOptions): Source {
  const reader = new EntryReader(options);
  const placed = (from: Position | undefined): StreamPlace | undefined => {
    const read = from === undefined ? undefined : placeOf(from, options.stream);
    return typeof read === 'string' ? undefined : read;
  };
  return {
    emits: ['ndjson'],
    resumable: true,
    read: (range, signal) => reader.read(placed(range.from), range.ranges === true, signal),
    reread: (range, signal) => reader.reread(range, signal),
    pulls: {
      refuses: (position) => {
        const read = placeOf(position, options.stream);
        return typeof read === 'string' ? read : undefined;
      },
      look: (range, signal) => reader.look(placed(range.from), signal),
    },
    remaining: (range: ReadRange, signal) => reader.remaining(placed(range.from), signal),
    close: async () => reader.close(),
  };
}

class EntryReader {
  readonly #options: RedisSourceOptions;
  readonly #reader: StreamReader;

  constructor(options: RedisSourceOptions) {
    this.#options = options;
    this.#reader = new StreamReader(options);
  }

  async look(from: StreamPlace | undefined, signal: AbortSignal): Promise<Look> {
    const { stream } = this.#options;
    const facts = await this.#facts(from, signal);
    if (facts === undefined) return { kind: 'unchanged', why: `there is no stream ${stream} yet` };
    if (from !== undefined && facts.last === from.id) {
      return { kind: 'unchanged', why: `the stream ${stream} ends at ${facts.last}, and so far it was read` };
    }
    const notices = noticesOf(stream, from, facts);
    return { kind: 'new', estimate: estimateOf(from, facts), ...(notices.length === 0 ? {} : { notices }) };
  }

  async remaining(from: StreamPlace | undefined, signal: AbortSignal): Promise<{ records?: number }> {
    const facts = await this.#facts(from, signal);
    return facts === undefined ? { records: 0 } : estimateOf(from, facts);
  }

  /** The last chunk stands at the largest id that was given, though its entry may have been deleted. */
  async *read(from: StreamPlace | undefined, ranges: boolean, signal: AbortSignal): AsyncGenerator<Chunk> {
    const facts = await this.#facts(from, signal);
    if (facts === undefined || facts.last === (from?.id ?? START_ID)) return;
    const last = { id: facts.last, ...(facts.added === undefined ? {} : { added: facts.added }) };
    yield* this.#chunks({ from, last, ranges }, signal);
  }

  /** A stream has nothing that tells it from another one of its name but its ids: who asks compares what comes. */
  async *reread({ object, from, to }: SourceRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const { stream } = this.#options;
    if (object !== stream) throw goneError(object);
    const [after, last] = [{ id: String(from) }, { id: String(to) }];
    const facts = await this.#facts(after, signal);
    if (facts === undefined) throw goneError(stream);
    expectGoesOn(stream, last, facts);
    yield* this.#chunks({ from: after, last, ranges: false }, signal);
  }

  close(): void {
    this.#reader.close();
  }

  async *#chunks(stretch: Stretch, signal: AbortSignal): AsyncGenerator<Chunk> {
    const { from, last } = stretch;
    const { stream, records } = this.#options;
    const lines = new ObjectLines<StreamPlace>(({ id }) => `entry ${id} of ${stream}`);
    const at = new Placing(stream, stretch);
    for await (const page of this.#pages(from, last, signal)) {
      for (const { entry, place } of page) {
        addEntry(lines, entry, place, records);
        if (lines.bytes < CHUNK_BYTES) continue;
        signal.throwIfAborted();
        yield* at.placed(lines.take());
      }
    }
    signal.throwIfAborted();
    const rest = lines.take();
    yield* at.placed(rest.slice(0, -1));
    const final = rest.at(-1)?.chunk;
    yield final === undefined ? endChunk(at.position(last), { firstRow: lines.nextRow }) : at.chunk(final, last);
  }

  async *#pages(
    from: StreamPlace | undefined,
    { id: last }: StreamPlace,
    signal: AbortSignal,
  ): AsyncGenerator<readonly PlacedEntry[]> {
    let passed: StreamPlace = from ?? { id: START_ID };
    let count = FIRST_PAGE_ENTRIES;
    for (let more = true; more; ) {
      const { facts, entries } = await this.#reader.page({ after: passed.id, last, count }, signal);
      if (facts === undefined) throw goneError(this.#options.stream);
      expectGoesOn(this.#options.stream, passed, facts);
      const added = addedUpTo(passed, facts);
      const placed = entries.map((entry, nth) => ({ entry, place: placeAt(entry, added, nth) }));
      passed = placed.at(-1)?.place ?? passed;
      yield placed;
      more = entries.length === count;
      count = nextCount(entries);
    }
  }

  /** Undefined: there is no such stream, and none is missed. */
  async #facts(from: StreamPlace | undefined, signal: AbortSignal): Promise<StreamFacts | undefined> {
    const { stream, whenNone } = this.#options;
    const facts = await this.#reader.facts(signal);
    if (facts !== undefined) {
      if (from !== undefined) expectGoesOn(stream, from, facts);
      return facts;
    }
    if (from !== undefined && from.id !== START_ID) throw goneError(stream);
    if (whenNone === 'empty') return undefined;
    throw new WaybillError('SOURCE_FAILED', `there is no stream ${stream}`, {
      hint: 'Correct its name; or set `whenNone: empty` if it is made with its first entry and there is none yet.',
      ids: { stream },
    });
  }
}

interface PlacedEntry {
  readonly entry: Entry;
  readonly place: StreamPlace;
}

/** Of the entry with this number, 0-based, behind a place up to which so many were added. */
const placeAt = ({ id }: Entry, added: number | undefined, nth: number): StreamPlace =>
  added === undefined ? { id } : { id, added: added + nth + 1 };

const goneError = (stream: string): WaybillError =>
  new WaybillError('SOURCE_REPLACED', `the stream ${stream} is gone`, { ids: { stream } });

/**
 * How many entries were ever added up to a place. Where nothing up to there is left it follows from what there is.
 * Otherwise it is counted, without entries that were deleted one by one: then it may be too low, and never too high.
 */
function addedUpTo(passed: StreamPlace, facts: StreamFacts): number | undefined {
  if (facts.added === undefined) return undefined;
  return isBare(passed, facts) ? facts.added - facts.length : passed.added;
}

function nextCount(entries: readonly Entry[]): number {
  const bytes = entries.reduce((sum, { fields }) => fields.reduce((all, field) => all + field.length, sum), 0);
  const average = Math.max(1, bytes / Math.max(1, entries.length));
  return Math.min(PAGE_ENTRIES_MAX, Math.max(1, Math.floor(PAGE_BYTES / average)));
}

/** Known where nothing that was read is left. */
function estimateOf(from: StreamPlace | undefined, facts: StreamFacts): { records?: number } {
  if (from === undefined || isBare(from, facts)) return { records: facts.length };
  return isAfter(facts.last, from.id) ? {} : { records: 0 };
}

/** Of a stream that nobody has read from yet there is nothing to compare with but its own count. */
function beginsLate(stream: string, { added, length, first }: StreamFacts): readonly LookNotice[] {
  const gone = (added ?? length) - length;
  if (gone <= 0) return [];
  const what = gone === 1 ? '1 entry is' : `${gone} entries are`;
  const begins = first === undefined ? 'nothing is left of it' : `what is read begins at ${first}`;
  const message = `${what} not in the stream ${stream} any more, and nobody has read from it before: ${begins}`;
  return [{ kind: 'begins-late', message }];
}

function noticesOf(stream: string, from: StreamPlace | undefined, facts: StreamFacts): readonly LookNotice[] {
  if (from === undefined) return beginsLate(stream, facts);
  if (!isBare(from, facts)) return [];
  if (facts.added !== undefined && from.added !== undefined) return [];
  const why =
    facts.added === undefined ? 'servers before Redis 7 do not count' : 'the position was set without a count';
  const message =
    `nothing up to the position ${from.id} is left in the stream ${stream}, and nobody can tell whether entries ` +
    `behind it were removed as well: ${why}`;
  return [{ kind: 'trim-unknown', message }];
}

/** What is to be read: behind `from`, up to `last`. `ranges`: chunks say where they stand. */
interface Stretch {
  readonly from: StreamPlace | undefined;
  readonly last: StreamPlace;
  readonly ranges: boolean;
}

/** Says of each chunk where it ends, and behind which entry it begins. */
class Placing {
  readonly #stream: string;
  readonly #ranges: boolean;
  #passed: string;

  constructor(stream: string, { from, ranges }: Stretch) {
    this.#stream = stream;
    this.#ranges = ranges;
    this.#passed = from?.id ?? START_ID;
  }

  position(place: StreamPlace): Position {
    return positionOf(this.#stream, place);
  }

  *placed(pieces: readonly ObjectPiece<StreamPlace>[]): Generator<Chunk> {
    for (const { chunk, marks } of pieces) yield this.chunk(chunk, marks.at(-1)!);
  }

  chunk(chunk: Omit<Chunk, 'end'>, place: StreamPlace): Chunk {
    const [from, to] = [this.#passed, place.id];
    this.#passed = to;
    const end = this.position(place);
    if (!this.#ranges) return { ...chunk, end };
    const range = { object: this.#stream, version: `ids up to ${to}`, from, to, row: chunk.firstRow };
    return { ...chunk, range, end };
  }
}
