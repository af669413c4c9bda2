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

/** How a flow cuts what it reads: by time, not at all, or by what is new whenever somebody looks. */
export const WINDOW_KINDS = ['all', 'hour', 'day', 'week', 'month', 'year', 'pull'] as const;
export type WindowKind = (typeof WINDOW_KINDS)[number];

/** The windows of a flow that reads only what is new: they are counted, and no stretch of time. */
export const pullWindow = (nth: number): Window => ({ name: `pull-${String(nth).padStart(6, '0')}` });
export const isPull = (name: string): boolean => pullNumber(name) !== undefined;
export function pullNumber(name: string): number | undefined {
  const found = /^pull-(\d{6,15})$/.exec(name)?.[1];
  return found === undefined ? undefined : Number(found);
}

export const ALL: Window = { name: 'all' };

/** A value that a source binds to a parameter of its query; never pasted into text. */
export interface Parameter {
  readonly type: 'date' | 'timestamp' | 'text' | 'integer' | 'number' | 'boolean';
  /** As ISO 8601 text for dates and timestamps. Null where the window has no such end. */
  readonly value: string | number | boolean | null;
}
export type Parameters = Readonly<Record<string, Parameter>>;

/** Where a window stands among those of its flow: by its start, or by its number. 0 for `all`. */
export const orderOf = ({ name, start }: Window): number =>
  start === undefined ? (pullNumber(name) ?? 0) : Date.parse(start);
