import type { Chunk, DataRecord, Format, Identities, Reject } from '../model/chunk.ts';
import type { Columns } from '../model/columns.ts';
import type { IdentityRoom } from './identity-room.ts';

/**
 * What the engine and the connectors ask of the formats. Chunks go in, chunks come out; objects exist only where a
 * mapping or a change of format needs them.
 */
export interface IdentifyOptions {
  /** The columns whose values are the record's key, in order; null: content and occurrence stand for it. */
  readonly key: readonly string[] | null;
  /** The ledger's secret: 16 bytes. */
  readonly seed: Uint8Array;
  /** Columns that do not count when two versions of a record are compared. */
  readonly exclude?: readonly string[];
  /**
   * Digests by column even where none is left out: the same for the same row in every format in which its types are
   * known. Off: digests of the bytes, which cost less and tell two spellings apart.
   */
  readonly byColumn?: boolean;
  /** Where they are put; then they are good until those of another chunk are put there. */
  readonly room?: IdentityRoom;
}
export type Identify = (chunk: Chunk, options: IdentifyOptions) => Identities;

/** A pure change of records on their way to one lane; its digest is in the ledger. */
export interface Mapping {
  /** SHA-256, in hex, of what it does. `none` for no mapping. */
  readonly digest: string;
  /** It is a program: nobody but its author knows whether it makes the same of a record twice. */
  readonly free?: true;
  /** The field in which it hands on the values of a column as they are. Absent: nobody knows. */
  sentAs?(column: string): string | undefined;
  /** Undefined leaves the record out of this lane: it is counted as skipped. */
  apply(record: DataRecord): DataRecord | undefined;
}

/** Records in another format. Record i came from record `from[i]` of the chunk; `failed` ones are in no other list. */
export interface Converted {
  readonly format: Format;
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  readonly count: number;
  readonly columns?: readonly string[];
  /** Names and types of the fields, where they are known. */
  readonly types?: Columns;
  /** Absent: all records, in order. */
  readonly from?: Uint32Array;
  /** Left out by the mapping. */
  readonly dropped: readonly number[];
  /** Could not be mapped or encoded; `row` is the place in the chunk, 0-based. */
  readonly failed: readonly Reject[];
}
export type Convert = (chunk: Chunk, to: Format, mapping?: Mapping) => Converted;

/** Cuts a stream of bytes into chunks of whole records. One framer a file or stream; `end` gives the rest. */
export interface Framer {
  push(bytes: Uint8Array): readonly FramedChunk[];
  end(): readonly FramedChunk[];
}
/** Of formats in whose sources reading goes on in the middle. */
export interface PlacedFramer extends Framer {
  /** No chunk that is still to come ends before this byte of the source, however long a record is that is dropped. */
  readonly settled: number;
  /**
   * Where the next bytes may be written to stand right behind what is kept back, so that pushing them copies nothing;
   * undefined where that would cost more than it spares. `take` answers with memory that nobody else needs.
   */
  room?(take: (bytes: number) => Uint8Array): Uint8Array | undefined;
}
/** Of formats whose records are lines: what is there can be read before the last record is whole. */
export interface GrowingFramer extends PlacedFramer {
  /** The records that are whole; what follows the last of them is kept until more comes. */
  whole(): readonly FramedChunk[];
  /** Bytes of the source up to where nothing is kept back: no record to come, dropped or not, begins before. */
  readonly offset: number;
}
/**
 * A chunk whose place in the source its connector still has to fill in. `endOffset`: bytes consumed up to its end.
 * `startOffset`: where reading can begin to bring this chunk first. It may lie behind the end of the one before, where
 * nothing but blank lines stands between them. Absent: at the end of the one before, and nowhere else.
 */
export type FramedChunk = Omit<Chunk, 'end'> & { readonly endOffset: number; readonly startOffset?: number };
