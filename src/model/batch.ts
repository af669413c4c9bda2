import type { Format } from './chunk.ts';
import type { BatchId, RunId } from './ids.ts';

/** How records stand in the bytes of a batch: `head`, the records with `separator` between them, `tail`. */
export interface Framing {
  readonly format: Format;
  readonly head: string;
  readonly separator: string;
  readonly tail: string;
}

export const LINES: Framing = { format: 'ndjson', head: '', separator: '\n', tail: '\n' };

/** What a sink takes in one batch. Bytes are those of the whole encoded batch, framing included. */
export interface Limits {
  readonly recordsPerBatch: number;
  readonly bytesPerBatch?: number;
  /** How many batches of one lane may be on their way at once. */
  readonly inFlight: number;
}

/** A sealed batch as sinks and strategies see it: what it is, without its bytes. */
export interface Batch {
  readonly id: BatchId;
  readonly run: RunId;
  readonly flow: string;
  readonly window: string;
  readonly lane: string;
  /** 1-based place among the lane's batches; children come last. */
  readonly seq: number;
  readonly records: number;
  /** Of the encoded bytes, framing included. */
  readonly bytes: number;
  /** SHA-256 of the encoded bytes, in hex. Two attempts of one batch carry the same. */
  readonly digest: string;
  /** The same in every attempt of this batch, different for any other batch of any ledger. */
  readonly idempotencyKey: string;
}

/** The frozen bytes of a batch. `spans`: start and end of each record in `bytes`. */
export interface Payload {
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  /** 16 bytes a record, in order. */
  readonly keys: Uint8Array;
  /** Field names in order, where the format does not carry them. */
  readonly columns?: readonly string[];
}
