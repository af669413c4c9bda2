import type { LookNotice, ReadRange } from '../connectors/connector.ts';
import type { Format } from '../model/chunk.ts';
import type { CursorPlace } from './place.ts';
import type { Bound, Stretch } from './stretch.ts';
import type { CursorRows } from './ties.ts';

/**
 * What a database has to be able to do for a source to be read by a cursor: what the values of one or more columns,
 * which only grow, lie behind those of the position. All that is read in one pull is read in one snapshot.
 */
export interface CursorSource {
  readonly columns: readonly string[];
  readonly sourceName: string;
  /** Opens a snapshot. Throws SOURCE_INVALID for columns that are not there, or cannot be a cursor. */
  open(range: ReadRange, signal: AbortSignal): Promise<CursorSession>;
}

export interface CursorSession {
  /** Types of the columns of the cursor, in the words of the server; ANY_TYPE where no row tells. */
  readonly types: readonly string[];
  /**
   * The reading stays so far behind that no row comes later with a value that was passed. Then so many rows with one
   * value that a position cannot name them are no obstacle at the end of a pull.
   */
  readonly settled: boolean;
  /** How far this pull may read. Throws SOURCE_INVALID when the values of the position are none of these types. */
  top(from: CursorPlace | undefined): Promise<Top>;
  /** Rows of a stretch in order. `as`: in this format if it can be; otherwise in the one that serves the lanes best. */
  rows(stretch: Stretch, as?: Format): AsyncIterable<CursorRows>;
  /** How many rows a stretch holds, and counted no further than `max`; `nulls`: how many rows lie in none. */
  count(stretch: Stretch | 'nulls', max: number): Promise<number>;
  end(): Promise<void>;
}

/** Of a database whose columns have no types, while there is no value. */
export const ANY_TYPE = 'any';

export interface Top {
  /** Undefined: everything there is. */
  readonly bound?: Bound;
  /** The newest value of the first column up to the bound; undefined where there is no row. */
  readonly newest?: string;
  /** The time of the server, where the first column is a time and rows beyond it are left for later. */
  readonly now?: string;
  readonly notices?: readonly LookNotice[];
}
