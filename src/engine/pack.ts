import type { Framing, Limits } from '../model/batch.ts';
import { DIGEST_BYTES, KEY_BYTES } from '../model/chunk.ts';
import { KeyTable } from './key-table.ts';

/** A full batch in memory, ready to be staged: its exact bytes, and what is known of each record. */
export interface PackedBatch {
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  readonly keys: Uint8Array;
  readonly sourceDigests: Uint8Array;
  readonly payloadDigests: Uint8Array;
  readonly records: number;
  readonly columns?: readonly string[];
}

/** One record on its way into a batch, as places in larger arrays. */
export interface PackedRecord {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly keys: Uint8Array;
  readonly nthKey: number;
  readonly sourceDigests: Uint8Array;
  readonly payloadDigests: Uint8Array;
  readonly nthPayload: number;
  readonly columns: readonly string[] | undefined;
}

const FIRST_BYTES = 32_768;

/**
 * Packs records greedily into batches, in order, under both limits of the sink. The bytes are those that will leave:
 * head, records with separators, tail. The byte limit counts all of them.
 */
export class Packer {
  readonly #limits: Limits;
  readonly #head: Uint8Array;
  readonly #separator: Uint8Array;
  readonly #tail: Uint8Array;
  /** The keys of the open batch, where each may be in it only once. */
  readonly #apart: KeyTable | undefined;
  #bytes = new Growing(FIRST_BYTES);
  #keys = new Growing(FIRST_BYTES / 8);
  #source = new Growing(FIRST_BYTES / 16);
  #payload = new Growing(FIRST_BYTES / 16);
  #spans: number[] = [];
  #columns: readonly string[] | undefined;

  /**
   * `apart`: a batch is closed when a key comes again. A sink may refuse the one version of a record for now and take
   * the other; only where they are in batches of their own does the one that is sent again come before the other.
   */
  constructor(limits: Limits, framing: Framing, how: { apart: boolean } = { apart: false }) {
    this.#limits = limits;
    this.#apart = how.apart ? new KeyTable() : undefined;
    const encoder = new TextEncoder();
    this.#head = encoder.encode(framing.head);
    this.#separator = encoder.encode(framing.separator);
    this.#tail = encoder.encode(framing.tail);
  }

  get records(): number {
    return this.#spans.length / 2;
  }

  /** Bytes of a batch that holds only a record of this length. */
  aloneBytes(recordBytes: number): number {
    return this.#head.length + recordBytes + this.#tail.length;
  }

  /** True when the record can go into no batch at all. */
  tooLarge(recordBytes: number): boolean {
    return this.aloneBytes(recordBytes) > (this.#limits.bytesPerBatch ?? Number.POSITIVE_INFINITY);
  }

  /** The open batch has a record of this key, and may have no other. */
  comesAgain(keys: Uint8Array, nthKey: number): boolean {
    return this.#apart?.has(keys, nthKey) ?? false;
  }

  /** Takes the record; gives back the batch that had to be closed to make room for it, if any. */
  add(record: PackedRecord): PackedBatch | undefined {
    const length = record.end - record.start;
    const again = this.comesAgain(record.keys, record.nthKey);
    const closed = !again && this.#fits(length, record.columns) ? undefined : this.close();
    if (this.records === 0) {
      this.#columns = record.columns;
      this.#bytes.append(this.#head, 0, this.#head.length);
    } else this.#bytes.append(this.#separator, 0, this.#separator.length);
    const start = this.#bytes.length;
    this.#bytes.append(record.bytes, record.start, record.end);
    this.#spans.push(start, this.#bytes.length);
    this.#apart?.add(record.keys, record.nthKey);
    this.#keys.append(record.keys, record.nthKey * KEY_BYTES, (record.nthKey + 1) * KEY_BYTES);
    this.#source.append(record.sourceDigests, record.nthKey * DIGEST_BYTES, (record.nthKey + 1) * DIGEST_BYTES);
    this.#payload.append(
      record.payloadDigests,
      record.nthPayload * DIGEST_BYTES,
      (record.nthPayload + 1) * DIGEST_BYTES,
    );
    return closed;
  }

  /** The open batch, if it holds anything. */
  close(): PackedBatch | undefined {
    if (this.records === 0) return undefined;
    this.#bytes.append(this.#tail, 0, this.#tail.length);
    const batch: PackedBatch = {
      bytes: this.#bytes.take(),
      spans: Uint32Array.from(this.#spans),
      keys: this.#keys.take(),
      sourceDigests: this.#source.take(),
      payloadDigests: this.#payload.take(),
      records: this.records,
      ...(this.#columns === undefined ? {} : { columns: this.#columns }),
    };
    this.#spans = [];
    this.#apart?.clear();
    return batch;
  }

  #fits(recordBytes: number, columns: readonly string[] | undefined): boolean {
    if (this.records === 0) return true;
    if (this.records >= this.#limits.recordsPerBatch) return false;
    // Records whose fields stand in another order would be misread under the first one's header.
    if (columns !== this.#columns && columns?.join('\0') !== this.#columns?.join('\0')) return false;
    const bytes = this.#bytes.length + this.#separator.length + recordBytes + this.#tail.length;
    return bytes <= (this.#limits.bytesPerBatch ?? Number.POSITIVE_INFINITY);
  }
}

/** Bytes that grow at their end and are taken in one piece, as long as they are. */
class Growing {
  #bytes: Buffer;
  #length = 0;

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafeSlow(size);
  }

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    const needed = this.#length + end - start;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes.subarray(start, end), this.#length);
    this.#length = needed;
  }

  /** A copy of its own: the room is used again. */
  take(): Uint8Array {
    const taken = Buffer.allocUnsafeSlow(this.#length);
    taken.set(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return taken;
  }
}
