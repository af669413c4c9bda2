import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import type { RandomAccess } from '../../formats/parquet/read.ts';
import { parseJson } from '../../formats/rows.ts';
import { WaybillError } from '../../model/errors.ts';
import { fitsPattern } from '../../objects/paths.ts';
import { readingSource } from '../../objects/reading.ts';
import { type FileFormat, formatOf, type RecordFormat } from '../../objects/record-format.ts';
import type { FoundFile, Shelf } from '../../objects/shelf.ts';
import { inflated } from '../../objects/unpack.ts';
import { type ZipEntry, type ZipLimits, zipBytes, zipEntries } from '../../objects/zip.ts';
import type { Source } from '../connector.ts';
import { type Saved, unpackError } from './downloads.ts';

export interface DocumentOptions extends RecordFormat, ZipLimits {
  readonly single: boolean;
  readonly entries?: string | undefined;
  readonly untoldLength: 'fail' | 'accept';
}

type Packing = 'none' | 'gzip' | 'zip';

const READ_BYTES = 1024 * 1024;
const TYPES: Readonly<Record<string, FileFormat>> = {
  'text/csv': 'csv',
  'application/csv': 'csv',
  'text/tab-separated-values': 'csv',
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
  'application/x-jsonlines': 'ndjson',
  'application/json': 'json',
  'text/json': 'json',
  'application/vnd.apache.parquet': 'parquet',
};

/** The format that a `Content-Type` stands for; `application/problem+json` and its like are JSON. */
export function formatOfType(type: string | undefined): FileFormat | undefined {
  const bare = type?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return TYPES[bare] ?? (/^application\/[\w.-]+\+json$/.test(bare) ? 'json' : undefined);
}

/** By the flow file, else by the name, else by what the answer says of itself. Throws SOURCE_INVALID. */
export function documentFormat(name: string, options: RecordFormat, type: string | undefined): FileFormat {
  const told = formatOfType(type);
  try {
    return formatOf(name, options);
  } catch (error) {
    if (told === undefined) throw error;
    return told;
  }
}

/**
 * The records of a document that lies on this machine, unpacked as its first bytes say: what a server calls it and
 * what it is are often two things. Packed documents are unpacked once before, so that nothing is handed over of one
 * that turns out to be broken at its end.
 */
export async function openDocument(
  saved: Saved,
  name: string,
  options: DocumentOptions,
  signal: AbortSignal,
): Promise<Source> {
  const packing = await packingOf(saved.path);
  const shown = packing === 'gzip' && !/\.gz$/i.test(name) ? `${name}.gz` : name;
  // Which format the files of a zip have is told by their own names.
  const format = packing === 'zip' ? options.format : documentFormat(shown, options, saved.type);
  const told = packing === 'zip' || format === undefined ? options : { ...options, format };
  const shelf = new DocumentShelf(saved.path, shown, { packing, options, format: format ?? 'csv' });
  if (packing === 'none' && !saved.told) expectShown(name, format, options);
  if (packing !== 'none') await shelf.prove(signal);
  return readingSource({ ...told, shelf, pattern: '*', whenNone: 'empty', unplaced: true });
}

/** The end of a JSON document or of a Parquet file can be told from the middle of it; that of lines cannot. */
function expectShown(name: string, format: FileFormat | undefined, { untoldLength }: DocumentOptions): void {
  if (untoldLength === 'accept' || format === 'json' || format === 'parquet') return;
  throw new WaybillError('SOURCE_FAILED', `nothing shows that ${name} is whole: the answer did not say where it ends`, {
    hint: 'Have the server send Content-Length or chunks; or set `untoldLength: accept` and risk a part of it.',
  });
}

/** The whole of a document that is no larger than this; undefined where it is, or is no JSON. */
export async function smallJson({ path, bytes }: Saved, bytesMax: number): Promise<unknown> {
  const packing = await packingOf(path);
  if (bytes > bytesMax || packing === 'zip') return undefined;
  const whole = await readFile(path);
  try {
    const text = packing === 'gzip' ? gunzipSync(whole, { maxOutputLength: bytesMax }) : whole;
    return parseJson(new TextDecoder().decode(text));
  } catch {
    // What is wrong with it is for the reading to say, which comes next.
    return undefined;
  }
}

async function packingOf(path: string): Promise<Packing> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    if (bytesRead >= 2 && buffer.readUInt16BE(0) === 0x1f8b) return 'gzip';
    const mark = bytesRead === 4 ? buffer.readUInt32LE(0) : 0;
    return mark === 0x04034b50 || mark === 0x06054b50 ? 'zip' : 'none';
  } finally {
    await file.close();
  }
}

interface DocumentKind {
  readonly packing: Packing;
  readonly options: DocumentOptions;
  readonly format: FileFormat;
}

/** One document, or the files of a zip, as a place that files lie in. */
class DocumentShelf implements Shelf {
  readonly where = 'in the document';
  readonly #path: string;
  readonly #name: string;
  readonly #kind: DocumentKind;
  #entries: readonly ZipEntry[] = [];

  constructor(path: string, name: string, kind: DocumentKind) {
    this.#path = path;
    this.#name = name;
    this.#kind = kind;
  }

  async list(): Promise<readonly FoundFile[]> {
    if (this.#kind.packing !== 'zip') return [{ name: this.#name, path: '0' }];
    this.#entries = await this.#meant();
    return this.#entries.map(({ name }, nth) => ({ name, path: String(nth) }));
  }

  /** Unpacks everything once, for its checksums and lengths. */
  async prove(signal: AbortSignal): Promise<void> {
    for (const file of await this.list()) {
      for await (const _ of this.#plain(file, signal)) signal.throwIfAborted();
    }
  }

  async *bytes(file: FoundFile, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (!this.#kind.options.single || this.#formatOf(file) !== 'json') return yield* this.#plain(file, signal);
    // One record is an array of one.
    yield Buffer.from('[');
    yield* this.#plain(file, signal);
    yield Buffer.from(']');
  }

  async open(file: FoundFile, _signal: AbortSignal): Promise<RandomAccess & { close(): Promise<void> }> {
    if (this.#kind.packing === 'zip') {
      throw new WaybillError('SOURCE_INVALID', `${file.name} lies in a zip, and Parquet is read from its end`, {
        hint: 'Have it sent as it is; the columns of Parquet are packed already.',
      });
    }
    const handle = await open(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW);
    return { ...(await accessOf(handle)), close: () => handle.close() };
  }

  async size(): Promise<number> {
    const handle = await open(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return (await handle.stat()).size;
    } finally {
      await handle.close();
    }
  }

  #formatOf({ name }: FoundFile): FileFormat {
    return this.#kind.packing === 'zip' ? formatOf(name, this.#kind.options) : this.#kind.format;
  }

  async #meant(): Promise<readonly ZipEntry[]> {
    const { options } = this.#kind;
    const all = await this.#opened((file) => zipEntries(file, this.#name, options));
    const { entries: pattern } = options;
    // What some systems put beside each file says nothing of records.
    const meant = all.filter(({ name }) =>
      pattern === undefined ? !/(^|\/)(__MACOSX\/|\.)/.test(name) : fitsPattern(name, pattern),
    );
    if (meant.length > 0) return meant;
    const names = all.slice(0, 5).map(({ name }) => JSON.stringify(name));
    throw new WaybillError('SOURCE_INVALID', `${this.#name} holds no file that is meant`, {
      hint: `It holds ${names.length === 0 ? 'nothing' : names.join(', ')}. Say with \`entries\` which are meant.`,
    });
  }

  async *#plain(file: FoundFile, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { packing, options } = this.#kind;
    const handle = await open(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      if (packing === 'none') return yield* pieces(handle, signal);
      if (packing === 'zip') {
        const entry = this.#entries[Number(file.path)];
        if (entry === undefined) throw new WaybillError('SOURCE_FAILED', `${file.name} is not in ${this.#name}`);
        return yield* zipBytes(await accessOf(handle), this.#name, entry, options);
      }
      const packed = handle.createReadStream({ highWaterMark: 256 * 1024, autoClose: false });
      yield* inflated(packed, { name: this.#name, bytes: (await handle.stat()).size }, options);
    } catch (error) {
      throw unpackError(error, file.name);
    } finally {
      await handle.close();
    }
  }

  async #opened<T>(work: (file: RandomAccess) => Promise<T>): Promise<T> {
    const handle = await open(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return await work(await accessOf(handle));
    } finally {
      await handle.close();
    }
  }
}

async function accessOf(handle: FileHandle): Promise<RandomAccess> {
  const { size } = await handle.stat();
  return { size, read: (start, end) => readPart(handle, start, end) };
}

async function readPart(handle: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(Math.max(0, end - start));
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) throw new WaybillError('SOURCE_FAILED', 'the download has become shorter while it was read');
    done += bytesRead;
  }
  return bytes.buffer;
}

async function* pieces(handle: FileHandle, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (;;) {
    signal.throwIfAborted();
    // A new buffer each time: whoever frames the records may keep it and hand out parts of it.
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}
