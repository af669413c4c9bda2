import type { RandomAccess } from '../formats/parquet/read.ts';

/** A file that a pattern names: `name` with slashes from the root, for people and positions; `path` to open it. */
export interface FoundFile {
  readonly name: string;
  readonly path: string;
}

/** A place that keeps files under names: a folder, a bucket. Its errors name the path in their ids. */
export interface Shelf {
  /** For messages: `below /data`. */
  readonly where: string;
  /** The files that a pattern names, in order of their names. */
  list(pattern: string, signal?: AbortSignal): Promise<readonly FoundFile[]>;
  /** What is in a file, 64 KiB to 1 MiB at a time; unpacked, where its name says that it is packed. */
  bytes(file: FoundFile, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** The file as it lies there, to be read in any order. */
  open(file: FoundFile, signal: AbortSignal): Promise<RandomAccess & { close(): Promise<void> }>;
  size(file: FoundFile): Promise<number>;
}
