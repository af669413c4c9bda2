import type { RandomAccess } from '../formats/parquet/read.ts';
import type { SourceRange } from '../model/range.ts';

/** A file that a pattern names: `name` with slashes from the root, for people and positions; `path` to open it. */
export interface FoundFile {
  readonly name: string;
  readonly path: string;
  /** What lay under the name when it was found, where that was asked for. */
  readonly version?: FileVersion | undefined;
}

/** What lies under a name at one moment. */
export interface FileVersion {
  readonly bytes: number;
  /** Another one after every change that can be told without reading what is in it. */
  readonly tag: string;
  /** When it was written, in nanoseconds since 1970 by the clock of the place. */
  readonly writtenNs: bigint;
  /** When anything about it changed, its name and rights included: what nobody can set back, where the place has it. */
  readonly touchedNs: bigint;
}

export interface VersionedFile extends FoundFile {
  readonly version: FileVersion;
}

/** A place that keeps files under names: a folder, a bucket. Its errors name the path in their ids. */
export interface Shelf {
  /** For messages: `below /data`. */
  readonly where: string;
  /** The files that a pattern names, in order of their names. */
  list(pattern: string, signal?: AbortSignal): Promise<readonly FoundFile[]>;
  /**
   * What is in a file, 64 KiB to 1 MiB at a time; unpacked, where its name says that it is packed. `into`: where the
   * next bytes may be written, for a place that writes them itself; asked before each.
   */
  bytes(file: FoundFile, signal: AbortSignal, into?: () => Uint8Array | undefined): AsyncIterable<Uint8Array>;
  /** The file as it lies there, to be read in any order. */
  open(file: FoundFile, signal: AbortSignal): Promise<RandomAccess & { close(): Promise<void> }>;
  size(file: FoundFile): Promise<number>;
  /** Present where parts of a file can be had once more. */
  readonly parts?: FileParts;
}

/** What a place offers to those who keep ranges of its files instead of copies. */
export interface FileParts {
  /** The file as it lies there now, to be read as that, and what ranges of it say; undefined: nobody could name it. */
  name(file: FoundFile, signal: AbortSignal): Promise<NamedFile | undefined>;
  /** The bytes of a range. Throws RANGE_LOST when the file is gone, too short, or surely another one. */
  part(range: SourceRange, signal: AbortSignal): Promise<Uint8Array>;
}

export interface NamedFile extends Pick<SourceRange, 'version' | 'keptAs'> {
  readonly file: FoundFile;
}

/** A place that also tells one content of a file from the next, so that only what is new may be read. */
export interface VersionedShelf extends Shelf {
  /**
   * A file that was found with its version is read as that version, or reading it fails. Otherwise whoever wants to be
   * sure looks at the version before and afterwards.
   */
  readonly pins: boolean;
  /** The same with their versions; with `after`, only names that come after it, where that spares the others. */
  listVersions(pattern: string, after: string | undefined, signal: AbortSignal): Promise<readonly VersionedFile[]>;
  /** What lies under one name now, with its version; undefined: nothing. */
  find(name: string, signal: AbortSignal): Promise<VersionedFile | undefined>;
}
