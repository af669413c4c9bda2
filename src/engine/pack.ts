import type { Framing, Limits } from '../model/batch.ts';
import { DIGEST_BYTES, KEY_BYTES } from '../model/chunk.ts';

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
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;
  #spans: number[] = [];
  #keys: Uint8Array[] = [];
  #source: Uint8Array[] = [];
  #payload: Uint8Array[] = [];
  #columns: readonly string[] | undefined;

  constructor(limits: Limits, framing: Framing) {
    this.#limits = limits;
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

  /** Takes the record; gives back the batch that had to be closed to make room for it, if any. */
  add(record: PackedRecord): PackedBatch | undefined {
    const length = record.end - record.start;
    const closed = this.#fits(length, record.columns) ? undefined : this.close();
    if (this.records === 0) {
      this.#columns = record.columns;
      this.#append(this.#head, 0, this.#head.length);
    } else this.#append(this.#separator, 0, this.#separator.length);
    const start = this.#length;
    this.#append(record.bytes, record.start, record.end);
    this.#spans.push(start, this.#length);
    this.#keys.push(record.keys.subarray(record.nthKey * KEY_BYTES, (record.nthKey + 1) * KEY_BYTES));
    this.#source.push(slot(record.sourceDigests, record.nthKey));
    this.#payload.push(slot(record.payloadDigests, record.nthPayload));
    return closed;
  }

  /** The open batch, if it holds anything. */
  close(): PackedBatch | undefined {
    if (this.records === 0) return undefined;
    this.#append(this.#tail, 0, this.#tail.length);
    const batch: PackedBatch = {
      bytes: this.#bytes.subarray(0, this.#length),
      spans: Uint32Array.from(this.#spans),
      keys: Buffer.concat(this.#keys),
      sourceDigests: Buffer.concat(this.#source),
      payloadDigests: Buffer.concat(this.#payload),
      records: this.records,
      ...(this.#columns === undefined ? {} : { columns: this.#columns }),
    };
    this.#bytes = Buffer.allocUnsafe(Math.max(FIRST_BYTES, this.#length));
    this.#length = 0;
    this.#spans = [];
    this.#keys = [];
    this.#source = [];
    this.#payload = [];
    return batch;
  }

  #fits(recordBytes: number, columns: readonly string[] | undefined): boolean {
    if (this.records === 0) return true;
    if (this.records >= this.#limits.recordsPerBatch) return false;
    // Records whose fields stand in another order would be misread under the first one's header.
    if (columns !== this.#columns && columns?.join('\0') !== this.#columns?.join('\0')) return false;
    const bytes = this.#length + this.#separator.length + recordBytes + this.#tail.length;
    return bytes <= (this.#limits.bytesPerBatch ?? Number.POSITIVE_INFINITY);
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const needed = this.#length + end - start;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes.subarray(start, end), this.#length);
    this.#length = needed;
  }
}

const slot = (digests: Uint8Array, nth: number): Uint8Array =>
  digests.subarray(nth * DIGEST_BYTES, (nth + 1) * DIGEST_BYTES);
