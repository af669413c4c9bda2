import type { Chance } from './chance.ts';

/** What a disk writes in one go, or not at all, or, when it is unlucky, up to some byte. */
export const SECTOR_BYTES = 512;

/** A write or a change of size that no sync has made durable yet. */
interface Change {
  readonly offset: number;
  /** Absent for a change of size, to `offset`. */
  readonly bytes: Uint8Array | undefined;
  /** A sync of it failed: the system holds it for clean and writes it no more, wherever it got to. */
  readonly limbo: boolean;
}

/** How a power cut treats what was not synced. */
export interface CutTemper {
  /** The share of un-synced sectors and names that reach the disk all the same. */
  readonly kept: number;
  /** The share of those sectors that are written only up to some byte. */
  readonly torn: number;
}

/**
 * A file as the page cache shows it, and beside it what of it is on the disk. A write goes to the cache; a sync carries
 * everything over. At a power cut each sector of each un-synced write is kept, torn or lost by itself, so later ones
 * may be there while earlier ones are not; the size is that of some moment between. What is kept beyond that size is
 * lost, and what was never written below it is zeros.
 */
export class SimFile {
  readonly inode: number;
  #cache: Image;
  #disk: Image;
  #changes: Change[] = [];

  constructor(inode: number, bytes: Uint8Array = new Uint8Array()) {
    this.inode = inode;
    this.#cache = Image.of(bytes);
    this.#disk = Image.of(bytes);
  }

  get size(): number {
    return this.#cache.size;
  }

  /** A copy of what a process sees. */
  get bytes(): Uint8Array {
    return this.#cache.copy();
  }

  /** How many bytes were read. */
  read(into: Uint8Array, offset: number): number {
    return this.#cache.read(into, offset);
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#cache.write(offset, bytes);
    this.#changes.push({ offset, bytes: bytes.slice(), limbo: false });
  }

  truncate(size: number): void {
    this.#cache.resize(size);
    this.#changes.push({ offset: size, bytes: undefined, limbo: false });
  }

  sync(): void {
    for (const change of this.#changes) if (!change.limbo) apply(this.#disk, change);
    const synced = this.#changes.filter((change) => !change.limbo);
    // What was written over something in limbo is durable, so the old bytes can never come back over it.
    const left = this.#changes.filter((change) => change.limbo && change.bytes !== undefined);
    this.#changes = synced.reduce((limbo, change) => limbo.flatMap((one) => without(one, change)), left);
  }

  /** The device said no: what was to be synced is on it, or not, and no later sync will try again. */
  failSync(): void {
    this.#changes = this.#changes.map((change) => ({ ...change, limbo: true }));
  }

  /** What of it is found after the power comes back. */
  afterCut(chance: Chance, temper: CutTemper): Uint8Array {
    const image = Image.of(this.#disk.copy());
    const sizes = [image.size];
    for (const { bytes, offset } of this.#changes)
      sizes.push(bytes === undefined ? offset : Math.max(sizes[sizes.length - 1] as number, offset + bytes.length));
    for (const { bytes, offset } of this.#changes) {
      if (bytes === undefined) continue;
      for (const [start, end] of sectors(offset, bytes.length)) {
        if (!chance.yes(temper.kept)) continue;
        const torn = chance.yes(temper.torn) ? start + chance.below(end - start) : end;
        image.write(offset + start, bytes.subarray(start, torn));
      }
    }
    const last = sizes[sizes.length - 1] as number;
    image.resize(chance.yes(temper.kept) ? last : chance.of(sizes));
    return image.copy();
  }

  /** Changes the bytes under everybody's feet: a bit that rots, or a hand. Durable at once. */
  overwrite(bytes: Uint8Array): void {
    this.#cache = Image.of(bytes);
    this.#disk = Image.of(bytes);
    this.#changes = [];
  }
}

function apply(image: Image, change: Change): void {
  if (change.bytes === undefined) image.resize(change.offset);
  else image.write(change.offset, change.bytes);
}

/** What is left of a change in limbo when another one covers some of its bytes: nothing, or one or two pieces. */
function without(one: Change, cover: Change): Change[] {
  const bytes = one.bytes as Uint8Array;
  const end = one.offset + bytes.length;
  const coverEnd = cover.bytes === undefined ? Number.POSITIVE_INFINITY : cover.offset + cover.bytes.length;
  const pieces: [number, number][] = [
    [one.offset, Math.min(end, cover.offset)],
    [Math.max(one.offset, coverEnd), end],
  ];
  return pieces.flatMap(([from, to]) =>
    from < to ? [{ ...one, offset: from, bytes: bytes.subarray(from - one.offset, to - one.offset) }] : [],
  );
}

/** The parts of a write that lie in one sector each, relative to its beginning. */
function* sectors(offset: number, length: number): Generator<[start: number, end: number]> {
  for (let start = 0; start < length; ) {
    const end = Math.min(length, start + SECTOR_BYTES - ((offset + start) % SECTOR_BYTES));
    yield [start, end];
    start = end;
  }
}

/** Bytes that grow. */
class Image {
  #bytes: Uint8Array;
  size: number;

  static of(bytes: Uint8Array): Image {
    return new Image(bytes.slice());
  }

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.size = bytes.length;
  }

  read(into: Uint8Array, offset: number): number {
    const there = this.#bytes.subarray(Math.min(offset, this.size), Math.min(offset + into.length, this.size));
    into.set(there);
    return there.length;
  }

  write(offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (offset + bytes.length > this.size) this.resize(offset + bytes.length);
    this.#bytes.set(bytes, offset);
  }

  resize(size: number): void {
    if (size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(size, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.size));
      this.#bytes = larger;
    }
    if (size < this.size) this.#bytes.fill(0, size, this.size);
    this.size = size;
  }

  copy(): Uint8Array {
    return this.#bytes.slice(0, this.size);
  }
}
