import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';
import { inflated } from '../../objects/unpack.ts';
import type { OpenReply } from './open-reply.ts';
import { positionOf, type Validators, validatorsOf } from './validators.ts';

/** A document on this machine, whole and durable. */
export interface Saved extends Validators {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of its bytes, in hex. */
  readonly digest: string;
  /** The `Content-Type` it came with. */
  readonly type?: string;
  /** False: the answer did not say where it ends, so only the content can show that it is whole. */
  readonly told: boolean;
  readonly position: Position;
}

interface Note extends Omit<Saved, 'path'> {
  readonly version: 1;
  readonly definition: string;
}

export interface DownloadLimits {
  readonly bytesMax: number;
  readonly inflatedBytesMax: number;
}

/** A document on its way. */
export interface Arriving {
  readonly reply: OpenReply;
  /** Of the position that it will be known by. */
  readonly sourceName: string;
  readonly limits: DownloadLimits;
}

/** What a download is for: the same names the same file. */
export interface Purpose {
  /** SHA-256 of the source's settings, in hex. */
  readonly definition: string;
  readonly from: Pick<Position, 'kind' | 'value'> | undefined;
}

const BODY = '.body';
const NOTE = '.json';
const PART = '.part';

/**
 * Documents that were fetched, in a folder of their own. The name of each is the hash of the source's settings and of
 * the position that it was fetched after, so what a process fetched before it died serves the next one, and nobody
 * else: other settings or another position give another name. A download has its name only when it is whole and
 * durable; the note beside it comes last. A note may outlive its document: it still tells what had been read.
 */
export class Downloads {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The document fetched for this purpose, if it lies there as it was. */
  async find(purpose: Purpose): Promise<Saved | undefined> {
    const path = this.#path(purpose);
    const note = await this.#note(path + NOTE);
    if (note === undefined || note.definition !== purpose.definition) return undefined;
    const digest = await digestOf(path + BODY);
    return digest === note.digest ? { ...note, path: path + BODY } : undefined;
  }

  /** The digest of the document that a position was given for, if it is remembered. */
  async digestAt({ definition, from }: Purpose): Promise<string | undefined> {
    if (from === undefined) return undefined;
    for (const name of await this.#names()) {
      if (!name.endsWith(NOTE)) continue;
      const note = await this.#note(join(this.#folder, name));
      if (note?.definition !== definition) continue;
      if (note.position.kind === from.kind && note.position.value === from.value) return note.digest;
    }
    return undefined;
  }

  /** Removes what no pull from this position can need: documents of others, and notes that lead nowhere. */
  async tidy(purpose: Purpose): Promise<void> {
    const kept = keyOf(purpose);
    for (const name of await this.#names()) {
      if (name === kept + BODY || name === kept + NOTE || !/\.(body|json|part)$/.test(name)) continue;
      const path = join(this.#folder, name);
      if (name.endsWith(NOTE) && (await this.#leadsHere(path, purpose))) continue;
      await rm(path, { force: true });
    }
  }

  /** Writes the answer down. Throws SOURCE_INVALID when it is too large, SOURCE_FAILED when it is not whole. */
  async save(purpose: Purpose, { reply, sourceName, limits }: Arriving, signal: AbortSignal): Promise<Saved> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = this.#path(purpose);
    await Promise.all([BODY, NOTE, PART].map((ending) => rm(path + ending, { force: true })));
    const { bytes, digest } = await written(path + PART, reply, limits, signal);
    const validators = validatorsOf(reply);
    const type = reply.header('content-type');
    const note: Note = {
      version: 1,
      definition: purpose.definition,
      bytes,
      digest,
      told: reply.saysItsEnd || isPacked(reply),
      position: positionOf(sourceName, validators, digest),
      ...validators,
      ...(type === undefined ? {} : { type }),
    };
    await rename(path + PART, path + BODY);
    await writeNote(path, note);
    await syncFolder(this.#folder);
    return { ...note, path: path + BODY };
  }

  /** What was fetched for this purpose is of no use after all. */
  async discard(purpose: Purpose): Promise<void> {
    const path = this.#path(purpose);
    await rm(path + NOTE, { force: true });
    await rm(path + BODY, { force: true });
  }

  async #leadsHere(path: string, { definition, from }: Purpose): Promise<boolean> {
    const note = await this.#note(path);
    return note?.definition === definition && note.position.kind === from?.kind && note.position.value === from.value;
  }

  #path(purpose: Purpose): string {
    return join(this.#folder, keyOf(purpose));
  }

  async #names(): Promise<readonly string[]> {
    return (await orUndefined(readdir(this.#folder))) ?? [];
  }

  async #note(path: string): Promise<Note | undefined> {
    const text = await orUndefined(readFile(path, 'utf8'));
    if (text === undefined) return undefined;
    try {
      const note = JSON.parse(text) as Note;
      return note?.version === 1 && typeof note.position?.value === 'string' ? note : undefined;
    } catch (error) {
      // A note that is no JSON was cut off by a crash: what it belongs to counts as not there.
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  }
}

const keyOf = ({ definition, from }: Purpose): string =>
  createHash('sha256')
    .update(JSON.stringify([definition, from?.kind ?? null, from?.value ?? null]))
    .digest('hex');

const isPacked = (reply: OpenReply): boolean => codingOf(reply) === 'gzip';

function codingOf(reply: OpenReply): 'gzip' | 'none' {
  const coding = (reply.header('content-encoding') ?? '').trim().toLowerCase();
  if (coding === '' || coding === 'identity') return 'none';
  if (coding === 'gzip' || coding === 'x-gzip') return 'gzip';
  throw new WaybillError('SOURCE_FAILED', `${reply.name} was answered in the coding ${coding.slice(0, 40)}`, {
    hint: 'Only gzip is asked for, and unpacked. Have the server send the document as it is.',
  });
}

/** The document's bytes: without the coding that they travel in, and no more of them than is allowed. */
export async function* decoded(
  reply: OpenReply,
  { bytesMax, inflatedBytesMax }: DownloadLimits,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    const tooLarge = (bytes: number): WaybillError =>
      new WaybillError('SOURCE_INVALID', `${reply.name} holds ${bytes} bytes or more`, {
        hint: 'Raise `bytesMax` (`pageBytesMax` for pages) if it is meant to be so large.',
      });
    const packed = codingOf(reply) === 'gzip';
    if ((reply.length ?? 0) > bytesMax) throw tooLarge(reply.length ?? 0);
    const limited = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of reply.pieces(signal)) {
        if (reply.received > bytesMax) throw tooLarge(reply.received);
        yield piece;
      }
    };
    if (!packed) return yield* limited();
    const growing = {
      name: reply.name,
      get bytes() {
        return reply.received;
      },
    };
    yield* inflated(Readable.from(limited(), { objectMode: false }), growing, { inflatedBytesMax });
  } catch (error) {
    throw signal.aborted ? signal.reason : unpackError(error, reply.name);
  } finally {
    reply.discard();
  }
}

/** Errors of zlib say nothing of what was being unpacked. */
export function unpackError(error: unknown, name: string): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof WaybillError || !/^Z_|^ERR_/.test(code)) return error;
  return new WaybillError('SOURCE_FAILED', `${name} is no whole gzip: it was cut short or changed on its way`, {
    cause: error,
  });
}

async function written(
  path: string,
  reply: OpenReply,
  limits: DownloadLimits,
  signal: AbortSignal,
): Promise<{ readonly bytes: number; readonly digest: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const piece of decoded(reply, limits, signal)) {
      hash.update(piece);
      bytes += piece.length;
      await writeAll(file, piece);
    }
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    reply.discard();
    await file.close();
  }
  return { bytes, digest: hash.digest('hex') };
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done)).bytesWritten;
}

async function writeNote(path: string, note: Note): Promise<void> {
  const file = await open(path + NOTE + PART, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(note));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(path + NOTE + PART, path + NOTE);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function digestOf(path: string): Promise<string | undefined> {
  const file = await orUndefined(open(path, constants.O_RDONLY | constants.O_NOFOLLOW));
  if (file === undefined) return undefined;
  const hash = createHash('sha256');
  for await (const piece of file.createReadStream()) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/** A folder that may be lost at any time: what is not there is no error. */
async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
