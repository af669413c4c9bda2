import type { Format } from './chunk.ts';
import type { Columns } from './columns.ts';
import { WaybillError } from './errors.ts';
import type { BatchId, RunId } from './ids.ts';

/** How records stand in the bytes of a batch: `head`, the records with `separator` between them, `tail`. */
export interface Framing {
  readonly format: Format;
  readonly head: string;
  readonly separator: string;
  readonly tail: string;
}

export const LINES: Framing = { format: 'ndjson', head: '', separator: '\n', tail: '\n' };
/** Rows of CSV as RFC 4180 has them, without a header: the names of their fields stand in `columns`. */
export const CSV_ROWS: Framing = { ...LINES, format: 'csv' };
/** Rows of binary COPY, one right behind the other: whoever sends them puts the header and the trailer around them. */
export const COPY_ROWS: Framing = { format: 'pgcopy', head: '', separator: '', tail: '' };

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
  /** The id of the ledger that it was frozen in. */
  readonly ledger: string;
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
  /** How the records are encoded. Absent: as the sink wants them best, the first of what it accepts. */
  readonly format?: Format;
  /** Names and types of the fields in order, for the formats of COPY, which cannot be read without. */
  readonly types?: Columns;
}

/** The framing of a batch. Throws CONFIG_INVALID when the sink does not take it, or does so no longer. */
export function framingOf({ format }: Pick<Payload, 'format'>, accepts: readonly Framing[]): Framing {
  const framing = format === undefined ? accepts[0] : accepts.find((one) => one.format === format);
  if (framing !== undefined) return framing;
  throw new WaybillError('CONFIG_INVALID', `the batch holds records in ${format}, and its sink does not take them`, {
    hint: 'Let the lane write where it wrote when the batch was sealed, or read the window again under another name.',
  });
}
