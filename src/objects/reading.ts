import { crc32 } from 'node:zlib';
import type { ReadRange, Source } from '../connectors/connector.ts';
import { columnsOfCsv } from '../formats/csv-json.ts';
import type { FramedChunk } from '../formats/formats.ts';
import { type Chunk, columnsChunk, type Reject } from '../model/chunk.ts';
import type { Columns } from '../model/columns.ts';
import { describeError, WaybillError } from '../model/errors.ts';
import type { Estimate, Position } from '../model/position.ts';
import { ALL } from '../model/window.ts';
import { parquetFile } from './parquet-reading.ts';
import { byName, fillPath } from './paths.ts';
import { ReadRooms } from './read-rooms.ts';
import { emittedFormats, formatOf, framerOf, type RecordFormat, type Start } from './record-format.ts';
import { hasParts, rereading } from './rereading.ts';
import type { FoundFile, NamedFile, Shelf } from './shelf.ts';

export interface ReadingOptions extends RecordFormat {
  readonly shelf: Shelf;
  /** A path or a pattern, with `{{ window }}` and the parameters of the flow. */
  readonly pattern: string;
  /** No file at all: an error, or nothing to read. */
  readonly whenNone: 'fail' | 'empty';
  /** Nobody goes on in the middle: chunks have no positions, and what they would cost is saved. */
  readonly unplaced?: true;
}

export const FILE_POSITION = 'waybill/file-offset';
/** Of Parquet, where rows are counted instead of bytes, and the checksum is that of the footer. */
export const PARQUET_POSITION = 'waybill/parquet-row';

/**
 * Reads the records of one file or of many, in order of their names. A position names a file, the bytes of it that are
 * done and their checksum: reading goes on there only if the file still begins with the same bytes, and then with the
 * files that come after it by name. In a Parquet file it counts rows, and reading goes on in their row group.
 */
export function readingSource(options: ReadingOptions): Source {
  return {
    emits: emittedFormats(options.pattern, options),
    resumable: options.unplaced !== true,
    read: (range, signal) => new Reading(options, range, signal).chunks(),
    remaining: (range) => remaining(options, range),
    ...rereading(options),
  };
}

/** The records of one file, all of them, in chunks that say nothing of where they end. */
export async function* fileRecords(
  options: ReadingOptions,
  file: FoundFile,
  { signal, ranges = false }: { readonly signal: AbortSignal; readonly ranges?: boolean | undefined },
): AsyncGenerator<Omit<Chunk, 'end'>> {
  const reading = new Reading(options, { ...TOP_OF_ALL, ranges }, signal);
  for await (const { end: _end, ...chunk } of reading.of(file, undefined)) {
    signal.throwIfAborted();
    yield chunk;
  }
}

const TOP_OF_ALL: ReadRange = { window: ALL, parameters: {} };

class Reading {
  readonly #options: ReadingOptions;
  readonly #range: ReadRange;
  readonly #signal: AbortSignal;
  /** One after the other, files are read into the same memory: most may be far smaller than it. */
  readonly #rooms: ReadRooms | undefined;
  /** Columns of the latest file that said them and had no record. */
  #described: Columns | undefined;

  constructor(options: ReadingOptions, range: ReadRange, signal: AbortSignal) {
    this.#options = options;
    this.#range = range;
    this.#signal = signal;
    this.#rooms = range.letsGo === true ? new ReadRooms() : undefined;
  }

  async *chunks(): AsyncGenerator<Chunk> {
    const from = placeOf(this.#range.from);
    let empty = from === undefined;
    for (const file of await filesLeft(this.#options, this.#range, this.#signal)) {
      for await (const chunk of this.of(file, from?.name === file.name ? from : undefined)) {
        empty = false;
        yield chunk;
      }
    }
    if (empty && this.#described !== undefined) yield columnsChunk(this.#described);
  }

  async *of(file: FoundFile, place: Place | undefined): AsyncGenerator<Chunk> {
    this.#signal.throwIfAborted();
    try {
      if (formatOf(file.name, this.#options) === 'parquet') yield* this.#parquet(file, place);
      else {
        const passed = place === undefined ? undefined : new PassedBytes(file, place, this.#options);
        yield* this.#file(file, passed, await this.#named(file));
      }
    } catch (error) {
      throw readError(error, file);
    }
  }

  async *#parquet(file: FoundFile, from: Place | undefined): AsyncGenerator<Chunk> {
    const start = from === undefined ? undefined : { rows: from.offset, footer: from.crc };
    const { shelf, recordBytesMax } = this.#options;
    for await (const { chunk, place } of parquetFile(shelf, file, { from: start, recordBytesMax }, this.#signal)) {
      if (place.rows === 0) {
        this.#described = chunk.types;
        return;
      }
      const rejects = chunk.rejects === undefined ? {} : { rejects: named(file, chunk.rejects) };
      const done = { offset: place.rows, row: place.rows + 1, crc: place.footer, rows: true };
      yield { ...chunk, ...rejects, ...this.#end({ name: file.name, ...done }) };
    }
  }

  /** Undefined: its records can be had again only as a whole, or nobody has asked for that. */
  async #named(file: FoundFile): Promise<NamedFile | undefined> {
    const { parts } = this.#options.shelf;
    if (this.#range.ranges !== true || !hasParts(file.name, this.#options)) return undefined;
    return await parts?.name(file, this.#signal);
  }

  /**
   * Each chunk is held back until the next one, or the end of the file, shows what follows its last record and belongs
   * to it: so its position covers that, too.
   */
  async *#file(file: FoundFile, passed: PassedBytes | undefined, named: NamedFile | undefined): AsyncGenerator<Chunk> {
    const done = new DoneBytes(passed?.place, this.#options.unplaced === true);
    const ranged = (framed: FramedChunk): FramedChunk => withRange(framed, named, framer?.columns);
    let framer = passed === undefined ? framerOf(file.name, this.#options, TOP) : undefined;
    let held: Held | undefined;
    const rooms = this.#rooms;
    const isUsed = (memory: ArrayBufferLike): boolean => memory === held?.from || done.keeps(memory);
    const into = rooms && (() => framer?.room?.((bytes) => rooms.take(bytes, isUsed)));
    for await (const bytes of this.#options.shelf.bytes(named?.file ?? file, this.#signal, into)) {
      this.#signal.throwIfAborted();
      const rest = passed?.take(bytes) ?? bytes;
      if (rest.length === 0) continue;
      done.add(rest);
      framer ??= framerOf(file.name, this.#options, passed!.start());
      for (const framed of framer.push(rest)) {
        if (held !== undefined) yield this.#placed(file, held.framed, beginOf(framed, done) ?? held.done);
        held = { framed: ranged(framed), done: done.advance(framed.endOffset), from: rest.buffer };
      }
      done.advance(framer.settled);
    }
    passed?.start();
    for (const framed of framer?.end() ?? []) {
      if (held !== undefined) yield this.#placed(file, held.framed, beginOf(framed, done) ?? held.done);
      held = { framed: ranged(framed), done: done.advance(framed.endOffset) };
    }
    if (held !== undefined) yield this.#placed(file, held.framed, done.advance(done.size));
    else this.#describe(framer?.columns);
  }

  #describe(names: readonly string[] | undefined): void {
    const { types } = this.#options;
    if (names !== undefined && types !== undefined) this.#described = columnsOfCsv(names, types) ?? this.#described;
  }

  #placed(file: FoundFile, framed: FramedChunk, done: Done): Chunk {
    const { endOffset: _, startOffset: _start, where, ...rest } = framed;
    const chunk = {
      ...rest,
      where: (place: number) => ({ ...where?.(place), file: file.name }),
      ...(framed.rejects === undefined ? {} : { rejects: named(file, framed.rejects) }),
    };
    const row = chunk.firstRow + chunk.count + (chunk.rejects?.length ?? 0);
    return { ...chunk, ...this.#end({ name: file.name, row, ...done }) };
  }

  #end(place: Place): Pick<Chunk, 'end'> {
    return this.#options.unplaced === true ? {} : { end: positionOf(place, this.#options.pattern) };
  }
}

/** Chunks of lines lie in their file as one stretch; what was dropped of it is in none. */
function withRange(
  framed: FramedChunk,
  named: NamedFile | undefined,
  columns: readonly string[] | undefined,
): FramedChunk {
  const { startOffset: from, endOffset: to, firstRow: row, count } = framed;
  if (named === undefined || from === undefined || count === 0) return framed;
  const { file, version, keptAs } = named;
  const kept = keptAs === undefined ? {} : { keptAs };
  const names = columns === undefined ? {} : { columns };
  return { ...framed, range: { object: file.name, version, ...kept, from, to, row, ...names } };
}

/** A line number means little where many files are read: each reject says which one it is in. */
const named = (file: FoundFile, rejects: readonly Reject[]): readonly Reject[] =>
  rejects.map((reject) => ({ ...reject, message: `${file.name}: ${reject.message}` }));

const TOP: Start = { offset: 0, row: 1, line: 1 };

/** Bytes from the beginning of a file, and their checksum. */
interface Done {
  readonly offset: number;
  readonly crc: number;
}

/** The latest chunk, what is done at its own end, and the memory that what was pushed last lies in. */
interface Held {
  readonly framed: FramedChunk;
  readonly done: Done;
  readonly from?: ArrayBufferLike;
}

/** Of a record that was dropped the beginning is behind when its end is there. */
const beginOf = ({ startOffset }: FramedChunk, done: DoneBytes): Done | undefined =>
  startOffset === undefined || startOffset < done.offset ? undefined : done.advance(startOffset);

/** What of a file has been handed over, and its checksum; keeps the bytes behind that. */
class DoneBytes {
  readonly #pieces: Uint8Array[] = [];
  #offset: number;
  #crc: number;
  #size: number;
  /** Nobody asks for the checksum; a record without end would be kept for it as a whole. */
  readonly #unasked: boolean;

  constructor(place: Place | undefined, unasked: boolean) {
    this.#unasked = unasked;
    this.#offset = place?.offset ?? 0;
    this.#size = this.#offset;
    this.#crc = place?.crc ?? 0;
  }

  /** Bytes up to which nothing is kept any more. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes of the file that were read. */
  get size(): number {
    return this.#size;
  }

  /** Something of what lies there is still to be summed up. */
  keeps(buffer: ArrayBufferLike): boolean {
    return this.#pieces.some((piece) => piece.buffer === buffer);
  }

  add(bytes: Uint8Array): void {
    if (!this.#unasked) this.#pieces.push(bytes);
    this.#size += bytes.length;
  }

  /** Up to there, or where it is already. */
  advance(offset: number): Done {
    while (!this.#unasked && this.#offset < offset) {
      const piece = this.#pieces.shift()!;
      const part = piece.subarray(0, offset - this.#offset);
      if (part.length < piece.length) this.#pieces.unshift(piece.subarray(part.length));
      this.#crc = crc32(part, this.#crc);
      this.#offset += part.length;
    }
    return { offset: this.#offset, crc: this.#crc };
  }
}

/** Passes over what was read before: counts its lines, finds the names of the fields, checks that it is the same. */
class PassedBytes {
  readonly place: Place;
  readonly #file: FoundFile;
  #heading: ReturnType<typeof framerOf> | undefined;
  #size = 0;
  #crc = 0;
  #lines = 0;

  constructor(file: FoundFile, place: Place, options: RecordFormat) {
    this.place = place;
    this.#file = file;
    this.#heading = formatOf(file.name, options) === 'csv' ? framerOf(file.name, options, TOP) : undefined;
  }

  /** What of these bytes is still to be read. */
  take(bytes: Uint8Array): Uint8Array {
    const part = bytes.subarray(0, Math.max(0, this.place.offset - this.#size));
    if (part.length === 0) return bytes;
    if (this.#heading?.columns === undefined) this.#heading?.push(part);
    for (let at = part.indexOf(10); at !== -1; at = part.indexOf(10, at + 1)) this.#lines += 1;
    this.#crc = crc32(part, this.#crc);
    this.#size += part.length;
    return bytes.subarray(part.length);
  }

  start(): Start {
    const { offset, row, crc } = this.place;
    if (this.#size < offset) throw changed(this.#file, 'is shorter than what was read of it');
    if (this.#crc !== crc) throw changed(this.#file, 'does not begin with what was read of it');
    if (this.#heading?.columns === undefined) this.#heading?.end();
    return { offset, row, line: this.#lines + 1, columns: this.#heading?.columns };
  }
}

// ---- positions ----

interface Place {
  readonly name: string;
  /** Bytes that are done. */
  readonly offset: number;
  /** 1-based number of the next record. */
  readonly row: number;
  /** CRC-32 of the bytes that are done; of the footer in Parquet. */
  readonly crc: number;
  /** What is counted: rows of Parquet, or bytes. */
  readonly rows?: boolean;
}

function positionOf({ name, offset, row, crc, rows }: Place, pattern: string): Position {
  return {
    sourceName: pattern,
    kind: rows === true ? PARQUET_POSITION : FILE_POSITION,
    value: `${name}@${offset}@${row}@${crc.toString(16).padStart(8, '0')}`,
  };
}

function placeOf(from: Position | undefined): Place | undefined {
  if (from?.kind !== FILE_POSITION && from?.kind !== PARQUET_POSITION) return undefined;
  const match = /^(.+)@([0-9]{1,15})@([0-9]{1,15})@([0-9a-f]{8})$/s.exec(from.value);
  if (match === null) return undefined;
  const [, name = '', offset, row, crc = ''] = match;
  const rows = from.kind === PARQUET_POSITION;
  return { name, offset: Number(offset), row: Number(row), crc: Number.parseInt(crc, 16), rows };
}

async function filesLeft(
  options: ReadingOptions,
  range: ReadRange,
  signal?: AbortSignal,
): Promise<readonly FoundFile[]> {
  const pattern = patternOf(options, range);
  const files = await options.shelf.list(pattern, signal);
  if (files.length === 0) nothingFound(options, pattern);
  const from = placeOf(range.from);
  if (from === undefined) return files;
  if (!files.some(({ name }) => name === from.name))
    throw changed({ name: from.name, path: from.name }, 'is no longer there');
  return files.filter(({ name }) => byName(name, from.name) >= 0);
}

/** Throws where that is an error. */
export function nothingFound({ shelf, whenNone }: ReadingOptions, pattern: string): void {
  if (whenNone === 'empty') return;
  throw new WaybillError('SOURCE_FAILED', `no file ${shelf.where} is named by ${pattern}`, {
    hint: 'Wait until the file is there; or set `whenNone: empty` if none means that there is nothing to read.',
    ids: { pattern },
  });
}

/** The path or pattern with its values filled in. */
export const patternOf = (options: ReadingOptions, range: ReadRange): string =>
  fillPath(options.pattern, valuesOf(range));

function valuesOf({ window, parameters }: ReadRange): Readonly<Record<string, string>> {
  const values = Object.entries(parameters).map(([name, { value }]) => [name, value === null ? '' : String(value)]);
  return { ...Object.fromEntries(values), window: window.name };
}

async function remaining(options: ReadingOptions, range: ReadRange): Promise<Estimate> {
  const files = await filesLeft(options, range);
  // How much a packed file holds is known when it has been read; in Parquet everything is packed.
  if (files.some(({ name }) => /\.gz$/i.test(name) || formatOf(name, options) === 'parquet')) return {};
  const sizes = await Promise.all(files.map((file) => options.shelf.size(file)));
  return { bytes: sizes.reduce((sum, size) => sum + size, -(placeOf(range.from)?.offset ?? 0)) };
}

function changed(file: FoundFile, how: string): WaybillError {
  return new WaybillError('SOURCE_FAILED', `${file.name} ${how}`, {
    hint: 'Put the file back as it was, or read the window again from the top with `waybill run FLOW --refresh`.',
    ids: { path: file.name },
  });
}

export function readError(error: unknown, file: FoundFile): unknown {
  if (error instanceof DOMException && error.name === 'AbortError') return error;
  if (error instanceof WaybillError && error.ids.path !== undefined) return error;
  const ids = { path: file.name };
  if (!(error instanceof WaybillError))
    return new WaybillError('SOURCE_FAILED', `reading ${file.name} failed: ${describeError(error)}`, {
      cause: error,
      ids,
    });
  const { code, hint, message } = error;
  const named = message.includes(file.name) ? message : `${file.name}: ${message}`;
  return new WaybillError(code, named, { hint, cause: error, ids });
}
