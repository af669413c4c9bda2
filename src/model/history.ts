/**
 * How what a source brings becomes history: rows that are only ever added, each with an operation, an offset, the time
 * at which it was taken in and the time at which it happened. After Open Data Fabric.
 *
 * `append`: every row is new. `ledger`: a row is new where its key is. `snapshot`: what is read is the whole, and the
 * differences to the whole before are history. `changelog-stream`: rows say themselves what they do to earlier ones.
 * `upsert-stream`: the last row of a key is what there is now.
 */
export const HISTORY_MERGES = ['append', 'ledger', 'snapshot', 'changelog-stream', 'upsert-stream'] as const;
export type HistoryMerge = (typeof HISTORY_MERGES)[number];

export interface HistorySettings {
  readonly merge: HistoryMerge;
  /** The column that says when a row happened; the time at which it is taken in when absent. */
  readonly eventTime?: string;
  /** The column in which rows of a stream say what they are; every row is an addition when it is not there. */
  readonly operation: string;
  /** Columns whose values alone make no change. */
  readonly ignore: readonly string[];
  /** `snapshot`: nothing at all may be what there is now. */
  readonly allowEmpty: boolean;
  /** Names of the columns that history adds; see `HISTORY_COLUMNS`. */
  readonly columns: HistoryColumns;
}

export interface HistoryColumns {
  readonly offset: string;
  readonly operation: string;
  readonly systemTime: string;
  /** Only where the source has no column for it. */
  readonly eventTime: string;
}
export const HISTORY_COLUMNS: HistoryColumns = {
  offset: 'offset',
  operation: 'op',
  systemTime: 'system_time',
  eventTime: 'event_time',
};

/** What a row of history does. `before` and `after` come together, in this order: one row was changed into another. */
export const OPERATION = { append: 0, retract: 1, before: 2, after: 3 } as const;
export type Operation = (typeof OPERATION)[keyof typeof OPERATION];

/** Merges that compare what is read with what there was, and so have to know rows apart. */
export const needsKey = (merge: HistoryMerge): boolean =>
  merge === 'ledger' || merge === 'snapshot' || merge === 'upsert-stream';

const SPELLED: ReadonlyMap<string, Operation> = new Map([
  ...(['+A', 'c', 'r', 'I', 'insert', 'append', '0'] as const).map((word) => [word, OPERATION.append] as const),
  ...(['-R', 'd', 'D', 'delete', 'retract', '1'] as const).map((word) => [word, OPERATION.retract] as const),
  ...(['-C', 'U-', 'update_before', 'correct-from', '2'] as const).map((word) => [word, OPERATION.before] as const),
  ...(['+C', 'u', 'U', 'U+', 'update_after', 'correct-to', '3'] as const).map((w) => [w, OPERATION.after] as const),
]);

/** The operation that a value of a source names: ODF's numbers and signs, or the words of common change streams. */
export const readOperation = (value: unknown): Operation | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint'
    ? SPELLED.get(String(value))
    : undefined;
