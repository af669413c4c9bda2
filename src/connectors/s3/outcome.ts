import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';

/** What an answer or an error of the client says, as far as it can be told. */
export interface Reply {
  /** Undefined: there was no answer. */
  readonly status?: number;
  /** The server's own word: `NoSuchBucket`, `SlowDown`; or that of the system: `ECONNREFUSED`. */
  readonly code: string;
}

export function replyOf(error: unknown): Reply {
  const { name, code, $metadata, message } = error as {
    name?: string;
    code?: unknown;
    message?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  if (status !== undefined) return { status, code: name ?? 'UnknownError' };
  if (name === 'TimeoutError' && /establishing a connection/.test(message ?? '')) return { code: 'ETIMEDOUT_CONNECT' };
  return { code: typeof code === 'string' ? code : (name ?? 'Error') };
}

/** No connection was made, so nothing has left. */
const NEVER_LEFT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT_CONNECT',
]);
/** The server says of itself that it has not done what it was asked, and may do it later. */
const LATER = new Set([
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'TooManyRequests',
  'RequestLimitExceeded',
  'RequestTimeout',
  'IncompleteBody',
  'BadDigest',
  'ConditionalRequestConflict',
  'OperationAborted',
]);
const TOO_LARGE = new Set(['EntityTooLarge', 'MaxMessageLengthExceeded']);

/**
 * What became of a request that was to change something. A connection that broke off and an error of the server's own
 * prove nothing: the change may have been made, or may still be.
 */
export function changeError(error: unknown, what: string): WaybillError {
  if (error instanceof WaybillError) return error;
  const { status, code } = replyOf(error);
  if (code === 'CredentialsProviderError') return refused(`${what}: there are no credentials`, code, error);
  if (NEVER_LEFT.has(code)) return later(`${what}: no connection (${code})`, error);
  if (status === undefined) return unclear(`${what}: no answer (${code})`, error);
  if (LATER.has(code) || status === 409 || status === 429) return later(`${what}: ${status} ${code}`, error);
  if (status >= 500 || status < 400) return unclear(`${what}: ${status} ${code}`, error);
  return refused(`${what}: ${status} ${code}`, code, error, TOO_LARGE.has(code) || status === 413);
}

/** A question changes nothing, whatever comes of it. */
export function questionError(error: unknown, what: string): WaybillError {
  if (error instanceof WaybillError) return error;
  const { status, code } = replyOf(error);
  if (code === 'CredentialsProviderError') return refused(`${what}: there are no credentials`, code, error);
  if (status === undefined || status >= 500 || LATER.has(code)) return later(`${what}: ${status ?? ''} ${code}`, error);
  return refused(`${what}: ${status} ${code}`, code, error);
}

const later = (message: string, error: unknown): NotAppliedError =>
  new NotAppliedError(message, { ...causeOf(error), sinkAway: true });

const unclear = (message: string, error: unknown): WaybillError =>
  new WaybillError('SINK_FAILED', message, causeOf(error));

/** What a server has answered is in the message; the client's error holds the whole request, with its signature. */
const causeOf = (error: unknown): { readonly cause?: unknown } =>
  replyOf(error).status === undefined ? { cause: error } : {};

const refused = (message: string, reason: string, error: unknown, tooLarge = false): RefusedError =>
  new RefusedError(message, { reason, ...causeOf(error), tooLarge, about: tooLarge ? 'content' : 'request' });
