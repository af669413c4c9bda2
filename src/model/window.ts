/**
 * The half-open stretch of logical time that a run covers. Its name is what people write (`2026-11-19`) and, with
 * the flow's name, what makes a run the same run. Both ends are undefined for `all`.
 */
export interface Window {
  readonly name: string;
  /** ISO 8601 in UTC, included. */
  readonly start?: string;
  /** ISO 8601 in UTC, excluded. */
  readonly end?: string;
}

/** How a flow cuts time. */
export const WINDOW_KINDS = ['all', 'hour', 'day', 'week', 'month', 'year'] as const;
export type WindowKind = (typeof WINDOW_KINDS)[number];

export const ALL: Window = { name: 'all' };

/** A value that a source binds to a parameter of its query; never pasted into text. */
export interface Parameter {
  readonly type: 'date' | 'timestamp' | 'text' | 'integer' | 'number' | 'boolean';
  /** As ISO 8601 text for dates and timestamps. Null where the window has no such end. */
  readonly value: string | number | boolean | null;
}
export type Parameters = Readonly<Record<string, Parameter>>;
