import { Buffer } from 'node:buffer';
import { Readable } from 'node:stream';
import { describeError, ownHint, RefusedError, WaybillError } from '../../model/errors.ts';
import { parsed } from '../../objects/books.ts';
import { discoverRecords } from '../../objects/discovery.ts';
import { byName, fitsPattern, isPattern, plainBeginning } from '../../objects/paths.ts';
import type { PullOptions } from '../../objects/pulls.ts';
import { readingSource } from '../../objects/reading.ts';
import type { FileParts, FileVersion, FoundFile, VersionedFile, VersionedShelf } from '../../objects/shelf.ts';
import { objectSource } from '../../objects/source.ts';
import { inflated, type ReadLimits } from '../../objects/unpack.ts';
import type { Discovered, Source } from '../connector.ts';
import { Bucket, type ListedVersion } from './bucket.ts';
import type { S3Connection } from './connection.ts';
import { lateMemory } from './late-memory.ts';
import { partOf } from './parts.ts';

export interface S3SourceOptions extends Omit<PullOptions, 'shelf' | 'late'>, ReadLimits {
  readonly connection: S3Connection;
  /** `pattern` names manifests, and what they list is read. */
  readonly manifest: boolean;
  /** How often a pull lists names that it has passed. */
  readonly lateMinutes: number;
}

const PIECE_BYTES = 1024 * 1024;

/** Reads the records of one object or of many, in order of their names; in a pull, what is new of them. */
export function s3Source({ connection, inflatedBytesMax, manifest, lateMinutes, ...more }: S3SourceOptions): Source {
  const bucket = new Bucket(connection);
  const shelf = new BucketShelf(bucket, { inflatedBytesMax }, manifest);
  const options = { ...more, shelf, late: lateMemory(lateMinutes, `${connection.bucket} ${more.pattern}`) };
  // What a manifest lists is replaced as a whole.
  const source = manifest ? readingSource(options) : objectSource(options);
  return { ...source, close: () => bucket.close() };
}

/** What the last of the objects holds, by its first records. */
export async function discoverObjects(
  { connection, inflatedBytesMax, manifest, ...options }: S3SourceOptions,
  signal: AbortSignal,
): Promise<readonly Discovered[]> {
  const bucket = new Bucket(connection);
  try {
    return await discoverRecords(
      { ...options, shelf: new BucketShelf(bucket, { inflatedBytesMax }, manifest) },
      signal,
    );
  } finally {
    await bucket.close();
  }
}

class BucketShelf implements VersionedShelf {
  readonly #bucket: Bucket;
  readonly #limits: ReadLimits;
  readonly #manifest: boolean;
  /** Every answer names the version that it is of, and a request may insist on one. */
  readonly pins = true;
  readonly parts: FileParts = {
    name: async (file, signal) => {
      const found = await asSource(file.name, this.#bucket.find(file.path, signal));
      if (found === undefined || (file.version !== undefined && file.version.tag !== found.version)) return undefined;
      const { version, keptAs } = found;
      return { file: { ...file, version: versionOf(found) }, version, ...(keptAs === undefined ? {} : { keptAs }) };
    },
    part: (range, signal) => partOf(this.#bucket, range, signal),
  };

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
    return lists.flat().sort((a, b) => byName(a.name, b.name));
  }

  async #named(pattern: string, signal: AbortSignal): Promise<readonly FoundFile[]> {
    const listed = await this.#listed(pattern, signal);
    return listed
      .filter(({ name }) => !name.endsWith('/') && fitsPattern(name, pattern))
      .map(({ name }) => ({ name, path: name }));
  }

  /** Who may read a bucket need not be allowed to list it, and one object can be asked for by its name. */
  async #listed(pattern: string, signal: AbortSignal): Promise<readonly { readonly name: string }[]> {
    try {
      return await this.#bucket.list(plainBeginning(pattern), signal);
    } catch (error) {
      if (isPattern(pattern) || !(error instanceof RefusedError) || error.reason !== 'AccessDenied') throw error;
      const found = await this.#bucket.find(pattern, signal);
      return found === undefined ? [] : [found];
    }
  }

  async listVersions(pattern: string, after: string | undefined, signal: AbortSignal): Promise<VersionedFile[]> {
    const listed = await asSource(pattern, this.#bucket.listVersions(plainBeginning(pattern), after, signal));
    return listed
      .filter(({ name }) => !name.endsWith('/') && fitsPattern(name, pattern))
      .map((one) => ({ name: one.name, path: one.name, version: versionOf(one) }));
  }

  async find(name: string, signal: AbortSignal): Promise<VersionedFile | undefined> {
    const found = await asSource(name, this.#bucket.find(name, signal));
    return found === undefined ? undefined : { name, path: name, version: versionOf(found) };
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
    const answer = this.#bucket.pieces(file.path, signal, { version: file.version?.tag });
    const pieces = gathered(piecesAsSource(file.name, answer));
    if (!/\.gz$/i.test(file.name)) return yield* pieces;
    const packed = Readable.from(pieces, { objectMode: false });
    yield* inflated(packed, { name: file.name, bytes: await this.size(file) }, this.#limits);
  }

  async open(file: FoundFile, signal: AbortSignal): Promise<Awaited<ReturnType<VersionedShelf['open']>>> {
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
    const answer = this.#bucket.pieces(file.path, signal, { part, version: file.version?.tag });
    for await (const piece of piecesAsSource(file.name, answer)) {
      bytes.set(piece, done);
      done += piece.length;
    }
    if (done === bytes.length) return bytes.buffer;
    throw new WaybillError('SOURCE_FAILED', `${file.name} has become shorter while it was read`);
  }

  async size(file: FoundFile): Promise<number> {
    if (file.version !== undefined) return file.version.bytes;
    const head = await asSource(file.name, this.#bucket.head(file.path, never()));
    if (head !== undefined) return head.bytes;
    throw new WaybillError('SOURCE_FAILED', `${this.#bucket.address(file.name)} is gone`, { ids: { path: file.name } });
  }
}

const NS_PER_MS = 1_000_000n;

function versionOf({ bytes, version, writtenMs }: ListedVersion): FileVersion {
  const writtenNs = BigInt(writtenMs) * NS_PER_MS;
  return { bytes, tag: version, writtenNs, touchedNs: writtenNs };
}

/** Where whoever asks has nothing to stop it with; the client gives up by itself in time. */
const never = (): AbortSignal => new AbortController().signal;

async function asSource<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw sourceError(what, error);
  }
}

/** The bucket speaks of what was applied, and a source applies nothing. */
async function* piecesAsSource(what: string, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    throw sourceError(what, error);
  }
}

function sourceError(what: string, error: unknown): unknown {
  if (error instanceof DOMException && error.name === 'AbortError') return error;
  if (error instanceof WaybillError && error.code === 'SOURCE_FAILED') return error;
  const [own, said] = [ownHint(error), describeError(error)];
  const details = { cause: error, ids: { path: what }, ...(own === undefined ? {} : { hint: own }) };
  return new WaybillError('SOURCE_FAILED', `cannot read ${what}: ${said}`, details);
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
