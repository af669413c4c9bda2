import type { Columns } from './columns.ts';
import type { Position } from './position.ts';
import type { SourceRange } from './range.ts';

/**
 * How bytes hold records.
 * `ndjson`: one JSON object a record, spans without the line end. `csv`: RFC 4180 rows without the header, whose
 * names stand in `columns`. `pgcopy`: rows of PostgreSQL's COPY in its binary form, without header and trailer, and
 * `pgcopy-text`: lines of its text form, without the line end; their names and types stand in `types`.
 */
export type Format = 'ndjson' | 'csv' | 'pgcopy' | 'pgcopy-text';

/** A record that the source holds but that cannot be read as one: a broken line, a row with too few fields. */
export interface Reject {
  /** 1-based number of the record within its source object. */
  readonly row: number;
  /** 1-based line in the file, where the source has lines. */
  readonly line?: number;
  readonly code: string;
  readonly message: string;
}

/** Where a record stands, for people: the file, and the 1-based line in it. */
export interface Whereabouts {
  readonly file?: string;
  readonly line?: number;
}

/**
 * What travels from a source to the lanes: encoded records, 64 KiB to 1 MiB at a time. Objects are made on demand.
 * Never changed after it was handed over: several lanes read it.
 */
export interface Chunk {
  readonly format: Format;
  readonly bytes: Uint8Array;
  /** Where each record begins and ends in `bytes`: start, end, start, end… */
  readonly spans: Uint32Array;
  readonly count: number;
  /** Names of the fields in order, for formats whose records do not carry them. */
  readonly columns?: readonly string[];
  /** Names and types of the fields in order, where the source knows them; the formats of COPY cannot do without. */
  readonly types?: Columns;
  /**
   * Names and types of the columns as the source knows them, where the records are spelled as they come: for making
   * tables, and for comparing with what a sink has. `types` says the same and how to read the bytes, too.
   */
  readonly described?: Columns;
  /** 1-based number of the first record within its source object; for messages. */
  readonly firstRow: number;
  /** Where a record by its place in the chunk stands in its file; for messages, of sources that have files. */
  readonly where?: (place: number) => Whereabouts;
  /** Records that could not be read, in the same stretch of the source. */
  readonly rejects?: readonly Reject[];
  /** Where `Source.reread` finds these records again; of a source that was asked for it, and not where it cannot. */
  readonly range?: SourceRange;
  /** Where the source stands after this chunk. Undefined: a source that has no place to resume from, or not here. */
  readonly end?: Position;
  /**
   * In a pull: the part of the source that ends with this chunk, such as one file of many. What came since the part
   * before is committed for itself, together with `end`, and the name is kept: see `PullRange.taken`.
   */
  readonly closes?: string;
}

/** A chunk without records: says where the source stands when that is known only after the last record. */
export function endChunk(end: Position, more: { readonly firstRow: number; readonly closes?: string }): Chunk {
  return { format: 'ndjson', bytes: new Uint8Array(), spans: new Uint32Array(), count: 0, end, ...more };
}

/** A chunk without records: says what the columns of a source are that holds none now. */
export function columnsChunk(described: Columns): Chunk {
  return { format: 'ndjson', bytes: new Uint8Array(), spans: new Uint32Array(), count: 0, firstRow: 1, described };
}

/** A record as an object: plain values, integers beyond 2^53 as bigint, bytes as Uint8Array. Null prototype. */
export type DataRecord = Readonly<Record<string, unknown>>;

/** Bytes that a packed key takes. */
export const KEY_BYTES = 16;
/** Bytes that a record's digest takes. */
export const DIGEST_BYTES = 8;

/** `keys`: 16 bytes a record. `digests`: 8 bytes a record, of the source row. `missing`: records without a key. */
export interface Identities {
  readonly keys: Uint8Array;
  readonly digests: Uint8Array;
  readonly missing: readonly number[];
}
