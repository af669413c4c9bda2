import type { Source } from '../connectors/connector.ts';
import { digestSpans, sha256Hex } from '../formats/digest.ts';
import { identify } from '../formats/identify.ts';
import { type Staged, type StagedRanges, shapeOf } from '../ledger/staging.ts';
import { type Chunk, DIGEST_BYTES, KEY_BYTES } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { type SourceRange, showRange } from '../model/range.ts';
import type { LaneJob, SourceJob } from './engine.ts';
import { convertedFor } from './lane-records.ts';
import { Packer } from './pack.ts';

/** Makes the bytes of a batch again. Throws RANGE_LOST when that cannot be done any more, or else BYTES_NOT_KEPT. */
export type Remake = (staged: StagedRanges, signal: AbortSignal) => Promise<Staged>;

/** Batches that follow each other share a chunk of the source, and are sent one behind the other. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024;

/** What the lane makes of one chunk that was read again. */
interface Piece {
  readonly chunk: Chunk;
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  readonly count: number;
  readonly payloadDigests: Uint8Array;
}

interface Kept {
  readonly pieces: Promise<readonly Piece[]>;
  /** Once they are there. */
  bytes?: number;
}

/**
 * Makes the bytes of the batches of one lane again, out of what their source still has: the ranges are read once more,
 * mapped and converted as they were, and of what comes the records of the batch are taken by their digests, in order.
 * What that makes is the batch only if its SHA-256 says so. So a range may hold more than its batch, such as records
 * that were left out, and nothing has to be known of why.
 */
export class Remaker {
  readonly #source: SourceJob;
  readonly #lane: Pick<LaneJob, 'sink' | 'mapping'>;
  readonly #seed: Uint8Array;
  readonly #kept = new Map<string, Kept>();

  constructor(source: SourceJob, lane: Pick<LaneJob, 'sink' | 'mapping'>, seed: Uint8Array) {
    this.#source = source;
    this.#lane = lane;
    this.#seed = seed;
  }

  remake: Remake = async (staged, signal) => {
    if (staged.ranges.length === 0)
      throw new WaybillError('BYTES_NOT_KEPT', 'its bytes were in the memory of a process that has ended');
    const { sink } = this.#lane;
    const records = staged.keys.length / KEY_BYTES;
    const packer = new Packer({ recordsPerBatch: records, inFlight: 1 }, sink.accepts);
    packer.turnTo(shapeOf(staged));
    for (const range of staged.ranges) {
      for (const piece of await this.#pieces(range, signal)) takeInto(packer, staged, piece);
    }
    const batch = packer.close();
    if (batch?.records !== records) throw await this.#whyNot(staged, signal);
    const { bytes, spans } = batch;
    if (sha256Hex(bytes) !== staged.digest) throw lost(staged, OTHER_FRAMING, ASK_BACK);
    const { ranges: _, ...marks } = staged;
    return { ...marks, bytes, spans };
  };

  /** The records are not there; if they are in the source, the lane makes something else of them now. */
  async #whyNot(staged: StagedRanges, signal: AbortSignal): Promise<WaybillError> {
    const { exclude } = this.#source;
    let found = 0;
    for (const range of staged.ranges) {
      for (const { chunk } of await this.#pieces(range, signal)) {
        const { digests } = identify(chunk, { key: null, exclude, seed: this.#seed });
        found = matched(digests, staged.sourceDigests, found);
      }
    }
    if (found * DIGEST_BYTES === staged.sourceDigests.length) return lost(staged, OTHER_MAPPING, ASK_BACK);
    return lost(staged, 'what stands there is not what was read');
  }

  async #pieces(range: SourceRange, signal: AbortSignal): Promise<readonly Piece[]> {
    const name = JSON.stringify(range);
    const kept = this.#kept.get(name);
    if (kept !== undefined) return await kept.pieces;
    const fresh: Kept = { pieces: this.#read(range, signal) };
    this.#kept.set(name, fresh);
    try {
      const pieces = await fresh.pieces;
      fresh.bytes = pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);
      this.#forget(name);
      return pieces;
    } catch (error) {
      this.#kept.delete(name);
      throw error;
    }
  }

  /** The oldest go, those that are still on their way and the one at hand excepted. */
  #forget(last: string): void {
    let bytes = [...this.#kept.values()].reduce((sum, one) => sum + (one.bytes ?? 0), 0);
    for (const [name, one] of this.#kept) {
      if (bytes <= KEPT_BYTES_MAX) return;
      if (name === last || one.bytes === undefined) continue;
      this.#kept.delete(name);
      bytes -= one.bytes;
    }
  }

  async #read(range: SourceRange, signal: AbortSignal): Promise<readonly Piece[]> {
    const { source } = this.#source;
    if (source.reread === undefined) throw noRanges(range);
    const pieces: Piece[] = [];
    for await (const chunk of asRanges(source as Required<Pick<Source, 'reread'>>, range, signal)) {
      const { bytes, spans, count } = convertedFor(chunk, this.#lane).converted;
      pieces.push({ chunk, bytes, spans, count, payloadDigests: digestSpans(bytes, spans, this.#seed) });
    }
    return pieces;
  }
}

/** Takes what belongs to the batch, as far as it has come: the next record of it, wherever it stands. */
function takeInto(packer: Packer, staged: StagedRanges, piece: Piece): void {
  const { keys, sourceDigests, payloadDigests } = staged;
  const records = { ...piece, keys, sourceDigests };
  for (let place = 0; place < piece.count; ) {
    const nthKey = packer.records;
    let count = 0;
    while (place + count < piece.count && isSame(piece.payloadDigests, place + count, payloadDigests, nthKey + count))
      count++;
    if (count > 0) packer.add({ records, place, nthKey, count });
    place += Math.max(1, count);
  }
}

/** How many of the wanted digests have been met, in order, when these follow those that were met before. */
function matched(digests: Uint8Array, wanted: Uint8Array, before: number): number {
  let met = before;
  for (let nth = 0; nth * DIGEST_BYTES < digests.length; nth++) if (isSame(digests, nth, wanted, met)) met++;
  return met;
}

/** Whether two records have the same digest; where there is none there is no record. */
function isSame(digests: Uint8Array, nth: number, others: Uint8Array, other: number): boolean {
  if ((other + 1) * DIGEST_BYTES > others.length) return false;
  for (let at = 0; at < DIGEST_BYTES; at++) {
    if (digests[nth * DIGEST_BYTES + at] !== others[other * DIGEST_BYTES + at]) return false;
  }
  return true;
}

const OTHER_FRAMING = 'the records are those that were read, but the lane frames them in another way now';
const OTHER_MAPPING = 'the rows are those that were read, but the lane makes something else of them now';
const ASK_BACK =
  'Put the mapping and the sink of the lane back as they were, run the same command again, and change them when ' +
  'nothing is pending. Or add `--refresh`: what was not sent is read again, and sent as it is made now.';

/** A stream says in its own words that it is another one, or has removed something. */
const GONE: ReadonlySet<string> = new Set(['SOURCE_REPLACED', 'SOURCE_TRIMMED']);

async function* asRanges(
  source: Required<Pick<Source, 'reread'>>,
  range: SourceRange,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  try {
    yield* source.reread(range, signal);
  } catch (error) {
    if (!(error instanceof WaybillError && GONE.has(error.code))) throw error;
    throw new WaybillError('RANGE_LOST', `${showRange(range)}: ${error.message}`, {
      cause: error,
      ids: { object: range.object, version: range.version },
    });
  }
}

function lost({ ranges }: StagedRanges, why: string, hint?: string): WaybillError {
  const [first] = ranges;
  const more = ranges.length === 1 ? '' : `, and ${ranges.length - 1} more`;
  return new WaybillError('RANGE_LOST', `${showRange(first!)}${more}: ${why}`, {
    ids: { object: first!.object, version: first!.keptAs ?? first!.version },
    ...(hint === undefined ? {} : { hint }),
  });
}

const noRanges = (range: SourceRange): WaybillError =>
  new WaybillError('RANGE_LOST', `${showRange(range)}: the source of the flow has no such ranges now`, {
    hint: 'Put `source` of the flow back as it was, and change it when nothing is pending.',
    ids: { object: range.object },
  });
