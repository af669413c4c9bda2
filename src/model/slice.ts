import type { Columns } from './columns.ts';
import type { RunId } from './ids.ts';
import type { Position } from './position.ts';

/**
 * What one commit of a pull has appended: the records behind `offset`, where the source stood after them, and how far
 * event time had come. In the words of Open Data Fabric one `AddData`. Written with the batches it stands for.
 */
export interface Slice {
  /**
   * Of its first record; of the next one to come where it holds none. Counted from 0 over all slices of a flow,
   * without gap or repeat.
   */
  readonly offset: number;
  readonly records: number;
  /** Of the records as they were handed on to the lanes, before any mapping; `digest`: SHA-256 of them. */
  readonly bytes: number;
  readonly digest: Uint8Array;
  /** What the source calls that which was read, such as a file: see `Chunk.closes`. */
  readonly part?: string;
  /** ISO 8601 in UTC: no event is expected before. It never goes back. */
  readonly watermark?: string;
  /** Records whose event time lay before the watermark that there was. */
  readonly late: number;
  /** Of its records. It never goes back within a flow. */
  readonly systemTimeMs: number;
  /** Names and types of all columns so far, where there are others than before. */
  readonly columns?: Columns;
}

export interface SliceRow extends Slice {
  /** Rises with time, over all flows. */
  readonly id: number;
  readonly flow: string;
  readonly run: RunId;
  readonly generation: number;
  /** Where the source stood afterwards. */
  readonly position: Position;
}

/**
 * What a flow's history is compared with: its last row of each key. The rows are written with the slice that brings
 * them. One behind the other, so that they cross to a worker in one piece: `keys` 16 bytes each; `rows` of `lengths`
 * bytes each, of those that are not removed; `kinds` one of `HISTORY`.
 */
export interface HistoryChanges {
  readonly kinds: Uint8Array;
  readonly keys: Uint8Array;
  readonly lengths: Uint32Array;
  readonly rows: Uint8Array;
}
export const HISTORY = { insert: 0, update: 1, remove: 2 } as const;

export interface HistoryRow {
  readonly key: Uint8Array;
  readonly row: Uint8Array;
}

/** What the last look at a source came to that is only read where something is new. */
export interface LookRow {
  readonly sourceName: string;
  readonly kind: 'new' | 'unchanged' | 'uncacheable';
  readonly why: string;
  readonly atMs: number;
  /** Looks since there was last anything new. */
  readonly inVain: number;
}

/** Questions about what pulls have brought. */
export interface PullReader {
  /** Oldest first; `after` is the id of the last one of the page before. */
  slices(filter: { flow: string; source?: string; after?: number; limit?: number }): Promise<readonly SliceRow[]>;
  lastSlice(flow: string): Promise<SliceRow | undefined>;
  /** All columns that the slices of a flow have brought so far; undefined before the first. */
  columns(flow: string): Promise<Columns | undefined>;
  /** Names of the parts that were committed, in no order. */
  parts(filter: { flow: string; source: string }): Promise<readonly string[]>;
  /** Those of the keys (16 bytes each, one behind the other) that the history of the flow has, in no order. */
  history(ask: { flow: string; keys: Uint8Array }): Promise<readonly HistoryRow[]>;
  /** The whole of it, in order of the keys. */
  historyAfter(ask: { flow: string; after?: Uint8Array; limit?: number }): Promise<readonly HistoryRow[]>;
  looks(flow: string): Promise<readonly LookRow[]>;
}
