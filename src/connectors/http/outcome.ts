import type { SinkConfig } from './settings.ts';

/**
 * What the status of a complete reply proves. `read`: success, the receipt tells the rest. `already`: applied before.
 * `refused`: nothing was applied, and the same bytes will bring the same answer. `later`: nothing was applied, a
 * later try may pass. `unknown`: nothing is proved.
 */
export type StatusClass = 'read' | 'already' | 'refused' | 'later' | 'unknown';

/** Answers to what a request is, not to how the server is. They prove a refusal only where nothing is half applied. */
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 413, 415, 422]);

/**
 * What a status proves, by the rules of the flow file first.
 *
 * 429 counts as "not applied" unless the flow file says otherwise: a rate limiter stands before the handler, and an
 * answer of it says that the handler was not reached. 503 can come from a server that had already begun, so it proves
 * something only where it is declared. A redirect proves nothing: 303 is what servers answer *after* they have
 * applied a form; it is never followed, since the target may be a host that the flow does not name. A 504 or 502 of a
 * gateway is the classic answer to a request that was applied.
 */
export function classOf(status: number, rules: SinkConfig['statuses'], atomic: boolean): StatusClass {
  if (rules.unknown.includes(status)) return 'unknown';
  if (rules.already.includes(status)) return 'already';
  if (rules.refused.includes(status)) return 'refused';
  if (rules.retry.includes(status)) return 'later';
  if (status >= 200 && status < 300) return 'read';
  if (rules.applied.includes(status)) return 'read';
  return atomic && REFUSALS.has(status) ? 'refused' : 'unknown';
}

/** No reply means more than this, whatever it says; who waits has a limit of its own. */
const RETRY_AFTER_MAX_MS = 7 * 86_400_000;

/** `Retry-After` in either of its forms, seconds or an HTTP date; at most a week, never below zero. */
export function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^[0-9]+(\.[0-9]+)?$/.test(text)) return Math.min(Math.round(Number(text) * 1000), RETRY_AFTER_MAX_MS);
  const atMs = /^[A-Za-z]{3}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.min(Math.max(0, atMs - nowMs), RETRY_AFTER_MAX_MS);
}
