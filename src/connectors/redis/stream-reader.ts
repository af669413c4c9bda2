import type { Buffer } from 'node:buffer';
import { describeError, WaybillError } from '../../model/errors.ts';
import type { Ports } from '../../model/ports.ts';
import { type RedisConnection, showPlace } from './connection.ts';
import type { Entry } from './entries.ts';
import { replyCode } from './outcome.ts';
import { Session } from './session.ts';
import type { StreamFacts } from './stream-place.ts';

export interface StreamReaderOptions {
  connection(): RedisConnection;
  readonly stream: string;
  readonly requestTimeoutMs: number;
  readonly ports: Pick<Ports, 'sleep'>;
}

/** What the server held at one moment. `facts` is undefined where there is no such stream. */
export interface Page {
  readonly facts: StreamFacts | undefined;
  readonly entries: readonly Entry[];
}

/** Asks for entries and for what there is of the stream, over one connection. */
export class StreamReader {
  readonly #options: StreamReaderOptions;
  #session: Session | undefined;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
  }

  async facts(signal: AbortSignal): Promise<StreamFacts | undefined> {
    const [facts] = await this.#ask([['XINFO', 'STREAM', this.#options.stream]], signal);
    return factsOf(facts, this.#options.stream);
  }

  /** Entries behind `after` up to `last`, and the facts of the same moment: whether they are all is known then only. */
  async page(range: { after: string; last: string; count: number }, signal: AbortSignal): Promise<Page> {
    const { stream } = this.#options;
    const replies = await this.#ask(
      [
        ['MULTI'],
        ['XINFO', 'STREAM', stream],
        ['XRANGE', stream, `(${range.after}`, range.last, 'COUNT', String(range.count)],
        ['EXEC'],
      ],
      signal,
    );
    const [facts, entries] = replies.at(-1) as readonly [unknown, unknown];
    if (entries instanceof Error) throw this.#readError(entries);
    return { facts: factsOf(facts, stream), entries: (entries as readonly [Buffer, readonly Buffer[]][]).map(entryOf) };
  }

  close(): void {
    this.#session?.giveUp('the source is closed');
    this.#session = undefined;
  }

  /** Commands that leave together. One that the server refuses is given as its error where it has no such key. */
  async #ask(commands: readonly (readonly string[])[], signal: AbortSignal): Promise<readonly unknown[]> {
    signal.throwIfAborted();
    const over = new AbortController();
    let session: Session | undefined;
    const give = (why: string) => (): void => session?.giveUp(why);
    const abort = give('the reading was stopped');
    signal.addEventListener('abort', abort, { once: true });
    const { ports, requestTimeoutMs } = this.#options;
    // Rejects only when the request was over first.
    ports
      .sleep(requestTimeoutMs, over.signal)
      .then(give(`the server took longer than ${requestTimeoutMs} ms`), () => 0);
    try {
      session = this.#session?.usable === true ? this.#session : await Session.make(this.#options.connection());
      this.#session = session;
      await session.open({ durability: 'server' });
      const asked = commands.map((command) => session!.askForBytes(command).catch(gone));
      return await Promise.all(asked);
    } catch (error) {
      signal.throwIfAborted();
      throw this.#readError(error, session?.gaveUp);
    } finally {
      over.abort();
      signal.removeEventListener('abort', abort);
    }
  }

  #readError(error: unknown, gaveUp?: string): WaybillError {
    if (error instanceof WaybillError) return error;
    const { stream } = this.#options;
    const details = { cause: error, ids: { stream } };
    const place = showPlace(this.#options.connection());
    if (replyCode(error) === 'WRONGTYPE') {
      return new WaybillError('SOURCE_INVALID', `${stream} is no stream (${place})`, details);
    }
    const why = gaveUp ?? describeError(error);
    return new WaybillError('SOURCE_FAILED', `reading the stream ${stream} failed: ${why} (${place})`, details);
  }
}

const NO_KEY = /^ERR no such key/;

/** That there is no such stream is an answer; whatever else goes wrong is not. */
function gone(error: unknown): unknown {
  if (error instanceof Error && NO_KEY.test(error.message)) return error;
  throw error;
}

const entryOf = ([id, fields]: readonly [Buffer, readonly Buffer[]]): Entry => ({ id: id.toString(), fields });

function factsOf(reply: unknown, stream: string): StreamFacts | undefined {
  if (reply instanceof Error) {
    if (NO_KEY.test(reply.message)) return undefined;
    throw reply;
  }
  const list = reply as readonly unknown[];
  const facts = new Map<string, unknown>();
  for (let at = 0; at + 1 < list.length; at += 2) facts.set(String(list[at]), list[at + 1]);
  const [first, added, last] = [facts.get('first-entry'), facts.get('entries-added'), facts.get('last-generated-id')];
  if (last === undefined) throw new WaybillError('SOURCE_FAILED', `the server says nothing of the stream ${stream}`);
  return {
    length: Number(facts.get('length')),
    first: Array.isArray(first) ? String(first[0]) : undefined,
    last: String(last),
    added: added === undefined ? undefined : Number(added),
  };
}
