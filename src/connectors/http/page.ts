import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { parseJson, parseObject, rowAt } from '../../formats/rows.ts';
import type { Chunk } from '../../model/chunk.ts';
import { describeError, WaybillError } from '../../model/errors.ts';
import { framerOf } from '../../objects/record-format.ts';
import { documentFormat } from './document.ts';
import { decoded } from './downloads.ts';
import { expectNoFailure } from './failed-reply.ts';
import { leadsOn } from './leads-on.ts';
import type { OpenReply } from './open-reply.ts';
import { at } from './paths.ts';
import type { Place } from './place.ts';
import type { Stop } from './reach.ts';

/** One answer of an API that gives its records in many, small enough to be held in memory. */
export interface Page {
  /** For messages: `page 3`. */
  readonly name: string;
  readonly stop: Stop;
  /** Without positions. */
  readonly chunks: readonly Omit<Chunk, 'end'>[];
  /** Records, those that could not be read included. */
  readonly count: number;
  /** SHA-256 of the body, in hex. */
  readonly digest: string;
  /** The header `Link`. */
  readonly link: string | undefined;
  /** What stands at a path of the body: text as it is, a whole number in digits. Throws SOURCE_INVALID. */
  value(path: string): unknown;
  /** What in it leads on to another page by a name that is used for that; undefined: nothing does. */
  leadsOn(): string | undefined;
}

export interface PageAsk {
  readonly name: string;
  readonly stop: Stop;
  /** 1-based number of its first record. */
  readonly row: number;
  /** Others have been read before it: what has come so far is worth some patience. */
  readonly further: boolean;
  /** Null in the place of the list of records is a list without any, as some languages spell it. */
  readonly nullIsNone?: boolean;
}

/** What a server answers that is asked too often, or whose back end is away for a moment. */
const NOT_NOW: ReadonlySet<unknown> = new Set([429, 502, 503, 504]);
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

/** Throws the source's errors. A question may be asked again: it changes nothing. */
export async function getPage(place: Place, ask: PageAsk, signal: AbortSignal): Promise<Page> {
  const { settings, ports, waits } = place;
  let [leftMs, pauseMs] = [ask.further ? settings.patience : 0, FIRST_PAUSE_MS];
  for (;;) {
    try {
      const page = await pageOnce(place, ask, signal);
      waits?.(undefined);
      return page;
    } catch (error) {
      const waitMs = askedToWait(error, pauseMs);
      if (waitMs === undefined || waitMs > leftMs) throw error;
      leftMs -= waitMs;
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      waits?.(describeError(error));
      await ports.sleep(waitMs, signal);
    }
  }
}

/** Undefined: waiting is of no use. A server that names no time, or none at all, gets a pause all the same. */
function askedToWait(error: unknown, pauseMs: number): number | undefined {
  if (!(error instanceof WaybillError) || error.code !== 'SOURCE_AWAY') return undefined;
  const { status, throttled, retryAfterMs } = error.ids;
  if (!NOT_NOW.has(status) && throttled !== true) return undefined;
  return typeof retryAfterMs === 'number' && retryAfterMs > 0 ? retryAfterMs : pauseMs;
}

async function pageOnce(place: Place, ask: PageAsk, signal: AbortSignal): Promise<Page> {
  const reply = await place.fetcher.get({ stop: ask.stop, name: `${place.name} (${ask.name})` }, signal);
  return pageOf(place, ask, reply, await bodyOf(place, reply, signal));
}

/** Undefined where the server has nothing there. */
export async function orMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof WaybillError && error.code === 'SOURCE_MISSING') return undefined;
    throw error;
  }
}

/** The whole of a small answer. */
export async function bodyOf({ settings }: Place, reply: OpenReply, signal: AbortSignal): Promise<Buffer> {
  const limits = { bytesMax: settings.pageBytesMax, inflatedBytesMax: settings.pageBytesMax };
  const pieces: Uint8Array[] = [];
  for await (const piece of decoded(reply, limits, signal)) pieces.push(piece);
  return Buffer.concat(pieces);
}

function pageOf(place: Place, ask: PageAsk, reply: OpenReply, body: Buffer): Page {
  const failedWith = (records: number): void => {
    // Most pages hold records and no such word: those are not parsed a second time.
    if (records > 0 && !body.includes('"errors"')) return;
    expectNoFailure(looseOf(body), { name: `${ask.name} of ${place.name}`, records });
  };
  const chunks = reply.status === 204 ? [] : chunksOf(place, ask, { reply, body, failedWith });
  const named = chunks.map(({ where, rejects, ...chunk }) => ({
    ...chunk,
    where: (nth: number) => ({ ...where?.(nth), file: ask.name }),
    ...(rejects && { rejects: rejects.map((one) => ({ ...one, message: `${ask.name}: ${one.message}` })) }),
  }));
  const count = chunks.reduce((sum, { count, rejects }) => sum + count + (rejects?.length ?? 0), 0);
  failedWith(count);
  let parsed: unknown;
  return {
    name: ask.name,
    stop: reply.stop,
    chunks: named,
    count,
    digest: createHash('sha256').update(body).digest('hex'),
    link: reply.list('link'),
    value: (path) => {
      parsed ??= parsedOf(ask.name, body);
      return at(parsed, path);
    },
    leadsOn: () => leadsOn(looseOf(body), reply.list('link')),
  };
}

interface Answer {
  readonly reply: OpenReply;
  readonly body: Buffer;
  /** Throws where an answer with so many records says that it failed. */
  readonly failedWith: (records: number) => void;
}

function chunksOf(place: Place, ask: PageAsk, { reply, body, failedWith }: Answer): Omit<Chunk, 'end'>[] {
  const { settings } = place;
  const document = settings.path.split('?', 1)[0]?.split('/').at(-1) || 'page';
  const format = documentFormat(document, settings, reply.header('content-type'));
  if (format === 'parquet') throw new WaybillError('SOURCE_INVALID', `${ask.name} is Parquet, which has no pages`);
  if (!reply.saysItsEnd && format !== 'json' && settings.untoldLength === 'fail') {
    throw new WaybillError('SOURCE_FAILED', `nothing shows that ${ask.name} is whole: it did not say where it ends`, {
      hint: 'Have the server send Content-Length or chunks; or set `untoldLength: accept` and risk a part of it.',
    });
  }
  const framer = framerOf(document, { ...settings, format }, { offset: 0, row: ask.row, line: 1 });
  const whole = settings.single && format === 'json' ? Buffer.concat([Buffer.from('['), body, Buffer.from(']')]) : body;
  try {
    return [...framer.push(whole), ...framer.end()].map(({ endOffset: _, startOffset: _start, ...chunk }) => chunk);
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    if (ask.nullIsNone === true && format === 'json' && listIn(settings.recordsAt, body) === null) return [];
    failedWith(0);
    const message = `${ask.name} of ${place.name}: ${describeError(error)}`;
    throw new WaybillError(error.code, message, { hint: error.hint, cause: error });
  }
}

function parsedOf(name: string, body: Buffer): unknown {
  try {
    return parseObject(textOf(body));
  } catch (error) {
    throw new WaybillError('SOURCE_INVALID', `${name} is no JSON object, so nothing can be found in it`, {
      cause: error,
    });
  }
}

const listIn = (path: string | undefined, body: Buffer): unknown => at(looseOf(body), path ?? '');

/** Whatever a reply is: undefined where it is no JSON. */
function looseOf(body: Buffer): unknown {
  try {
    return parseJson(textOf(body));
  } catch (error) {
    if (error instanceof WaybillError && error.code === 'JSON_INVALID') return undefined;
    throw error;
  }
}

const textOf = (body: Buffer): string => new TextDecoder().decode(body).trim();

/** The cursor in the last record of a page. Undefined for a page without records. */
export function lastOf(
  { chunks, name }: Page,
  path: string,
  textOf: (value: unknown) => string | undefined,
): string | undefined {
  const chunk = chunks.findLast(({ count }) => count > 0);
  if (chunk === undefined) return undefined;
  const value = textOf(at(rowAt(chunk, chunk.count - 1), path));
  if (value !== undefined) return value;
  throw new WaybillError('SOURCE_INVALID', `the last record of ${name} has no ${path} to go on from`);
}
