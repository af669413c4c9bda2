import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { ObjectLines, type ObjectPiece } from '../../formats/object-lines.ts';
import { type Chunk, endChunk } from '../../model/chunk.ts';
import { describeError, WaybillError } from '../../model/errors.ts';
import type { Ports } from '../../model/ports.ts';
import type { Position } from '../../model/position.ts';
import type { SourceRange } from '../../model/range.ts';
import type { Look, LookNotice, ReadRange, Source } from '../connector.ts';
import { connectTo, type Drivers, loadDrivers, type NatsConnectionOptions, showPlace } from './connection.ts';
import { PullRequests, type StreamMessage } from './pull-requests.ts';
import { addMessage, type MessageRecords } from './records.ts';
import {
  expectGoesOn,
  expectNothingRemoved,
  positionOf,
  type Sequence,
  type StreamFacts,
  sequenceOf,
} from './sequence.ts';
import { fitsSubject } from './subjects.ts';

export interface NatsSourceOptions {
  connection(): NatsConnectionOptions;
  readonly stream: string;
  /** Filters with wildcards; all subjects when there is none. */
  readonly subjects: readonly string[];
  readonly records: MessageRecords;
  readonly requestTimeoutMs: number;
  readonly ports: Pick<Ports, 'sleep'>;
}

const CHUNK_BYTES = 512 * 1024;

/**
 * Reads the messages of a stream in the order of their sequences, up to the last one that is there at the beginning.
 * Nothing is acknowledged and nothing is left on the server: where a flow stands is kept by the flow.
 */
export function natsSource(options: NatsSourceOptions): Source {
  const reader = new StreamReader(options);
  const source = positioned(options.stream);
  return {
    emits: ['ndjson'],
    resumable: true,
    read: (range, signal) => reader.read(source(range.from), range.ranges === true, signal),
    reread: (range, signal) => reader.reread(range, signal),
    pulls: {
      refuses: (position) => {
        const read = sequenceOf(position, options.stream);
        return typeof read === 'string' ? read : undefined;
      },
      look: (range) => reader.look(source(range.from)),
    },
    // What one consumer cannot count on the server is not counted.
    ...(options.subjects.length > 1 ? {} : { remaining: (range: ReadRange) => reader.remaining(source(range.from)) }),
    close: () => reader.close(),
  };
}

/** A position that says nothing about this stream is no position. */
const positioned =
  (stream: string) =>
  (from: Position | undefined): Sequence | undefined => {
    const read = from === undefined ? undefined : sequenceOf(from, stream);
    return typeof read === 'string' ? undefined : read;
  };

interface Session {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly drivers: Drivers;
}

class StreamReader {
  readonly #options: NatsSourceOptions;
  #session: Promise<Session> | undefined;

  constructor(options: NatsSourceOptions) {
    this.#options = options;
  }

  async look(from: Sequence | undefined): Promise<Look> {
    const facts = await this.#asSourceErrors(from, () => this.#facts(from));
    const { stream, subjects } = this.#options;
    if (from !== undefined && facts.last === from.sequence) {
      return { kind: 'unchanged', why: `the stream ${stream} ends at ${facts.last}, and so far it was read` };
    }
    const records = subjects.length > 0 ? undefined : messagesBehind(from, facts);
    const late = from === undefined && facts.first > 1 ? [beginsLate(stream, facts)] : [];
    return {
      kind: 'new',
      ...(records === undefined ? {} : { estimate: { records } }),
      ...(late.length === 0 ? {} : { notices: late }),
    };
  }

  async remaining(from: Sequence | undefined): Promise<{ records: number }> {
    return await this.#asSourceErrors(from, async () => {
      const facts = await this.#facts(from);
      const after = from?.sequence ?? 0;
      return { records: facts.last > after ? await (await this.#requests()).pending(after) : 0 };
    });
  }

  /** The last chunk stands at the end of the stream, though the last message that fitted may lie before. */
  async *read(from: Sequence | undefined, ranges: boolean, signal: AbortSignal): AsyncGenerator<Chunk> {
    const facts = await this.#asSourceErrors(from, () => this.#facts(from));
    const after = from?.sequence ?? 0;
    yield* this.#chunks({ from, facts, after, last: facts.last, ranges }, signal);
  }

  /** Behind `from`, up to `to`; what was removed since, or stands in another stream, is not made up for. */
  async *reread({ object, version, from, to }: SourceRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const { stream } = this.#options;
    if (object !== stream) throw otherStream(stream, object);
    const [after, last] = [Number(from), Number(to)];
    const place = { sequence: after, created: version };
    const facts = await this.#asSourceErrors(place, () => this.#facts(place));
    if (facts.last < last) expectGoesOn(stream, { sequence: last }, facts);
    yield* this.#chunks({ from: place, facts, after, last, ranges: false }, signal);
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    // Whoever asked for the session was told when it could not be had.
    await session?.then(
      ({ connection }) => connection.close(),
      () => undefined,
    );
  }

  async *#chunks(stretch: Stretch, signal: AbortSignal): AsyncGenerator<Chunk> {
    const { after, last } = stretch;
    if (last <= after) return;
    const { stream, subjects, records } = this.#options;
    const lines = new ObjectLines<number>((sequence) => `message ${sequence} of ${stream}`);
    const at = new Placing(stream, stretch);
    for await (const messages of this.#messages(stretch, signal)) {
      const wanted = subjects.length < 2 ? messages : messages.filter(({ subject }) => fitsSubject(subject, subjects));
      for (const message of wanted) {
        addMessage(lines, message, records);
        if (lines.bytes < CHUNK_BYTES) continue;
        signal.throwIfAborted();
        yield* at.placed(lines.take());
      }
    }
    signal.throwIfAborted();
    const rest = lines.take();
    yield* at.placed(rest.slice(0, -1));
    const final = rest.at(-1)?.chunk;
    yield final === undefined ? endChunk(at.position(last), { firstRow: lines.nextRow }) : at.chunk(final, last);
  }

  async *#messages(stretch: Stretch, signal: AbortSignal): AsyncGenerator<readonly StreamMessage[]> {
    const { from, after, last } = stretch;
    try {
      let passed = from === undefined ? undefined : after;
      for await (const messages of (await this.#requests()).messages(after, last, signal)) {
        if (passed !== undefined) await this.#expectWhole(passed, messages);
        passed = messages.at(-1)!.sequence;
        yield passed <= last ? messages : messages.filter(({ sequence }) => sequence <= last);
      }
      if (passed !== undefined && passed < last) await this.#expectWhole(passed, []);
    } catch (error) {
      throw signal.aborted ? signal.reason : this.#sourceError(error, from);
    }
  }

  /**
   * A gap is nothing wrong where messages were deleted, or are not among the subjects. But the beginning of the stream
   * may have been removed up to here meanwhile, and then nobody can tell whether it held something.
   */
  async #expectWhole(passed: number, messages: readonly StreamMessage[]): Promise<void> {
    let next = passed + 1;
    for (const { sequence } of messages) {
      if (sequence !== next) break;
      next += 1;
    }
    if (messages.length > 0 && messages.at(-1)!.sequence < next) return;
    expectNothingRemoved(this.#options.stream, next - 1, await this.#factsNow());
  }

  async #facts(from: Sequence | undefined): Promise<StreamFacts> {
    const facts = await this.#factsNow();
    if (from !== undefined) expectGoesOn(this.#options.stream, from, facts);
    return facts;
  }

  async #factsNow(): Promise<StreamFacts> {
    const { manager } = await this.#open();
    const { stream } = this.#options;
    const { created, state, config } = await manager.streams.info(stream);
    if (config.retention !== 'limits') {
      throw new WaybillError('SOURCE_INVALID', `the stream ${stream} removes messages when somebody has taken them`, {
        hint: `Its retention is ${config.retention}: read a stream with the retention \`limits\`, or a mirror of it.`,
        ids: { stream },
      });
    }
    const { first_seq: first, last_seq: last, messages, num_deleted: deleted = 0 } = state;
    return { created: String(created), first: Math.max(1, first), last, messages, deleted };
  }

  async #requests(): Promise<PullRequests> {
    const { connection, manager, drivers } = await this.#open();
    const { stream, subjects, requestTimeoutMs: silenceMs, ports } = this.#options;
    const [subject] = subjects.length === 1 ? subjects : [];
    const options = { stream, silenceMs, ports, ...(subject === undefined ? {} : { subject }) };
    return new PullRequests(connection, manager, drivers.transport.createInbox(), options);
  }

  /** One connection for a look and the reading that follows it; one that broke off is made anew. */
  async #open(): Promise<Session> {
    // Why an earlier one could not be had was said to whoever asked for it.
    const before = await this.#session?.catch(() => undefined);
    if (before === undefined || before.connection.isClosed()) this.#session = this.#connect();
    return await this.#session!;
  }

  async #connect(): Promise<Session> {
    const drivers = await loadDrivers();
    const where = this.#options.connection();
    try {
      const connection = await connectTo(drivers, where);
      return {
        connection,
        manager: await drivers.jetstream.jetstreamManager(connection, { checkAPI: false }),
        drivers,
      };
    } catch (cause) {
      throw new WaybillError('SOURCE_FAILED', `${showPlace(where)} cannot be reached: ${describeError(cause)}`, {
        cause,
      });
    }
  }

  async #asSourceErrors<T>(from: Sequence | undefined, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw this.#sourceError(error, from);
    }
  }

  #sourceError(error: unknown, from: Sequence | undefined): WaybillError {
    if (error instanceof WaybillError) return error;
    const { stream } = this.#options;
    const details = { cause: error, ids: { stream } };
    if (!(error instanceof Error) || error.name !== 'StreamNotFoundError') {
      const message = `reading the stream ${stream} failed: ${describeError(error)}`;
      return new WaybillError('SOURCE_FAILED', message, details);
    }
    if (from !== undefined) return new WaybillError('SOURCE_REPLACED', `the stream ${stream} is gone`, details);
    const hint = 'Correct the name of the stream, or make it.';
    return new WaybillError('SOURCE_FAILED', `there is no stream ${stream}`, { ...details, hint });
  }
}

/** Undefined where messages were deleted one by one: of those it is known only how many they are, not where. */
/** Of a stream that nobody has read from yet there is nothing to compare with but its own numbers. */
function beginsLate(stream: string, { first }: StreamFacts): LookNotice {
  const gone = first === 2 ? 'message 1 is' : `messages 1 to ${first - 1} are`;
  const before = `${gone} not in the stream ${stream} any more, and nobody has read from it before`;
  const message = `${before}: what is read begins at ${first}`;
  return { kind: 'begins-late', message };
}

function messagesBehind(from: Sequence | undefined, facts: StreamFacts): number | undefined {
  const { first, last, messages, deleted } = facts;
  const passed = from?.sequence ?? 0;
  if (passed < first) return messages;
  return deleted === 0 ? last - passed : undefined;
}

/** What is to be read: behind `after`, up to `last`. */
interface Stretch {
  readonly from: Sequence | undefined;
  readonly facts: StreamFacts;
  readonly after: number;
  readonly last: number;
  /** Chunks say where they stand. */
  readonly ranges: boolean;
}

/** Says of each chunk where it ends, and behind which message it begins. */
class Placing {
  readonly #stream: string;
  readonly #created: string;
  readonly #ranges: boolean;
  #passed: number;

  constructor(stream: string, { facts, after, ranges }: Stretch) {
    this.#stream = stream;
    this.#created = facts.created;
    this.#ranges = ranges;
    // What was gone before anybody read it belongs to no range.
    this.#passed = Math.max(after, facts.first - 1);
  }

  position(sequence: number): Position {
    return positionOf(this.#stream, { sequence, created: this.#created });
  }

  *placed(pieces: readonly ObjectPiece<number>[]): Generator<Chunk> {
    for (const { chunk, marks } of pieces) yield this.chunk(chunk, marks.at(-1)!);
  }

  chunk(chunk: Omit<Chunk, 'end'>, to: number): Chunk {
    const from = this.#passed;
    this.#passed = to;
    const end = this.position(to);
    if (!this.#ranges) return { ...chunk, end };
    const range = { object: this.#stream, version: this.#created, from, to, row: chunk.firstRow };
    return { ...chunk, range, end };
  }
}

const otherStream = (stream: string, object: string): WaybillError =>
  new WaybillError('SOURCE_REPLACED', `the flow reads the stream ${stream} now, and what was read was of ${object}`);
