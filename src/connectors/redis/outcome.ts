import type { Answer } from '../../model/answers.ts';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';

/**
 * What the first word of an error reply proves. Redis carries a command out as a whole or answers with an error, so a
 * word that the server itself uses proves that this command was not applied. A word that is not listed, and a plain
 * `ERR` in words that are not the server's, may come from a proxy in between that had passed the command on: it proves
 * nothing.
 */
type Class = 'away' | 'later' | 'request' | 'refused';

const CLASSES: Readonly<Record<string, Class>> = {
  // Loading its data, cut off from its master, a replica that takes no writes, or a disk that takes none: the server
  // as a whole is not what it should be, and says so before it carries anything out.
  LOADING: 'away',
  MASTERDOWN: 'away',
  READONLY: 'away',
  MISCONF: 'away',
  NOREPLICAS: 'away',
  CLUSTERDOWN: 'away',
  OOM: 'away',
  // A script of somebody else is running, or a slot is being moved.
  BUSY: 'later',
  TRYAGAIN: 'later',
  // The slot is another server's: this connector speaks to one server.
  MOVED: 'request',
  ASK: 'request',
  CROSSSLOT: 'request',
  NOAUTH: 'request',
  WRONGPASS: 'request',
  NOPERM: 'request',
  DENIED: 'request',
  WRONGTYPE: 'refused',
};

/** The server's own sentences behind a plain `ERR`: said of a command that it did not begin. */
const ERR_CLASSES: readonly (readonly [RegExp, Class])[] = [
  [/^ERR max number of clients reached/, 'away'],
  [
    /^ERR (unknown command|wrong number of arguments|syntax error|DB index|AUTH|Client sent AUTH|.*unbalanced)/,
    'request',
  ],
  // What a script met at its first commands, which change nothing, or has taken back.
  [/^ERR (The user executing the script|ACL failure in script)/, 'request'],
  [/^ERR (invalid expire time|The ID specified|The stream has exhausted)/, 'request'],
  [/^ERR (Protocol error|string exceeds maximum allowed size)/, 'refused'],
];

const HINTS: Readonly<Record<string, string>> = {
  MOVED: 'Name the server that holds the keys: this connector does not follow a cluster to other servers.',
  READONLY: 'The server is a replica: name its master.',
  MISCONF: 'The server cannot write to its disk and takes no writes: see its log.',
  OOM: 'The server has reached its `maxmemory`: make room, or raise it.',
  NOPERM: 'Grant the user of the connection what the guide to the Redis sink lists.',
  WRONGPASS: 'Correct the user or the password of the connection.',
  NOAUTH: 'The server asks for a password: give `password` in the connection.',
};

/** The first word of an error reply; undefined for whatever else went wrong. */
export function replyCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !isReply(error)) return undefined;
  return /^[A-Z]{2,}(?= |$)/.exec(error.message)?.[0];
}

/** Replies come as `ErrorReply` or a class below it; nothing else of the driver proves that the server spoke. */
function isReply(error: Error): boolean {
  for (let at: object | null = Object.getPrototypeOf(error); at !== null; at = Object.getPrototypeOf(at)) {
    if (at.constructor.name === 'ErrorReply') return true;
  }
  return false;
}

export function classOf(message: string): Class | undefined {
  const word = /^[A-Z]{2,}/.exec(message)?.[0] ?? '';
  if (word !== 'ERR') return CLASSES[word];
  return ERR_CLASSES.find(([pattern]) => pattern.test(message))?.[1];
}

/** What became of one command that was handed to the connection. `gaveUp`: why this side ended that, if it did. */
export function answerOf(error: unknown, gaveUp: string | undefined): Answer {
  const code = replyCode(error);
  if (code === undefined) return { kind: 'unknown', code: 'no-answer', message: gaveUp ?? describeError(error) };
  return answerOfReply((error as Error).message);
}

/** An error reply, by its text. */
export function answerOfReply(text: string): Answer {
  const code = /^[A-Z]{2,}/.exec(text)?.[0] ?? 'ERR';
  const found = classOf(text);
  const hint = HINTS[code];
  const said = { code, message: text, ...(hint === undefined ? {} : { hint }) };
  if (found === undefined) return { kind: 'unknown', ...said };
  if (found === 'away') return { kind: 'later', sinkAway: true, ...said };
  return { kind: found, ...said };
}

/** Before a command of the batch was handed to the connection every error proves that nothing was applied. */
export function beforeSending(error: unknown, place: string): WaybillError {
  if (error instanceof NotAppliedError || error instanceof RefusedError) return error;
  if (error instanceof WaybillError) {
    // A secret, a driver or a setting: no record is to blame, and the next one fares no better.
    return new RefusedError(error.message, { reason: error.code, about: 'request', hint: error.hint, cause: error });
  }
  const code = replyCode(error);
  const hint = code === undefined ? undefined : HINTS[code];
  const details = { cause: error, ...(hint === undefined ? {} : { hint }), ids: code === undefined ? {} : { code } };
  if (code !== undefined && ['request', 'refused'].includes(classOf((error as Error).message) ?? '')) {
    return new RefusedError(`${place} refuses the connection`, { ...details, reason: code, about: 'request' });
  }
  return new NotAppliedError(`${place} could not be reached, and nothing was sent`, { ...details, sinkAway: true });
}
