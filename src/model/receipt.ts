/** What the sink answered, kept as evidence. */
export interface Receipt {
  /** One line that names no record's content: `200, 97 of 100 applied`. */
  readonly summary: string;
  /** The sink's own id for what it did: request id, job handle, remote ids. */
  readonly reference?: string;
  /** The place that the sink now stands at, for sinks with positions. */
  readonly position?: string;
  /** The answer's beginning, kept only where something was refused or unclear. At most 10 KB. */
  readonly excerpt?: string;
}
