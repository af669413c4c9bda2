import { describeError, NotAppliedError, WaybillError } from '../../model/errors.ts';
import { mask } from '../../model/masking.ts';
import { retryAfterMs } from './outcome.ts';

/** Answers that another try may not get. */
const LATER: ReadonlySet<number> = new Set([408, 421, 425, 429]);

export interface Answered {
  readonly status: number;
  header(name: string): string | undefined;
}

/** What an answer other than success says of the source. `name` holds no query and no secrets. `text`: its body. */
export function answeredWith(name: string, answer: Answered, nowMs: number, text = ''): WaybillError {
  const { status } = answer;
  const excerpt = excerptOf(text);
  const begins = excerpt === '' ? '' : `; the answer begins ${excerpt}`;
  const say = (code: ConstructorParameters<typeof WaybillError>[0], what: string, ids = {}): WaybillError =>
    new WaybillError(code, `${name} was answered with ${status}${what}${begins}`, {
      ids: { request: name, status, ...ids },
    });
  if (status === 404) return say('SOURCE_MISSING', ': there is nothing at this address');
  if (status === 410) return say('SOURCE_GONE', ': it was taken away for good');
  if (status === 401 || status === 403 || status === 407) return say('SOURCE_DENIED', ': not with these credentials');
  if (status >= 300 && status < 400) return say('SOURCE_REDIRECTED', ', a redirect that is not one to a document');
  if (LATER.has(status) || status >= 500) {
    const waitMs = retryAfterMs(answer.header('retry-after'), nowMs);
    if (waitMs === undefined) return say('SOURCE_AWAY', ': not now');
    return say('SOURCE_AWAY', `: not before ${Math.ceil(waitMs / 1000)} s have passed`, { retryAfterMs: waitMs });
  }
  return say(status >= 400 ? 'SOURCE_INVALID' : 'SOURCE_FAILED', ', which brings no document');
}

const EXCERPT_MAX = 200;
/** Of addresses that an answer repeats: a query may hold what nobody should read. */
const QUERIES = /(\/[^\s?"'<>]*)\?[^\s"'<>]*/g;
/** A page for people: its beginning says nothing. */
const HTML = /^\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|head|body)\b/i;

/**
 * The beginning of what a server says, in quotes; nothing of what only a browser reads. Masked as a whole: what is cut
 * first may end in half a secret, which nothing would find.
 */
export function excerptOf(text: string): string {
  if (HTML.test(text)) return '';
  const line = mask(text)
    .replaceAll(QUERIES, '$1')
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  if (line === '') return '';
  return `"${line.length > EXCERPT_MAX ? `${line.slice(0, EXCERPT_MAX)}…` : line}"`;
}

/** The first of these codes in what was thrown and its causes: what happened deep down says what to do. */
function codeWithin(error: unknown): WaybillError | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 6; at = at.cause, depth++) {
    if (at instanceof WaybillError && at.code !== 'NOT_APPLIED' && at.code !== 'SINK_FAILED') return at;
  }
  return undefined;
}

/** Whatever kept a request from being answered, as the source's own error. An abort stays what it is. */
export function notAnswered(name: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const within = codeWithin(error);
  if (within === error) return error;
  const denied = isDenied(error) ? error : undefined;
  const hint = (within ?? denied)?.hint;
  const code = within?.code ?? (denied === undefined ? 'SOURCE_AWAY' : 'SOURCE_DENIED');
  return new WaybillError(code, `${name} was not answered: ${plain(error)}`, {
    cause: error,
    ids: { request: name },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** A server that gives out tokens has answered, and gave none out: another try would get the same answer. */
function isDenied(error: unknown): error is NotAppliedError {
  if (!(error instanceof NotAppliedError)) return false;
  const { status } = error.ids;
  return typeof status === 'number' && !LATER.has(status) && status < 500;
}

/** The body of an answer that had begun well ended before it should. */
export function cutShort(name: string, bytes: number, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof WaybillError) return error;
  return new WaybillError('SOURCE_FAILED', `${name} was cut short after ${bytes} bytes: ${plain(error)}`, {
    cause: error,
    ids: { request: name, bytes },
  });
}

/** An address within may hold a query, and a query may hold what nobody should read. */
const plain = (error: unknown): string => describeError(error).replaceAll(/(https?:\/\/[^\s?]+)\?\S*/g, '$1');
