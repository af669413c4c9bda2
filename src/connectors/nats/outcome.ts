import type { Answer } from '../../model/answers.ts';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';

/**
 * Codes of JetStream's answers to a message, by what they prove. These are given before anything is stored; every other
 * code may come from a store or a cluster that had begun, and proves nothing.
 */
const CODES: ReadonlyMap<number, 'later' | 'refused' | 'request'> = new Map([
  // The message is larger than the stream or the bucket takes.
  [10054, 'refused'],
  // Limits of the account or the server in memory, storage or both.
  [10002, 'later'],
  [10023, 'later'],
  [10028, 'later'],
  [10047, 'later'],
  // JetStream is off, or off for this account.
  [10076, 'request'],
  [10039, 'request'],
  // The subject belongs to another stream, the stream is sealed, or a mirror that takes nothing from outside.
  [10060, 'request'],
  [10109, 'request'],
]);

/** The store itself refused: proof only where it says that the stream is full and takes no more. */
const STORE_FAILED = 10077;
const FULL = /^maximum (messages|bytes|messages per subject) exceeded$/;

const HINTS: ReadonlyMap<number, string> = new Map([
  [10054, 'Raise the limit of the stream or the bucket, or make the record smaller.'],
  [10077, 'The stream is full and discards what is new: make room in it.'],
  [10060, 'Name the stream that takes the subject.'],
]);

interface ApiError {
  readonly message: string;
  readonly code: number;
  /** In the manner of HTTP. */
  readonly status?: number;
}

/** An error and what it was caused by, from the outside in. */
function* chain(error: unknown): Generator<Error> {
  for (let at = error, depth = 0; at instanceof Error && depth < 6; at = at.cause, depth++) yield at;
}

const named = (error: unknown, name: string): Error | undefined => [...chain(error)].find((one) => one.name === name);

const API_ERRORS: ReadonlySet<string> = new Set(['JetStreamApiError', 'StreamNotFoundError', 'ConsumerNotFoundError']);

/** What the server itself answered, if it did. */
function apiError(error: unknown): ApiError | undefined {
  return [...chain(error)].find((one) => API_ERRORS.has(one.name)) as (Error & ApiError) | undefined;
}

/** What became of one message that was handed to the connection. `gaveUp`: why this side ended that, if it did. */
export function answerOf(error: unknown, gaveUp: string | undefined): Answer {
  const api = apiError(error);
  if (api !== undefined) return answerOfCode(api);
  if (named(error, 'NoResponders') !== undefined) {
    // The server has told that nobody listens to the subject, so nobody got the message.
    const message = 'no stream listens to the subject: there is none, or it is away';
    const hint = 'If it is there: it has to take the `subject` of the sink.';
    return { kind: 'later', code: 'no-responders', message, sinkAway: true, hint };
  }
  const violation = named(error, 'PermissionViolationError');
  if (violation !== undefined && (violation as Error & { operation?: string }).operation === 'publish') {
    return { kind: 'request', code: 'permission', message: violation.message };
  }
  // Said before the message was written, while the connection was closed already.
  if (error instanceof Error && /^(Closed|Draining)ConnectionError$/.test(error.name)) {
    return { kind: 'later', code: 'closed', message: 'the connection was closed', sinkAway: true };
  }
  return { kind: 'unknown', code: 'no-answer', message: gaveUp ?? describeError(error) };
}

function answerOfCode({ code, message }: ApiError): Answer {
  const hint = HINTS.get(code);
  const said = { code: `${code}`, message, ...(hint === undefined ? {} : { hint }) };
  if (code === STORE_FAILED && FULL.test(message)) return { kind: 'later', sinkAway: true, ...said };
  const kind = CODES.get(code) ?? 'unknown';
  return { kind, ...said, ...(kind === 'later' ? { sinkAway: true } : {}) };
}

/** More replicas than a server that is alone can have, and what no server takes: told with a status of being away. */
const SETTINGS_REFUSED: ReadonlySet<number> = new Set([10074, 10052]);

/** Whether the server has refused what was asked of it, and not only for now. */
const staysSo = ({ code, status = 0 }: ApiError): boolean =>
  (status >= 400 && status < 500) || SETTINGS_REFUSED.has(code) || CODES.get(code) === 'request';

const NO_ENTRY = new Set(['AuthorizationError', 'UserAuthenticationExpiredError', 'PermissionViolationError']);

/** Before a message of the batch was handed to the connection every error proves that nothing was applied. */
export function beforeSending(error: unknown, place: string): WaybillError {
  if (error instanceof NotAppliedError || error instanceof RefusedError) return error;
  if (error instanceof WaybillError) {
    // A secret, a driver or a setting: no record is to blame, and the next one fares no better.
    return new RefusedError(error.message, { reason: error.code, about: 'request', hint: error.hint, cause: error });
  }
  if ([...chain(error)].some(({ name }) => NO_ENTRY.has(name))) {
    return new RefusedError(`${place} refuses us: ${describeError(error)}`, {
      reason: 'authorization',
      about: 'request',
      hint: 'Correct the user, the password or the credentials of the connection, or what they are allowed.',
      cause: error,
    });
  }
  const api = apiError(error);
  if (api !== undefined && staysSo(api)) {
    const missing = named(error, 'StreamNotFoundError') !== undefined;
    return new RefusedError(`${place}: ${api.message}`, {
      reason: `${api.code}`,
      about: 'request',
      hint: missing
        ? 'Make the stream or the bucket, or correct its name.'
        : 'Correct the stream or the bucket of the sink, or how the bucket is to be made (`create`).',
      cause: error,
    });
  }
  return new NotAppliedError(`${place} could not be reached, and nothing was sent`, { cause: error, sinkAway: true });
}
