import { Buffer } from 'node:buffer';
import { Readable } from 'node:stream';
import { WaybillError } from '../../model/errors.ts';
import { parsed } from '../../objects/books.ts';
import { fitsPattern, plainBeginning } from '../../objects/paths.ts';
import { type ReadingOptions, readingSource } from '../../objects/reading.ts';
import type { FoundFile, Shelf } from '../../objects/shelf.ts';
import { inflated, type ReadLimits } from '../../objects/unpack.ts';
import type { Source } from '../connector.ts';
import { Bucket } from './bucket.ts';
import type { S3Connection } from './connection.ts';

export interface S3SourceOptions extends Omit<ReadingOptions, 'shelf'>, ReadLimits {
  readonly connection: S3Connection;
  /** `pattern` names manifests, and what they list is read. */
  readonly manifest: boolean;
}

const PIECE_BYTES = 1024 * 1024;

/** Reads the records of one object or of many, in order of their names. */
export function s3Source({ connection, inflatedBytesMax, manifest, ...options }: S3SourceOptions): Source {
  const bucket = new Bucket(connection);
  const shelf = new BucketShelf(bucket, { inflatedBytesMax }, manifest);
  return { ...readingSource({ ...options, shelf }), close: () => bucket.close() };
}

class BucketShelf implements Shelf {
  readonly #bucket: Bucket;
  readonly #limits: ReadLimits;
  readonly #manifest: boolean;

  constructor(bucket: Bucket, limits: ReadLimits, manifest: boolean) {
    this.#bucket = bucket;
    this.#limits = limits;
    this.#manifest = manifest;
  }

  get where(): string {
    return `in the bucket ${this.#bucket.name}`;
  }

  async list(pattern: string, signal = never()): Promise<readonly FoundFile[]> {
    const named = await asSource(pattern, this.#named(pattern, signal));
    if (!this.#manifest) return named;
    const lists = await Promise.all(named.map((file) => asSource(file.name, this.#listedBy(file.name, signal))));
    return lists.flat().sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async #named(pattern: string, signal: AbortSignal): Promise<readonly FoundFile[]> {
    const listed = await this.#bucket.list(plainBeginning(pattern), signal);
    return listed
      .filter(({ name }) => !name.endsWith('/') && fitsPattern(name, pattern))
      .map(({ name }) => ({ name, path: name }));
  }

  async #listedBy(manifest: string, signal: AbortSignal): Promise<readonly FoundFile[]> {
    const held = await this.#bucket.read(manifest, signal);
    if (held === undefined) return [];
    const start = this.#bucket.address('');
    return parsed(held.bytes, this.#bucket.address(manifest)).loads.flatMap(({ objects }) =>
      objects.map(({ object }) => {
        const name = object.startsWith(start) ? object.slice(start.length) : object;
        return { name, path: name };
      }),
    );
  }

  async *bytes(file: FoundFile, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const pieces = gathered(this.#bucket.pieces(file.path, signal));
    if (!/\.gz$/i.test(file.name)) return yield* pieces;
    const packed = Readable.from(pieces, { objectMode: false });
    yield* inflated(packed, { name: file.name, bytes: await this.size(file) }, this.#limits);
  }

  async open(file: FoundFile, signal: AbortSignal): Promise<Awaited<ReturnType<Shelf['open']>>> {
    const size = await this.size(file);
    return {
      size,
      read: (start, end) => this.#part(file, { start, end: Math.min(end, size) }, signal),
      close: async () => undefined,
    };
  }

  async #part(file: FoundFile, part: { start: number; end: number }, signal: AbortSignal): Promise<ArrayBuffer> {
    const bytes = new Uint8Array(Math.max(0, part.end - part.start));
    let done = 0;
    if (bytes.length === 0) return bytes.buffer;
    for await (const piece of this.#bucket.pieces(file.path, signal, part)) {
      bytes.set(piece, done);
      done += piece.length;
    }
    if (done === bytes.length) return bytes.buffer;
    throw new WaybillError('SOURCE_FAILED', `${file.name} has become shorter while it was read`);
  }

  async size(file: FoundFile): Promise<number> {
    const head = await asSource(file.name, this.#bucket.head(file.path, never()));
    if (head !== undefined) return head.bytes;
    throw new WaybillError('SOURCE_FAILED', `${this.#bucket.address(file.name)} is gone`, { ids: { path: file.name } });
  }
}

/** Where whoever asks has nothing to stop it with; the client gives up by itself in time. */
const never = (): AbortSignal => new AbortController().signal;

async function asSource<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    const hint = error instanceof WaybillError ? { hint: error.hint } : {};
    throw new WaybillError('SOURCE_FAILED', `cannot read ${what}`, { cause: error, ids: { path: what }, ...hint });
  }
}

/** What comes over the network comes in small pieces; records are framed in larger ones. */
async function* gathered(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (const piece of pieces) {
    held.push(piece);
    size += piece.length;
    if (size < PIECE_BYTES) continue;
    yield Buffer.concat(held);
    [held, size] = [[], 0];
  }
  if (size > 0) yield Buffer.concat(held);
}
