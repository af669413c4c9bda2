import { ERROR_CODES, type ErrorCode } from './error-codes.ts';
import type { Receipt } from './receipt.ts';

export interface ErrorDetails {
  /** What to do about it; the catalogue's advice when absent. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** The things involved, by name: `{ run: 'r3', batch: 'b17', path: '…' }`. Never record bodies, never secrets. */
  readonly ids?: Readonly<Record<string, unknown>>;
}

/** The only error that leaves a room. `code` is stable and has a page in `docs/reference/errors/`. */
export class WaybillError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly ids: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = details.hint ?? ERROR_CODES[code].hint;
    this.ids = details.ids ?? {};
  }

  /** The exit code that a command ends with when this error reaches it. */
  get exitCode(): number {
    return ERROR_CODES[this.code].exit;
  }
}

/**
 * Thrown by a sink: proved that nothing of the batch was applied (the connection was refused, the sink said "later").
 * The engine may send the same batch again.
 */
export class NotAppliedError extends WaybillError {
  /** How long the sink asked to be left alone, if it did. */
  readonly retryAfterMs: number | undefined;
  /** Counts towards the circuit breaker: the sink as a whole is away, not this batch refused. */
  readonly sinkAway: boolean;

  constructor(message: string, details: ErrorDetails & { retryAfterMs?: number; sinkAway?: boolean } = {}) {
    super('NOT_APPLIED', message, details);
    this.retryAfterMs = details.retryAfterMs;
    this.sinkAway = details.sinkAway ?? false;
  }
}

/**
 * Thrown by a sink: proved that the whole batch was refused and nothing of it applied. Sending the same bytes again
 * brings the same answer, so the engine does not; it may take the batch apart where the sink rejects atomically.
 */
export class RefusedError extends WaybillError {
  /** The sink's own code for the refusal: an HTTP status, an SQL state. */
  readonly reason: string;
  /** What the sink answered, kept as evidence. */
  readonly receipt: Receipt | undefined;
  /** The refusal is about the size of the batch: a smaller one may pass. */
  readonly tooLarge: boolean;
  /**
   * `content`: something in the batch is wrong, and records elsewhere may pass. `request`: the sink refuses whatever
   * is sent this way (a wrong token, a wrong address): no record is to blame, and the lane stops.
   */
  readonly about: 'content' | 'request';

  constructor(
    message: string,
    details: ErrorDetails & { reason: string; receipt?: Receipt; tooLarge?: boolean; about?: 'content' | 'request' },
  ) {
    super('REFUSED', message, details);
    this.reason = details.reason;
    this.receipt = details.receipt;
    this.tooLarge = details.tooLarge ?? false;
    this.about = details.about ?? 'content';
  }
}

/** The message of anything thrown, with the causes that say more than the message does. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error, depth = 0; at !== undefined && depth < 4; depth++) {
    const text = at instanceof Error ? at.message || at.name : String(at);
    if (text !== '' && !parts.some((part) => part.includes(text))) parts.push(text);
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(': ');
}

/** What can be done about an error, where it knows more than the catalogue. */
export const ownHint = (error: unknown): string | undefined =>
  error instanceof WaybillError && error.hint !== ERROR_CODES[error.code].hint ? error.hint : undefined;

/** The same as `describeError` for whoever gets nothing but a text: what can be done about it stands behind it. */
export function describeWithAdvice(error: unknown): string {
  const [said, hint] = [describeError(error), ownHint(error)];
  return hint === undefined ? said : `${said.replace(/\.$/, '')}. ${hint}`;
}
