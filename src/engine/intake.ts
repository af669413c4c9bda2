import type { LeftOut } from '../formats/columns/filter.ts';
import { digestSpans } from '../formats/digest.ts';
import type { Converted } from '../formats/formats.ts';
import { missingKeys } from '../formats/identify.ts';
import type { LaneCounts, Unbatched } from '../ledger/ledger.ts';
import { type Chunk, type Identities, KEY_BYTES, type Reject } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import type { SourceRange } from '../model/range.ts';
import { BatchRanges } from './batch-ranges.ts';
import type { BatchRooms } from './batch-rooms.ts';
import type { LaneJob, SourceJob } from './engine.ts';
import { surelyFits } from './fit-lane.ts';
import type { Judgement, LaneMemory } from './lane-memory.ts';
import { convertedFor, shapeIn } from './lane-records.ts';
import type { ChunkSchema } from './lane-schema.ts';
import { type PackedBatch, type PackedRecords, Packer, type Shape } from './pack.ts';
import { isSameTrail, showTrail, type Trail, type TrailWords, trailAt } from './trail.ts';

/** The rows of one chunk in the order of the source: records by place, unreadable ones as rejects. */
export interface ChunkRows {
  readonly chunk: Chunk;
  readonly identities: Identities;
  /** `>= 0`: the record at that place. `< 0`: the reject at `-1 - value`. */
  readonly order: Int32Array;
  /** Rows of the extraction before this chunk. */
  readonly rowsBefore: number;
  /** Undefined for a source that cannot be gone on with. */
  readonly trail: TrailWords | undefined;
}

/** What has been decided and may be sealed. */
export interface Decided {
  readonly batches: readonly SealableBatch[];
  readonly unbatched: readonly Unbatched[];
  readonly counts: LaneCounts;
}

/** The same without the bytes. */
export interface Told extends Omit<Decided, 'batches'> {
  readonly batches: readonly Pick<SealableBatch, 'records' | 'leftOut'>[];
}

/**
 * `leftOut`: of how many of its records a field was left out, by field. `ranges`: where its source has all of them
 * again.
 */
export interface SealableBatch extends PackedBatch {
  readonly leftOut?: ReadonlyMap<string, number>;
  readonly ranges?: readonly SourceRange[];
}

interface Tally {
  read: number;
  same: number;
  changed: number;
  duplicates: number;
  unbatched: Unbatched[];
}
const emptyTally = (): Tally => ({ read: 0, same: 0, changed: 0, duplicates: 0, unbatched: [] });

/**
 * Takes the rows of an extraction for one lane and decides of each: into a batch, into no batch and why, or already
 * there. Decisions become final in the order of the source: what follows the first record of the batch that is still
 * open waits with it, so that a restart can say how many rows lie behind it by a single number.
 */
export class Intake {
  readonly lane: LaneJob;
  readonly #memory: LaneMemory;
  readonly #source: SourceJob;
  readonly #seed: Uint8Array;
  readonly #packer: Packer;
  #skip: number;
  /** What the rows decided so far were; as far as the ledger knows it until all of those have been met again. */
  #trail: Trail | undefined;
  /** The chunk at hand, and how many of its rows have been taken. */
  #words: TrailWords | undefined;
  #taken = 0;
  /** Fields that were left out of the records of the chunk at hand, and of how many of the open batch. */
  #without: LeftOut | undefined;
  #leftOut = new Map<string, number>();
  readonly #ranges = new BatchRanges();
  #full: SealableBatch[] = [];
  #fullBytes = 0;
  #final = emptyTally();
  #sinceOpen = emptyTally();
  #decidedRows: number;

  /** `skip`: rows that an earlier process decided for this lane beyond its position. `trail`: what it had read. */
  constructor(
    lane: LaneJob,
    source: SourceJob,
    memory: LaneMemory,
    how: { seed: Uint8Array; decided: number; skip: number; trail: Trail | undefined; rooms: BatchRooms },
  ) {
    this.lane = lane;
    this.#source = source;
    this.#memory = memory;
    this.#seed = how.seed;
    this.#skip = how.skip;
    this.#trail = how.trail;
    this.#decidedRows = how.decided;
    this.#packer = new Packer(lane.limits, lane.sink.accepts, {
      apart: keepsVersionsApart(lane, source),
      rooms: how.rooms,
    });
  }

  get fullBytes(): number {
    return this.#fullBytes;
  }
  get waiting(): number {
    return this.#final.unbatched.length + this.#full.length;
  }
  /** Rows of the extraction whose decision is final, those of earlier processes included. */
  get decidedRows(): number {
    return this.#decidedRows + this.#final.read;
  }

  /** Rows that were decided before have still to be met. */
  get skipping(): boolean {
    return this.#skip > 0;
  }

  /** How many rows of the chunk were decided before. Undefined: the rows that were are others than those met now. */
  pass(rows: ChunkRows): number | undefined {
    const passed = Math.min(this.#skip, rows.order.length);
    this.#skip -= passed;
    // Only the last of them tells, since only up to there is known what they were.
    if (passed === 0 || this.#skip > 0) return passed;
    const asBefore = this.#trail !== undefined && isSameTrail(this.#trail, trailAt(rows.trail!, passed));
    return asBefore ? passed : undefined;
  }

  /** Without the first rows, which were decided before. */
  async take(rows: ChunkRows, from: number, schema: ChunkSchema = {}): Promise<void> {
    this.#words = rows.trail;
    this.#taken = from;
    if (from === rows.order.length) return;
    const { converted, leftOut } = convertedFor(rows.chunk, this.lane, schema);
    this.#without = leftOut === undefined || leftOut.size === 0 ? undefined : leftOut;
    // Which fields a schema leaves out is not known any more when the records are read again.
    this.#ranges.at(schema.rule === undefined ? rows.chunk : undefined);
    this.#turnTo(shapeIn(converted, this.lane.sink.accepts, schema.types));
    if (from === 0 && isWhole(rows, converted) && !this.#packer.anyTooLarge(converted.spans, converted.count)) {
      await this.#takeWhole(rows, converted);
    } else await this.#takeEach(rows, from, converted);
  }

  async #takeEach(rows: ChunkRows, from: number, converted: Converted): Promise<void> {
    const places = placesOf(converted, rows.chunk.count);
    const missing = new Set(rows.identities.missing);
    const nths = [...rows.order.subarray(from)].filter((nth) => nth >= 0 && places[nth]! >= 0 && !missing.has(nth));
    const judgements = await this.#memory.judge(rows.identities, nths);
    const payloadDigests = digestSpans(converted.bytes, converted.spans, this.#seed);
    let judged = 0;
    for (let i = from; i < rows.order.length; i++) {
      const nth = rows.order[i]!;
      const row = rows.rowsBefore + i + 1;
      if (nth < 0) this.#reject(row, rows.chunk.rejects![-1 - nth]!);
      else if (missing.has(nth)) this.#reject(row, this.#keyless(row, nth, rows.chunk));
      else if (places[nth]! < 0) this.#unmapped(row, nth, rows, converted);
      else this.#judged(row, nth, judgements[judged++]!, { rows, converted, place: places[nth]!, payloadDigests });
    }
    if (this.#packer.records === 0) this.#finalise();
  }

  /** A chunk whose records all go into batches unless the lane has them already: only those that it may have cost. */
  async #takeWhole(rows: ChunkRows, converted: Converted): Promise<void> {
    const { identities, chunk } = rows;
    const payloadDigests = this.#payloadDigests(rows, converted);
    const records = {
      bytes: converted.bytes,
      spans: converted.spans,
      payloadDigests,
      keys: identities.keys,
      sourceDigests: identities.digests,
    };
    const suspects = await this.#memory.meet(identities, chunk.count);
    const judge = await this.#memory.judging(identities, suspects);
    let from = 0;
    for (const nth of suspects) {
      this.#packMet(records, from, nth);
      const at = { rows, converted, place: nth, payloadDigests };
      this.#judged(rows.rowsBefore + nth + 1, nth, judge(nth), at);
      from = nth + 1;
    }
    this.#packMet(records, from, chunk.count);
    if (this.#packer.records === 0) this.#finalise();
  }

  #packMet(records: PackedRecords, from: number, to: number): void {
    for (let nth = from; nth < to; ) {
      const before = this.#packer.records;
      const { closed, taken } = this.#packer.add({ records, place: nth, nthKey: nth, count: to - nth });
      this.#keep(closed);
      this.#ranges.add();
      if (before === 0 || closed !== undefined) this.#finalise();
      this.#sinceOpen.read += taken;
      this.#taken += taken;
      this.#memory.rememberMet(records.keys, nth, nth + taken);
      if (this.#without !== undefined) for (let at = nth; at < nth + taken; at++) this.#countLeftOut(at);
      nth += taken;
    }
  }

  /** Of rows that go on unchanged they are those of the source, unless these leave columns out. */
  #payloadDigests({ chunk, identities }: ChunkRows, { bytes, spans }: Converted): Uint8Array {
    if (bytes === chunk.bytes && this.#source.exclude.length === 0) return identities.digests;
    return digestSpans(bytes, spans, this.#seed);
  }

  #turnTo(shape: Shape): void {
    const closed = this.#packer.turnTo(shape);
    if (closed === undefined) return;
    this.#keep(closed);
    this.#finalise();
  }

  /** Closes the last batch: the extraction has ended. */
  end(): void {
    this.#keep(this.#packer.close());
    this.#finalise();
  }

  /** What may be sealed now; it is the caller's from here on. */
  drain(): Decided {
    const { read, same, changed, duplicates, unbatched } = this.#final;
    const batches = this.#full;
    this.#decidedRows += read;
    this.#final = emptyTally();
    this.#full = [];
    this.#fullBytes = 0;
    const trail = this.#trail === undefined ? {} : { trail: showTrail(this.#trail) };
    return { batches, unbatched, counts: { lane: this.lane.name, read, same, changed, duplicates, ...trail } };
  }

  #judged(
    row: number,
    nth: number,
    judgement: Judgement,
    at: { rows: ChunkRows; converted: Converted; place: number; payloadDigests: Uint8Array },
  ): void {
    if (judgement.kind === 'same') {
      this.#count();
      this.#sinceOpen.same++;
      return;
    }
    const refusal = this.#heldBack(row, judgement);
    if (refusal !== undefined) {
      this.#leaveOut({ row, key: keyOf(at.rows, nth), ...refusal });
    } else if (this.#packer.tooLarge(length(at.converted, at.place))) {
      const message = this.#sizeMessage(at);
      this.#leaveOut({ row, key: keyOf(at.rows, nth), state: 'refused', code: 'RECORD_TOO_LARGE', message });
    } else this.#pack(nth, at);
    // Counted after packing: it belongs to the batch that took the record.
    if (judgement.kind === 'changed') this.#sinceOpen.changed++;
    if (judgement.kind === 'duplicate') this.#sinceOpen.duplicates++;
  }

  #heldBack(row: number, judgement: Judgement): Pick<Unbatched, 'state' | 'code' | 'message'> | undefined {
    if (judgement.kind === 'duplicate') {
      if (this.#source.onDuplicate === 'fail') throw duplicateKey(row);
      if (this.#source.onDuplicate === 'report') return undefined;
      return { state: 'skipped', code: 'DUPLICATE_KEY', message: 'the key came before in this extraction' };
    }
    if (judgement.kind !== 'changed' || judgement.was === 'refused') return undefined;
    if (judgement.was === 'pending' || judgement.was === 'in-doubt') {
      const message = `an earlier version is ${judgement.was}; settle it, then read the window again`;
      return { state: 'skipped', code: 'CHANGED_UNDECIDED', message };
    }
    switch (this.lane.onChanged) {
      case 'append':
        return undefined;
      case 'fail':
        throw new WaybillError('SOURCE_FAILED', `row ${row} has changed since it was delivered (onChanged: fail)`);
      case 'ignore':
        return {
          state: 'skipped',
          code: 'CHANGED_IGNORED',
          message: 'changed since it was delivered (onChanged: ignore)',
        };
      default:
        return { state: 'skipped', code: 'CHANGED_HELD', message: 'changed since it was delivered (onChanged: hold)' };
    }
  }

  #pack(nth: number, at: { rows: ChunkRows; converted: Converted; place: number; payloadDigests: Uint8Array }): void {
    const { identities } = at.rows;
    const { bytes, spans } = at.converted;
    const records = {
      bytes,
      spans,
      payloadDigests: at.payloadDigests,
      keys: identities.keys,
      sourceDigests: identities.digests,
    };
    const { closed } = this.#packer.add({ records, place: at.place, nthKey: nth, count: 1 });
    this.#keep(closed);
    this.#ranges.add();
    if (this.#packer.records === 1) this.#finalise();
    this.#count();
    this.#memory.remember(identities.keys, nth);
    this.#countLeftOut(nth);
  }

  /** Of a record that has gone into the open batch. */
  #countLeftOut(nth: number): void {
    for (const name of this.#without?.get(nth) ?? []) this.#leftOut.set(name, (this.#leftOut.get(name) ?? 0) + 1);
  }

  #reject(row: number, reject: Reject): void {
    const message = reject.line === undefined ? reject.message : `line ${reject.line}: ${reject.message}`;
    if (this.#source.onReject === 'stop') {
      const place = reject.line === undefined ? `row ${reject.row}` : `line ${reject.line}`;
      throw new WaybillError('RECORD_INVALID', `${place} of ${this.#source.name} is not taken in: ${reject.message}`, {
        ids: { source: this.#source.name, reason: reject.code },
      });
    }
    this.#leaveOut({ row, state: 'refused', code: reject.code, message });
  }

  /** A source of files tells where the record stands; of any other its number among the records is known. */
  #keyless(row: number, nth: number, chunk: Chunk): Reject {
    const columns = missingKeys(chunk, nth, this.#source.key ?? []).map((name) => JSON.stringify(name));
    const { file, line } = chunk.where?.(nth) ?? {};
    const what = `the record has no value for the key column${columns.length === 1 ? '' : 's'} ${columns.join(', ')}`;
    const message = file === undefined ? what : `${file}: ${what}`;
    return { row, code: 'KEY_MISSING', message, ...(line === undefined ? {} : { line }) };
  }

  #unmapped(row: number, nth: number, rows: ChunkRows, converted: Converted): void {
    const key = keyOf(rows, nth);
    const failed = converted.failed.find((one) => one.row === nth);
    if (failed === undefined) {
      this.#leaveOut({
        row,
        key,
        state: 'skipped',
        code: 'MAPPED_AWAY',
        message: 'the mapping leaves this record out',
      });
    } else this.#leaveOut({ row, key, state: 'refused', code: failed.code, message: failed.message });
  }

  #leaveOut(one: Omit<Unbatched, 'lane'>): void {
    this.#count();
    this.#sinceOpen.unbatched.push({ lane: this.lane.name, ...one });
    if (this.#packer.records === 0) this.#finalise();
  }

  #count(): void {
    this.#sinceOpen.read++;
    this.#taken++;
  }

  #keep(closed: PackedBatch | undefined): void {
    if (closed === undefined) return;
    const leftOut = this.#leftOut;
    const ranges = this.#ranges.take(closed.bytes.length);
    this.#full.push({
      ...closed,
      ...(leftOut.size === 0 ? {} : { leftOut }),
      ...(ranges === undefined ? {} : { ranges }),
    });
    if (leftOut.size > 0) this.#leftOut = new Map();
    this.#fullBytes += closed.bytes.length;
  }

  /** Everything so far lies before the open batch. */
  #finalise(): void {
    const { unbatched, ...counts } = this.#sinceOpen;
    for (const name of ['read', 'same', 'changed', 'duplicates'] as const) this.#final[name] += counts[name];
    this.#final.unbatched.push(...unbatched);
    this.#sinceOpen = emptyTally();
    if (this.#words !== undefined) this.#trail = trailAt(this.#words, this.#taken);
  }

  #sizeMessage(at: { converted: Converted; place: number }): string {
    const bytes = this.#packer.aloneBytes(length(at.converted, at.place));
    return `the record alone makes ${bytes} bytes; the sink takes ${this.lane.limits.bytesPerBatch}`;
  }
}

/** Where order matters only to versions of one record. What has no key is the same wherever its digest is. */
export const keepsVersionsApart = (lane: LaneJob, source: SourceJob): boolean =>
  source.key !== null && surelyFits(lane).ordered === 'repeats';

/** A copy: the chunk's keys are not kept for the sake of one record. */
const keyOf = ({ identities }: ChunkRows, nth: number): Uint8Array =>
  identities.keys.slice(nth * KEY_BYTES, (nth + 1) * KEY_BYTES);

const length = (converted: Converted, place: number): number =>
  converted.spans[place * 2 + 1]! - converted.spans[place * 2]!;

/** Every row of the chunk is a record with a key, in its place. */
function isWhole({ chunk, identities, order }: ChunkRows, { from, count, dropped, failed }: Converted): boolean {
  const gone = identities.missing.length + dropped.length + failed.length;
  return from === undefined && gone === 0 && count === chunk.count && order.length === count;
}

/** Where each record of the chunk stands in the converted bytes; -1 when it does not. */
function placesOf(converted: Converted, count: number): Int32Array {
  const places = new Int32Array(count).fill(-1);
  for (let place = 0; place < converted.count; place++) places[converted.from?.[place] ?? place] = place;
  return places;
}

function duplicateKey(row: number): WaybillError {
  return new WaybillError('DUPLICATE_KEY', `the key of row ${row} came before in this extraction (onDuplicate: fail)`);
}
