import { shapeOf } from '../ledger/staging.ts';
import { type Framing, framingOf, type Limits, type Payload } from '../model/batch.ts';
import { DIGEST_BYTES, KEY_BYTES } from '../model/chunk.ts';
import { sameColumns } from '../model/columns.ts';
import { BatchRooms, ROOM_BYTES_MIN } from './batch-rooms.ts';
import { KeyTable } from './key-table.ts';

/** How the records of a batch are encoded; all of them alike. */
export type Shape = Pick<Payload, 'columns' | 'format' | 'types'>;

/** A full batch in memory, ready to be staged: its exact bytes, and what is known of each record. */
export interface PackedBatch extends Shape {
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  readonly keys: Uint8Array;
  readonly sourceDigests: Uint8Array;
  readonly payloadDigests: Uint8Array;
  readonly records: number;
}

/** Encoded records with their keys and digests, from which some go into a batch. */
export interface PackedRecords {
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  readonly payloadDigests: Uint8Array;
  readonly keys: Uint8Array;
  readonly sourceDigests: Uint8Array;
}

/** Records that stand one behind the other: `nthKey` is the first one's place among keys and source digests. */
export interface Run {
  readonly records: PackedRecords;
  /** The first one's place among spans and payload digests. */
  readonly place: number;
  readonly nthKey: number;
  readonly count: number;
}

export interface Added {
  /** The batch that had to be closed to make room. */
  readonly closed: PackedBatch | undefined;
  /** How many records of the run went into the batch that is open now; one at least. */
  readonly taken: number;
}

const FIRST_BYTES = 32_768;
/** No more than this is taken at once for what a batch will come to if its first records are like the others. */
const FORESEEN_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Packs records greedily into batches, in order, under both limits of the sink. The bytes are those that will leave:
 * head, records with separators, tail. The byte limit counts all of them.
 */
export class Packer {
  readonly #limits: Limits;
  readonly #accepts: readonly Framing[];
  /** The keys of the open batch, where each may be in it only once. */
  readonly #apart: KeyTable | undefined;
  #shape: Shape = {};
  #frame: Frame;
  readonly #bytes: Growing;
  readonly #keys: Growing;
  readonly #source: Growing;
  readonly #payload: Growing;
  readonly #spans: Growing;
  #records = 0;
  /** With those that are just going into it. */
  #open = 1;

  /**
   * `apart`: a batch is closed when a key comes again. A sink may refuse the one version of a record for now and take
   * the other; only where they are in batches of their own does the one that is sent again come before the other.
   * `rooms`: where large batches are put.
   */
  constructor(limits: Limits, accepts: readonly Framing[], how: { apart?: boolean; rooms?: BatchRooms } = {}) {
    this.#limits = limits;
    this.#apart = how.apart === true ? new KeyTable() : undefined;
    const growing = (size: number): Growing => new Growing(size, (length) => this.#foreseen(length), how.rooms);
    this.#bytes = growing(FIRST_BYTES);
    this.#keys = growing(FIRST_BYTES / 8);
    this.#source = growing(FIRST_BYTES / 16);
    this.#payload = growing(FIRST_BYTES / 16);
    this.#spans = growing(FIRST_BYTES / 16);
    this.#accepts = accepts;
    this.#frame = frameOf({}, accepts);
  }

  get records(): number {
    return this.#records;
  }

  /** Bytes of a batch that holds only a record of this length. */
  aloneBytes(recordBytes: number): number {
    return this.#frame.head.length + recordBytes + this.#frame.tail.length;
  }

  /** True when the record can go into no batch at all. */
  tooLarge(recordBytes: number): boolean {
    return this.aloneBytes(recordBytes) > this.#bytesMax;
  }

  /** True when one of these can go into no batch at all. */
  anyTooLarge(spans: Uint32Array, count: number): boolean {
    const most = this.#bytesMax - this.aloneBytes(0);
    for (let i = 0; i < count; i++) if (spans[i * 2 + 1]! - spans[i * 2]! > most) return true;
    return false;
  }

  /** What follows is encoded so. Gives back the open batch if its records are encoded in another way. */
  turnTo(shape: Shape): PackedBatch | undefined {
    // Records whose fields stand in another order would be misread under the first one's header.
    if (isSameShape(shape, this.#shape)) return undefined;
    const closed = this.close();
    this.#shape = shapeOf(shape);
    this.#frame = frameOf(shape, this.#accepts);
    return closed;
  }

  /** Takes the first records of the run, as many as go into one batch. */
  add(run: Run): Added {
    let fitting = this.#fitting(run);
    const closed = fitting === 0 ? this.close() : undefined;
    if (this.#records === 0) {
      this.#bytes.append(this.#frame.head, 0, this.#frame.head.length);
      fitting = Math.max(1, this.#fitting(run));
    }
    const { records, place, nthKey } = run;
    this.#open = this.#records + fitting;
    this.#apart?.add(records.keys, nthKey);
    this.#append(records, place, fitting);
    this.#keys.append(records.keys, nthKey * KEY_BYTES, (nthKey + fitting) * KEY_BYTES);
    this.#source.append(records.sourceDigests, nthKey * DIGEST_BYTES, (nthKey + fitting) * DIGEST_BYTES);
    this.#payload.append(records.payloadDigests, place * DIGEST_BYTES, (place + fitting) * DIGEST_BYTES);
    this.#records += fitting;
    return { closed, taken: fitting };
  }

  /** The open batch, if it holds anything. */
  close(): PackedBatch | undefined {
    if (this.#records === 0) return undefined;
    this.#bytes.append(this.#frame.tail, 0, this.#frame.tail.length);
    const { buffer, byteOffset } = this.#spans.take();
    const batch: PackedBatch = {
      bytes: this.#bytes.take(),
      spans: new Uint32Array(buffer, byteOffset, this.#records * 2),
      keys: this.#keys.take(),
      sourceDigests: this.#source.take(),
      payloadDigests: this.#payload.take(),
      records: this.#records,
      ...this.#shape,
    };
    this.#records = 0;
    this.#apart?.clear();
    return batch;
  }

  /** How long something of the open batch will be, which is so long with the records that are in it now. */
  #foreseen(length: number): number {
    const { recordsPerBatch } = this.#limits;
    const whole = Math.ceil((length * recordsPerBatch * 9) / (this.#open * 8));
    return Math.min(whole, this.#bytesMax, FORESEEN_BYTES_MAX);
  }

  get #bytesMax(): number {
    return this.#limits.bytesPerBatch ?? Number.POSITIVE_INFINITY;
  }

  /** How many records of the run go into the open batch. */
  #fitting({ records: { spans, keys }, place, nthKey, count }: Run): number {
    if (this.#apart?.has(keys, nthKey) === true) return 0;
    // The next one may be another version of this one.
    const wanted = this.#apart === undefined ? count : 1;
    const most = Math.min(wanted, this.#limits.recordsPerBatch - this.#records);
    const separator = this.#frame.separator.length;
    let bytes = this.#bytes.length + this.#frame.tail.length - (this.#records === 0 ? separator : 0);
    for (let nth = 0; nth < most; nth++) {
      bytes += separator + spans[(place + nth) * 2 + 1]! - spans[(place + nth) * 2]!;
      if (bytes > this.#bytesMax) return nth;
    }
    return most;
  }

  /** Copies stretches of records between which stands what stands between records of a batch, in one piece. */
  #append({ bytes, spans }: PackedRecords, place: number, count: number): void {
    const { separator } = this.#frame;
    const own = this.#spans.words(count * 2);
    const to = (place + count) * 2;
    for (let from = place * 2, at = this.#records * 2; from < to; ) {
      if (at > 0) this.#bytes.append(separator, 0, separator.length);
      const first = spans[from]!;
      const moved = this.#bytes.length - first;
      let end = first;
      do {
        own[at++] = spans[from++]! + moved;
        end = spans[from++]!;
        own[at++] = end + moved;
      } while (from < to && isSeparated(bytes, end, spans[from]!, separator));
      this.#bytes.append(bytes, first, end);
    }
  }
}

interface Frame {
  readonly head: Uint8Array;
  readonly separator: Uint8Array;
  readonly tail: Uint8Array;
}

function frameOf(shape: Shape, accepts: readonly Framing[]): Frame {
  const { head, separator, tail } = framingOf(shape, accepts);
  const encoder = new TextEncoder();
  return { head: encoder.encode(head), separator: encoder.encode(separator), tail: encoder.encode(tail) };
}

/** Whether between two records stands the separator, and nothing else. */
function isSeparated(bytes: Uint8Array, end: number, next: number, separator: Uint8Array): boolean {
  if (next - end !== separator.length) return false;
  for (let at = 0; at < separator.length; at++) if (bytes[end + at] !== separator[at]) return false;
  return true;
}

function isSameShape(one: Shape, other: Shape): boolean {
  if (one.format !== other.format) return false;
  if (one.columns !== other.columns && one.columns?.join('\0') !== other.columns?.join('\0')) return false;
  if (one.types === other.types) return true;
  return one.types !== undefined && other.types !== undefined && sameColumns(one.types, other.types);
}

/** Bytes that grow at their end and are taken in one piece, as long as they are. */
class Growing {
  readonly #rooms: BatchRooms;
  readonly #foreseen: (length: number) => number;
  #bytes: Buffer;
  #words: Uint32Array;
  #length = 0;

  /** `foreseen`: how long it will be, once it is so long that it has to be moved. */
  constructor(size: number, foreseen: (length: number) => number, rooms = new BatchRooms()) {
    this.#rooms = rooms;
    this.#foreseen = foreseen;
    this.#bytes = rooms.take(size);
    this.#words = wordsOf(this.#bytes);
  }

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    if (end === start) return;
    this.#makeRoom(end - start);
    this.#bytes.set(bytes.subarray(start, end), this.#length);
    this.#length += end - start;
  }

  /** So many numbers more. All numbers, for the caller to write the last ones. */
  words(more: number): Uint32Array {
    this.#makeRoom(more * Uint32Array.BYTES_PER_ELEMENT);
    this.#length += more * Uint32Array.BYTES_PER_ELEMENT;
    return this.#words;
  }

  /** Small ones are copied and the room is used again; of large ones the room itself goes, since copying costs more. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    if (taken.length < ROOM_BYTES_MIN || taken.length * 2 < this.#bytes.length) return copyOf(taken);
    // The next batch is likely to be as long.
    this.#turnTo(this.#rooms.take(taken.length + (taken.length >>> 4)));
    return taken;
  }

  #makeRoom(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const smaller = this.#bytes;
    this.#turnTo(this.#rooms.take(Math.max(needed, smaller.length * 2, this.#foreseen(needed))));
    this.#bytes.set(smaller.subarray(0, this.#length));
    this.#rooms.giveBack(smaller);
  }

  #turnTo(room: Buffer): void {
    this.#bytes = room;
    this.#words = wordsOf(room);
  }
}

/** A room begins where its memory does, and is a multiple of a number long. */
const wordsOf = ({ buffer }: Buffer): Uint32Array => new Uint32Array(buffer);

function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
