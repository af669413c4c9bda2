import type { ConsumerInfo, JetStreamManager } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { WaybillError } from '../../model/errors.ts';
import type { Ports } from '../../model/ports.ts';

/** A message as the stream holds it. */
export interface StreamMessage {
  readonly sequence: number;
  readonly subject: string;
  /** When the server stored it: nanoseconds since 1970, in digits. */
  readonly nanoseconds: string;
  readonly data: Uint8Array;
  readonly headers: Msg['headers'];
}

export interface PullRequestsOptions {
  readonly stream: string;
  /** The server sends only what fits; all subjects when absent. */
  readonly subject?: string;
  /** Nothing heard for so long: the reading has failed. */
  readonly silenceMs: number;
  readonly ports: Pick<Ports, 'sleep'>;
}

/**
 * What may be on its way at once, twice: the next request leaves before what the last one brought is taken. A server
 * cuts off whom it cannot hand 64 MB to, so this is counted in bytes; small messages meet the other limit first.
 */
const REQUEST_BYTES = 4 * 1024 * 1024;
const REQUEST_MESSAGES = 10_000;
/** A consumer that nobody asks is forgotten by the server, and made anew when there is more room. */
const FORGOTTEN_AFTER_NS = 120e9;
/** Subject, reply and headers count as well. */
const OVERHEAD_BYTES = 64 * 1024;
const VAIN_MAX = 3;

/** How a request ended: all that it asked for, as much as there was or fitted, or nobody was there to ask. */
type Ending = 'full' | 'partly' | 'nobody';

/** Reads messages by asking for them, so many bytes at a time, through a consumer that lives only for this. */
export class PullRequests {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #options: PullRequestsOptions;
  readonly #inbox: string;
  #request: Request | undefined;
  #consumer: ConsumerInfo | undefined;
  #delivered = 0;

  constructor(connection: NatsConnection, manager: JetStreamManager, inbox: string, options: PullRequestsOptions) {
    this.#connection = connection;
    this.#manager = manager;
    this.#inbox = inbox;
    this.#options = options;
  }

  /**
   * What there is after `after` up to `last`, in order; may go a little beyond `last`. Ends only when the server has
   * said that nothing is left.
   */
  async *messages(after: number, last: number, signal: AbortSignal): AsyncGenerator<readonly StreamMessage[]> {
    const subscription = this.#connection.subscribe(this.#inbox, {
      callback: (error, message) => this.#request?.take(error, message),
    });
    const stop = (): void => this.#request?.fail(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
    void this.#connection.closed().then((error) => this.#request?.fail(closedError(this.#options, error)));
    let sound = true;
    try {
      await this.#open(after + 1);
      yield* this.#all(after, last, signal);
    } catch (error) {
      sound = false;
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
      subscription.unsubscribe();
      // One that was sent ahead ends here, too.
      this.#request?.fail(failed(this.#options, 'it was left'));
      this.#request = undefined;
      const dropped = this.#drop();
      // Who has just failed to answer is not waited for.
      if (sound) await dropped;
    }
  }

  /** How many messages there are after `after`. */
  async pending(after: number): Promise<number> {
    await this.#open(after + 1);
    const pending = this.#consumer!.num_pending;
    await this.#drop();
    return pending;
  }

  async *#all(after: number, last: number, signal: AbortSignal): AsyncGenerator<readonly StreamMessage[]> {
    let at = after;
    let ahead = this.#ask();
    for (let vain = 0; at < last; ) {
      const { messages, ending } = await ahead;
      signal.throwIfAborted();
      vain = messages.length > 0 ? 0 : vain + 1;
      at = messages.at(-1)?.sequence ?? at;
      if (ending === 'nobody') await this.#open(at + 1);
      else if (messages.length === 0 && (await this.#isDone())) return;
      if (vain === VAIN_MAX) throw failed(this.#options, 'the server has messages and gives none of them');
      if (at < last) {
        ahead = this.#ask();
        // Heard when it is awaited, and of no interest when nobody gets there.
        ahead.catch(() => undefined);
      }
      if (messages.length > 0) yield messages;
    }
  }

  /** A reply that there is nothing may have other reasons; only this one ends a reading. */
  async #isDone(): Promise<boolean> {
    const { num_pending } = await this.#manager.consumers.info(this.#options.stream, this.#consumer!.name);
    return num_pending === 0;
  }

  async #open(first: number): Promise<void> {
    const { stream, subject } = this.#options;
    this.#consumer = await this.#manager.consumers.add(stream, {
      ack_policy: 'none',
      deliver_policy: 'by_start_sequence',
      opt_start_seq: first,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: FORGOTTEN_AFTER_NS,
      ...(subject === undefined ? {} : { filter_subject: subject }),
    });
    this.#delivered = 0;
  }

  async #drop(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = undefined;
    if (consumer === undefined || this.#connection.isClosed()) return;
    const deleting = this.#manager.consumers.delete(this.#options.stream, consumer.name);
    // Left alone it is forgotten a little later.
    await deleting.catch(() => undefined);
  }

  async #ask(): Promise<{ readonly messages: readonly StreamMessage[]; readonly ending: Ending }> {
    const { stream } = this.#options;
    const request = new Request(this.#options, this.#delivered);
    this.#request = request;
    const over = new AbortController();
    void request.watch(over.signal);
    const bytes = Math.max(REQUEST_BYTES, (this.#connection.info?.max_payload ?? 0) + OVERHEAD_BYTES);
    const wanted = { batch: REQUEST_MESSAGES, max_bytes: bytes, no_wait: true };
    try {
      const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${this.#consumer!.name}`;
      this.#connection.publish(subject, JSON.stringify(wanted), { reply: this.#inbox });
      const ending = await request.ended;
      this.#delivered += request.messages.length;
      return { messages: request.messages, ending };
    } finally {
      over.abort();
    }
  }
}

/** One request and what came of it. */
class Request {
  readonly messages: StreamMessage[] = [];
  readonly ended: Promise<Ending>;
  readonly #options: PullRequestsOptions;
  readonly #before: number;
  #end: (ending: Ending) => void = () => undefined;
  fail: (error: Error) => void = () => undefined;

  /** `before`: how many messages the consumer has delivered before. */
  constructor(options: PullRequestsOptions, before: number) {
    this.#options = options;
    this.#before = before;
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.fail = reject;
    });
  }

  take(error: Error | null, message: Msg): void {
    const { reply = '' } = message;
    if (error !== null) this.fail(error);
    else if (reply === '') this.#status(message);
    else this.#message(message, placeOf(reply));
  }

  #message({ subject, data, headers }: Msg, place: Place | undefined): void {
    if (place === undefined) {
      this.fail(failed(this.#options, 'a message came without its place in the stream'));
      return;
    }
    const { sequence, nanoseconds } = place;
    this.messages.push({ sequence, nanoseconds, subject, data, headers });
    if (place.delivered !== this.#before + this.messages.length) {
      this.fail(failed(this.#options, `messages were lost on the way, before ${sequence}`));
    }
    if (this.messages.length === REQUEST_MESSAGES) this.#end('full');
  }

  #status({ headers }: Msg): void {
    const { code = 0, description = '' } = headers ?? {};
    const tooLarge = code === 409 && /exceeds maxbytes/i.test(description);
    if (code === 404 || code === 408 || (tooLarge && this.messages.length > 0)) this.#end('partly');
    else if (code === 503 || /consumer deleted|leadership change/i.test(description)) this.#end('nobody');
    else if (tooLarge) this.fail(failed(this.#options, 'the next message is larger than what the server takes today'));
    // A heartbeat says nothing but that the server is there.
    else if (code !== 100) this.fail(failed(this.#options, `the server answered ${code} ${description}`));
  }

  async watch(over: AbortSignal): Promise<void> {
    const { silenceMs, ports } = this.#options;
    try {
      for (let heard = -1; heard !== this.messages.length; ) {
        heard = this.messages.length;
        await ports.sleep(silenceMs, over);
      }
      this.fail(failed(this.#options, `the server has said nothing for ${silenceMs} ms`));
    } catch (error) {
      // The request was over first.
      if (!over.aborted) this.fail(error as Error);
    }
  }
}

interface Place {
  readonly sequence: number;
  /** How many messages the consumer had delivered, with this one. */
  readonly delivered: number;
  readonly nanoseconds: string;
}

/**
 * Where a message stands, from the subject that would acknowledge it: `$JS.ACK`, stream, consumer, tries, sequence,
 * delivered, nanoseconds, pending, between dots; newer servers put a domain and an account before the stream.
 */
function placeOf(reply: string): Place | undefined {
  const parts = reply.split('.');
  const from = parts.length === 9 ? 4 : parts.length >= 11 ? 6 : undefined;
  if (from === undefined || parts[0] !== '$JS' || parts[1] !== 'ACK') return undefined;
  const [sequence, delivered] = [Number(parts[from + 1]), Number(parts[from + 2])];
  const nanoseconds = parts[from + 3] ?? '';
  const sound = Number.isSafeInteger(sequence) && Number.isSafeInteger(delivered) && /^\d{7,19}$/.test(nanoseconds);
  return sound ? { sequence, delivered, nanoseconds } : undefined;
}

const failed = ({ stream }: PullRequestsOptions, why: string): WaybillError =>
  new WaybillError('SOURCE_FAILED', `reading the stream ${stream} failed: ${why}`, { ids: { stream } });

function closedError({ stream }: PullRequestsOptions, cause: unknown): WaybillError {
  const details = { ids: { stream }, ...(cause instanceof Error ? { cause } : {}) };
  return new WaybillError('SOURCE_FAILED', `reading the stream ${stream} failed: the connection was closed`, details);
}
