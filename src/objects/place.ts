import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Permit } from '../connectors/connector.ts';
import type { Batch } from '../model/batch.ts';
import { NotAppliedError, RefusedError } from '../model/errors.ts';
import type { Load, LoadStep } from '../model/load.ts';
import { applied, type Verdict } from '../model/verdict.ts';
import type { ListedLoad } from './books.ts';
import type { Content, Listed, ObjectStore } from './store.ts';

/** A batch as the bytes of an object. `header`: how many bytes at its beginning name the columns. */
export interface EncodedBatch {
  readonly bytes: Uint8Array;
  readonly header: number;
}

/** Below the folder of the sink; a name with a dot, which readers of folders pass over. */
export const LOADS_FOLDER = '.waybill-loads';
const OPEN = '_open';

/** One batch in the place of its load. */
export interface Part extends Listed {
  readonly seq: number;
  readonly records: number;
  readonly digest: string;
  readonly header: number;
}

/**
 * Where one load is collected: an object for each batch, named after it, so that a repeat finds its own there. The
 * object `_open` says that the place is there and may be written.
 */
export class LoadPlace {
  readonly #store: ObjectStore;
  readonly #home: string;
  readonly #ending: string;

  constructor(store: ObjectStore, home: string, ending: string) {
    this.#store = store;
    this.#home = home;
    this.#ending = ending;
  }

  folder(load: string): string {
    return `${this.#home}${LOADS_FOLDER}/${load}/`;
  }

  async open({ load, signal }: LoadStep): Promise<void> {
    const { id, flow, lane, window, generation } = load;
    const about = Buffer.from(`${JSON.stringify({ load: id, flow, lane, window: window.name, generation })}\n`);
    await this.#store.create(`${this.folder(id)}${OPEN}`, about, signal);
  }

  async isOpen(load: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#store.version(`${this.folder(load)}${OPEN}`, signal)) !== null;
  }

  /** Nothing can be added any more; what is in it stays. */
  async shut(load: string, signal: AbortSignal): Promise<void> {
    const folder = this.folder(load);
    if (!(await this.isOpen(load, signal))) return await this.#store.seal?.(folder, signal);
    await this.#store.release?.(folder, signal);
    await this.#store.remove([`${folder}${OPEN}`], signal);
    await this.#store.seal?.(folder, signal);
  }

  async add(
    permit: Permit,
    load: Load,
    encode: (permit: Permit) => Promise<EncodedBatch>,
  ): Promise<Verdict | 'already'> {
    const { batch, signal } = permit;
    if (signal.aborted) throw new NotAppliedError('the send was given up before it began');
    if (!(await this.isOpen(load.id, signal))) {
      throw new RefusedError(`nothing can be added to ${load.id}: it is published, or another took its place`, {
        reason: 'closed',
        about: 'request',
      });
    }
    const { bytes, header } = await encode(permit);
    const name = `${this.folder(load.id)}${partName(batch, header)}${this.#ending}`;
    if ((await this.#store.create(name, bytes, signal)) === 'there') return 'already';
    return applied(batch.records, { summary: `${bytes.length} bytes as ${name}`, reference: name });
  }

  async parts(load: string, signal: AbortSignal): Promise<readonly Part[]> {
    const folder = this.folder(load);
    const listed = await this.#store.list(folder, signal);
    return listed.flatMap((one) => partOf(one, one.name.slice(folder.length)) ?? []).sort((a, b) => a.seq - b.seq);
  }

  /** The mark goes first: a place that is half removed takes nothing any more. */
  async removed(load: string, signal: AbortSignal): Promise<void> {
    const folder = this.folder(load);
    await this.#store.release?.(folder, signal);
    const all = (await this.#store.list(folder, signal)).map(({ name }) => name);
    if (all.length === 0) return;
    await this.#store.remove([`${folder}${OPEN}`], signal);
    const rest = all.filter((name) => name !== `${folder}${OPEN}`);
    if (rest.length > 0) await this.#store.remove(rest, signal);
  }

  /** Places of the same family that belong to earlier generations. */
  async earlierOf({ load, signal }: LoadStep): Promise<readonly string[]> {
    const beginning = `${this.#home}${LOADS_FOLDER}/`;
    const between = load.id.slice(load.family.length, load.id.length - String(load.generation).length);
    const listed = await this.#store.list(`${beginning}${load.family}${between}`, signal);
    const ids = new Set(listed.map(({ name }) => name.slice(beginning.length).split('/')[0] ?? ''));
    return [...ids].filter((id) => {
      const number = id.slice(load.family.length + between.length);
      return /^\d{1,9}$/.test(number) && Number(number) < load.generation;
    });
  }

  listedLoad({ load, fence }: LoadStep, parts: readonly Part[], versions: ReadonlyMap<string, string>): ListedLoad {
    return {
      load: load.id,
      flow: load.flow,
      lane: load.lane,
      window: load.window.name,
      generation: load.generation,
      fence,
      records: sumOf(parts, ({ records }) => records),
      bytes: sumOf(parts, ({ bytes }) => bytes),
      objects: parts.map(({ name, bytes, records, digest }) => {
        const version = versions.get(name);
        return {
          object: this.#store.address(name),
          bytes,
          records,
          digest,
          ...(version === undefined ? {} : { version }),
        };
      }),
    };
  }

  /** All parts as one text; the names of the columns stand in it once. */
  joined(parts: readonly Part[], signal: AbortSignal): Content {
    const bytes = sumOf(parts, (part) => part.bytes - part.header) + (parts[0]?.header ?? 0);
    const store = this.#store;
    return {
      bytes,
      async *pieces() {
        let header: Uint8Array | undefined;
        for (const part of parts) {
          const reading = new PartReading(part, store.pieces(part.name, signal));
          yield* reading.body(header);
          header ??= reading.header;
        }
      },
    };
  }
}

/** Reads one part and holds it against what its name says. */
class PartReading {
  readonly #part: Part;
  readonly #pieces: AsyncIterable<Uint8Array>;
  header: Uint8Array = new Uint8Array();

  constructor(part: Part, pieces: AsyncIterable<Uint8Array>) {
    this.#part = part;
    this.#pieces = pieces;
  }

  /** With the header where no part before has given it; throws where they differ. */
  async *body(before: Uint8Array | undefined): AsyncGenerator<Uint8Array> {
    const { name, header, digest } = this.#part;
    const hash = createHash('sha256');
    for await (const piece of this.#pieces) {
      const missing = header - this.header.length;
      const [head, rest] = [piece.subarray(0, missing), piece.subarray(missing)];
      if (head.length > 0) this.header = Buffer.concat([this.header, head]);
      if (head.length > 0 && missing === head.length) {
        if (before === undefined) yield this.header;
        else if (Buffer.compare(before, this.header) !== 0)
          throw broken(name, 'has other columns than those before it', 'columns');
      }
      if (rest.length === 0) continue;
      hash.update(rest);
      yield rest;
    }
    if (hash.digest('hex') !== digest) throw broken(name, 'does not hold what was written to it', 'digest');
  }
}

/** A part is not what was collected: nobody can publish it. */
export class BrokenPart extends RefusedError {}

const broken = (name: string, how: string, reason: string): BrokenPart =>
  new BrokenPart(`${name} ${how}`, { reason, about: 'request' });

export const sumOf = <T>(all: readonly T[], figure: (one: T) => number): number =>
  all.reduce((sum, one) => sum + figure(one), 0);

/** By the batch alone: the same batch has the same name in every attempt, whoever makes it. */
function partName({ seq, records, digest }: Batch, header: number): string {
  return `${String(seq).padStart(9, '0')}-${records}-${header}-${digest}`;
}

function partOf(listed: Listed, name: string): Part | undefined {
  const match = /^(\d{9,})-(\d+)-(\d+)-([0-9a-f]{64})(\.[a-z0-9]+)*$/.exec(name);
  if (match === null) return undefined;
  const [, seq, records, header, digest = ''] = match;
  return { ...listed, seq: Number(seq), records: Number(records), header: Number(header), digest };
}
