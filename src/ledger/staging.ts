import { assert } from '../model/assert.ts';
import type { Framing, Payload } from '../model/batch.ts';
import type { Format } from '../model/chunk.ts';
import type { Columns } from '../model/columns.ts';
import type { RunId } from '../model/ids.ts';
import type { SourceRange } from '../model/range.ts';
import type { StagedAt } from './ledger.ts';

/**
 * Where frozen bytes lie until every record of them is decided, and after that for as long as their digests are
 * wanted for comparing. A batch is written once, in one piece, and never changed. Of a batch whose source gives its
 * records once more only the ranges are kept, with all else: its bytes are made again, and held against their digest.
 * Without any range they are in memory alone, until they are let go.
 */
export interface Staging {
  /** For messages and `waybill doctor`. */
  readonly place: string;
  writer(run: RunId, lane: string): StagingWriter;
  /** Throws STAGING_CORRUPT when the bytes are missing, cut short or altered, as far as a checksum tells. */
  read(at: StagedAt): Promise<Staged | StagedRanges>;
  /** Reads only the digests: 8 bytes a record, of the source row and of the payload. Throws as `read`. */
  digests(at: StagedAt): Promise<StagedDigests>;
  /**
   * Undefined while there is room in memory for more of what is appended; else it resolves when there is. Absent where
   * nothing is kept there.
   */
  room?(): Promise<void> | undefined;
  /** The bytes of this batch, or of all that a run has left in memory, are not asked for any more. */
  letGo?(what: StagedAt | RunId): void;
  /** Removes what no sealed batch refers to: `kept` holds every segment that the ledger knows. */
  sweep(run: RunId, kept: ReadonlySet<string>): Promise<number>;
  /** Lets go of what reading holds open; absent where that is nothing. What is read afterwards opens it again. */
  close?(): Promise<void>;
}

export interface StagedDigests {
  readonly source: Uint8Array;
  readonly payload: Uint8Array;
  /** That of the records. Digests are of their bytes, so only those of one format can be compared. */
  readonly format?: Format;
}

export interface StagingWriter {
  /** Buffers; nothing is promised before `sync`. */
  append(draft: StagedDraft): Promise<StagedAt>;
  /** Resolves when everything appended is durable, names included. Throws STAGING_WRITE. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface StagedDraft {
  readonly bytes: Uint8Array;
  /**
   * Where the source has what it takes to make the bytes again, in order: then these are written instead of them. None
   * at all: nobody can make them again, and they stay in memory until they are let go.
   */
  readonly ranges?: readonly SourceRange[];
  readonly spans: Uint32Array;
  /** 16 bytes a record. */
  readonly keys: Uint8Array;
  readonly columns?: readonly string[];
  /** As in `Payload`. */
  readonly format?: Format;
  readonly types?: Columns;
  readonly sourceDigests: Uint8Array;
  readonly payloadDigests: Uint8Array;
  /** For whoever opens the file without a ledger. */
  readonly about: { readonly flow: string; readonly window: string; readonly lane: string; readonly digest: string };
}

export type Staged = Payload & {
  readonly sourceDigests: Uint8Array;
  readonly payloadDigests: Uint8Array;
  /** SHA-256 of the bytes, in hex, as it was written beside them: tells whether this is the batch that was meant. */
  readonly digest: string;
};

/** A batch whose bytes lie with its source; without any range, nowhere. */
export type StagedRanges = Omit<Staged, 'bytes' | 'spans'> & { readonly ranges: readonly SourceRange[] };

/** For those who know that there are copies only. */
export function wholeOf(staged: Staged | StagedRanges): Staged {
  assert(!isRanges(staged), 'staged.is-a-copy');
  return staged;
}

/** The bytes are in the memory of whoever has sealed the batch, and nowhere else. */
export const isUnkept = ({ ranges }: Pick<StagedDraft, 'ranges'>): boolean => ranges?.length === 0;

export const isRanges = (staged: Staged | StagedRanges): staged is StagedRanges => 'ranges' in staged;

/** The bytes of some records of a payload, in its framing: what a child batch sends. */
export function pick(payload: Payload, picks: readonly number[], framing: Framing): Payload {
  const encoder = new TextEncoder();
  const [head, separator, tail] = [framing.head, framing.separator, framing.tail].map((part) =>
    encoder.encode(part),
  ) as [Uint8Array, Uint8Array, Uint8Array];
  let size = head.length + tail.length + separator.length * Math.max(0, picks.length - 1);
  for (const at of picks) size += payload.spans[at * 2 + 1]! - payload.spans[at * 2]!;
  const bytes = new Uint8Array(size);
  const spans = new Uint32Array(picks.length * 2);
  const keys = new Uint8Array(picks.length * 16);
  bytes.set(head, 0);
  let end = head.length;
  picks.forEach((at, nth) => {
    if (nth > 0) {
      bytes.set(separator, end);
      end += separator.length;
    }
    const record = payload.bytes.subarray(payload.spans[at * 2]!, payload.spans[at * 2 + 1]!);
    bytes.set(record, end);
    spans[nth * 2] = end;
    end += record.length;
    spans[nth * 2 + 1] = end;
    keys.set(payload.keys.subarray(at * 16, at * 16 + 16), nth * 16);
  });
  bytes.set(tail, end);
  return { bytes, spans, keys, ...shapeOf(payload) };
}

/** What says how the bytes of a payload are read; absent where it is. */
export function shapeOf({ columns, format, types }: Shape): Shape {
  return {
    ...(columns === undefined ? {} : { columns }),
    ...(format === undefined ? {} : { format }),
    ...(types === undefined ? {} : { types }),
  };
}
type Shape = Pick<Payload, 'columns' | 'format' | 'types'>;
