/**
 * Where a source stands, in the words of Open Data Fabric's source state. `kind` and `value` are open strings: one
 * that a source does not understand is carried, reported and ignored, never guessed at.
 */
export interface Position {
  readonly sourceName: string;
  readonly kind: string;
  readonly value: string;
}

/** A count of what is left, or the whole of it. Undefined fields are unknown, never zero. */
export interface Estimate {
  readonly records?: number;
  readonly bytes?: number;
}
