import { Buffer, isUtf8 } from 'node:buffer';
import { identify } from '../../formats/identify.ts';
import { rawMembers } from '../../formats/json-members.ts';
import { ObjectLines, type ObjectPiece } from '../../formats/object-lines.ts';
import { type Chunk, endChunk, type Reject } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';
import { headOf, Lines, recordIn } from './record-lines.ts';

export interface TapOutputOptions {
  /** Of the tap, for messages. */
  readonly tap: string;
  /** The stream whose records are wanted; the only one that comes when absent. */
  readonly stream?: string;
  readonly lineBytesMax: number;
  /** What becomes of the message that all earlier versions of the records are void. */
  readonly activateVersion: 'ignore' | 'fail';
  /** Where the source stands with the bookmark of a STATE; undefined where positions are of no use. */
  position?(state: string): Position;
}

/** A line of a record, kept until it is known to be one. */
interface Mark {
  readonly number: number;
  readonly line: Buffer;
}

type Message = Readonly<Record<string, unknown>>;

const CHUNK_BYTES = 512 * 1024;
/** Bookmarks that come more often than that are passed over, but for the last one. */
const STATE_BYTES = 128 * 1024;
/** Whether a key is there does not depend on the seed. */
const NO_SEED = new Uint8Array(16);

/**
 * Makes chunks of what a tap writes. A bookmark says that what came before it need not be read again, so that is where
 * a chunk ends; a tail that no bookmark has followed stands at no end until the tap has ended with success.
 */
export class TapOutput {
  readonly #options: TapOutputOptions;
  readonly #lines = new Lines();
  readonly #records = new ObjectLines<Mark>(({ number }) => `line ${number} of the tap`);
  readonly #streams = new Map<string, readonly string[]>();
  #number = 0;
  #head: Buffer | undefined;
  /** The last bookmark, and how many of the gathered records came before it. */
  #state: string | undefined;
  #sure = 0;
  /** A bookmark has come that was not handed over. */
  #due = false;
  /** Records were handed over that stand at no end yet. */
  #loose = false;

  constructor(options: TapOutputOptions) {
    this.#options = options;
  }

  /** The last bookmark that came; undefined for none. */
  get state(): string | undefined {
    return this.#state;
  }

  *push(piece: Buffer): Generator<Chunk> {
    for (const line of this.#lines.push(piece)) yield* this.#line(line);
    if (this.#lines.held > this.#options.lineBytesMax) throw this.#tooLong(this.#number + 1);
    if (this.#records.bytes >= CHUNK_BYTES) yield* this.#flush();
  }

  /** The tap has ended with success: what is left is handed over, and stands at `end`. */
  *finish(endOf: (state: string | undefined) => Position | undefined): Generator<Chunk> {
    for (const line of this.#lines.end()) yield* this.#line(line);
    this.#expectStream();
    const rest = this.#take(this.#records.count);
    const end = endOf(this.#state);
    if (end === undefined) yield* rest;
    else {
      yield* rest.slice(0, -1);
      const last = rest.at(-1);
      if (last !== undefined) yield { ...last, end };
      else if (this.#due || this.#loose) yield endChunk(end, { firstRow: this.#records.nextRow });
    }
  }

  *#line(line: Buffer): Generator<Chunk> {
    this.#number += 1;
    if (line.length > this.#options.lineBytesMax) throw this.#tooLong(this.#number);
    const span = this.#head === undefined ? undefined : recordIn(line, this.#head);
    if (span !== undefined) {
      this.#records.add(line.subarray(span.start, span.end), { number: this.#number, line });
      return;
    }
    const text = this.#textOf(line);
    if (text.trim() === '') return;
    const message = this.#read(text);
    if (message === undefined) this.#records.refuse(NOT_JSON, { number: this.#number, line });
    else yield* this.#message(message, text, line);
  }

  *#message(message: Message, text: string, line: Buffer): Generator<Chunk> {
    switch (message.type) {
      case 'RECORD':
        this.#record(message, text, line);
        return;
      case 'STATE':
        yield* this.#bookmark(message, text);
        return;
      case 'SCHEMA':
        yield* this.#schema(message);
        return;
      case 'ACTIVATE_VERSION':
        this.#version(message);
        return;
      case 'BATCH':
        throw this.#invalid('is a BATCH: records in files are not read', 'Turn batches off in the config of the tap.');
      default:
        // Taps may say more than this one understands; what it means for the records is theirs to say in a RECORD.
        if (typeof message.type !== 'string') throw this.#invalid('is no message of Singer: it has no type', RUBBISH);
    }
  }

  #record(message: Message, text: string, line: Buffer): void {
    const stream = this.#streamOf(message);
    if (!this.#streams.has(stream)) {
      throw this.#invalid(`is a record of the stream ${stream}, whose schema has not come`, RUBBISH);
    }
    if (!this.#wants(stream)) return;
    const mark = { number: this.#number, line };
    addRecord(this.#records, text, mark);
    this.#head ??= headOf(text);
  }

  *#bookmark(message: Message, text: string): Generator<Chunk> {
    if (!Object.hasOwn(message, 'value')) throw this.#invalid('is a STATE without a value', RUBBISH);
    // As it is spelled: it is the tap's own, and numbers in it keep their digits.
    this.#state = rawMembers(text).get('value') ?? 'null';
    this.#sure = this.#records.count;
    this.#due = true;
    if (this.#records.bytes >= STATE_BYTES) yield* this.#flush();
  }

  *#schema(message: Message): Generator<Chunk> {
    const stream = this.#streamOf(message);
    const keys = message.key_properties ?? [];
    const named = Array.isArray(keys) && keys.every((key) => typeof key === 'string');
    if (!named || typeof message.schema !== 'object' || message.schema === null) {
      throw this.#invalid(`is a SCHEMA of the stream ${stream} that is none`, RUBBISH);
    }
    const before = this.#streams.get(stream);
    // What was gathered is held to the keys that it came under.
    if (before !== undefined && before.join('\n') !== keys.join('\n')) yield* this.#flush(true);
    this.#streams.set(stream, keys as readonly string[]);
    const others = [...this.#streams.keys()];
    if (this.#options.stream === undefined && others.length > 1) {
      throw this.#invalid(`begins a second stream: ${shown(others)}`, 'Choose one with `stream` in the source.');
    }
  }

  #version(message: Message): void {
    if (this.#options.activateVersion === 'ignore' || !this.#wants(this.#streamOf(message))) return;
    throw this.#invalid(
      'is an ACTIVATE_VERSION: all records of earlier versions are void, and a pull only adds',
      'Load the whole table with a strategy that replaces it; or set `activateVersion: ignore` to pass it over.',
    );
  }

  #wants(stream: string): boolean {
    return this.#options.stream === undefined || stream === this.#options.stream;
  }

  /** A name that no schema came for is most likely mistyped, and would bring nothing for ever. */
  #expectStream(): void {
    const { stream, tap } = this.#options;
    if (stream === undefined || this.#streams.size === 0 || this.#streams.has(stream)) return;
    const names = shown([...this.#streams.keys()]);
    throw new WaybillError('SOURCE_INVALID', `the tap ${tap} has no stream ${stream}; it gave ${names}`, {
      ids: { tap, stream },
    });
  }

  /** Up to the last bookmark; what lies behind it only when there is too much of it to wait, or `all` is asked for. */
  *#flush(all = false): Generator<Chunk> {
    const end = this.#state === undefined ? undefined : this.#options.position?.(this.#state);
    if (this.#due && end !== undefined) {
      const sure = this.#take(this.#sure);
      yield* sure.slice(0, -1);
      const last = sure.at(-1);
      yield last === undefined ? endChunk(end, { firstRow: this.#records.nextRow }) : { ...last, end };
      [this.#due, this.#loose] = [false, false];
    }
    if (!all && this.#records.bytes < CHUNK_BYTES) return;
    const rest = this.#take(this.#records.count);
    if (rest.length > 0) this.#loose = true;
    yield* rest;
  }

  #take(count: number): readonly Omit<Chunk, 'end'>[] {
    if (count === 0) return [];
    const firstRow = this.#records.nextRow - this.#records.count;
    const pieces = this.#records.take(count);
    this.#sure = Math.max(0, this.#sure - count);
    const keys = this.#streams.get(this.#options.stream ?? [...this.#streams.keys()][0] ?? '') ?? [];
    const whole = pieces.some(({ chunk }) => chunk.rejects !== undefined) ? reread(pieces, firstRow) : pieces;
    return whole.map((piece) => (keys.length === 0 ? piece.chunk : withKeys(piece, keys)));
  }

  /** Undefined: a record that is no JSON. Whatever else is none may have been anything, and ends the reading. */
  #read(text: string): Message | undefined {
    const message = parsed(text);
    if (message !== undefined) return message;
    if (/^\s*\{\s*"type"\s*:\s*"RECORD"/.test(text) && this.#streams.size > 0) return undefined;
    throw this.#invalid('is no message of Singer', RUBBISH);
  }

  #textOf(line: Buffer): string {
    if (isUtf8(line)) return line.toString();
    throw this.#invalid('is not UTF-8 text', RUBBISH);
  }

  #streamOf(message: Message): string {
    if (typeof message.stream === 'string') return message.stream;
    throw this.#invalid(`is a ${String(message.type)} without a stream`, RUBBISH);
  }

  #tooLong(number: number): WaybillError {
    const { tap, lineBytesMax } = this.#options;
    const message = `line ${number} of the tap ${tap} is longer than ${lineBytesMax} bytes`;
    return new WaybillError('SOURCE_INVALID', message, {
      hint: 'Raise `lineBytesMax` of the source if records are meant to be so large.',
      ids: { tap, line: number },
    });
  }

  #invalid(what: string, hint: string): WaybillError {
    const { tap } = this.#options;
    const message = `line ${this.#number} of the tap ${tap} ${what}`;
    return new WaybillError('SOURCE_INVALID', message, { hint, ids: { tap, line: this.#number } });
  }
}

const RUBBISH = 'A tap writes one message a line and its log elsewhere: correct the tap, or its version.';
const NOT_JSON = { code: 'JSON_INVALID', message: 'the record is not well-formed JSON' };
const NAMES_SHOWN = 10;

const shown = (names: readonly string[]): string =>
  names.length > NAMES_SHOWN ? `${names.slice(0, NAMES_SHOWN).join(', ')} and others` : names.join(', ');

function parsed(text: string): Message | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Message) : undefined;
  } catch {
    // Whoever asked says what it makes of it.
    return undefined;
  }
}

/** The record of a message that was read in full. */
function addRecord(records: ObjectLines<Mark>, text: string, mark: Mark): void {
  const record = rawMembers(text).get('record');
  if (record === undefined) records.refuse({ code: 'RECORD_INVALID', message: 'the message has no record' }, mark);
  else records.add(Buffer.from(record), mark);
}

/** What was cut out of its line in haste and is no object there is read again with care. */
function reread(pieces: readonly ObjectPiece<Mark>[], firstRow: number): readonly ObjectPiece<Mark>[] {
  const again = new ObjectLines<Mark>(({ number }) => `line ${number} of the tap`, firstRow);
  for (const mark of pieces.flatMap(({ marks }) => marks)) {
    const text = mark.line.toString();
    if (parsed(text) === undefined) again.refuse(NOT_JSON, mark);
    else addRecord(again, text, mark);
  }
  return again.take();
}

/** A record without a value in one of the keys that its schema names is none that anybody could tell from others. */
function withKeys({ chunk, marks }: ObjectPiece<Mark>, keys: readonly string[]): Omit<Chunk, 'end'> {
  const { missing } = identify(chunk, { key: keys, seed: NO_SEED });
  if (missing.length === 0) return chunk;
  const without = new Set(missing);
  const known = new Map((chunk.rejects ?? []).map((reject) => [reject.row, reject]));
  const [spans, rejects]: [number[], Reject[]] = [[], []];
  let place = 0;
  for (const [nth, { number }] of marks.entries()) {
    const row = chunk.firstRow + nth;
    const before = known.get(row);
    if (before !== undefined) rejects.push(before);
    else {
      if (without.has(place)) {
        const message = `line ${number} of the tap: the record has no value in ${keys.join(', ')}`;
        rejects.push({ row, code: 'RECORD_INVALID', message });
      } else spans.push(chunk.spans[place * 2]!, chunk.spans[place * 2 + 1]!);
      place += 1;
    }
  }
  return { ...chunk, spans: Uint32Array.from(spans), count: spans.length / 2, rejects };
}
