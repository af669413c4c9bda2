/**
 * The little of a file system that staged bytes, the journal and a ledger file need; so that they can be tried on a
 * disk that loses power. Errors are those of Node: with a `code` such as ENOENT or ENOSPC.
 *
 * What is durable when: bytes after the `sync` or `datasync` of their file, a name after `syncFolder` of the folder it
 * stands in. After a failed sync nobody knows what is on the disk, and a second one that succeeds proves nothing.
 */
export interface Disk extends DiskNow {
  /** With its parents, for the owner alone. Resolves with the topmost one that was not there, if any. */
  makeFolder(path: string): Promise<string | undefined>;
  /** ENOENT when it is not there. */
  list(folder: string): Promise<readonly string[]>;
  /** `new`: EEXIST when the name is taken. `append`: made where it is missing; writes go to its end. */
  open(path: string, how: 'new' | 'append'): Promise<DiskFile>;
  readFile(path: string): Promise<Uint8Array>;
  /** Which file stands under a name, whatever it is called; undefined when none does. */
  identity(path: string): Promise<string | undefined>;
  rename(from: string, to: string): Promise<void>;
  /** Nothing happens when it is not there. */
  remove(path: string): Promise<void>;
  syncFolder(folder: string): Promise<void>;
}

/** A file that is being written. */
export interface DiskFile {
  /** May write less than it was given. */
  write(bytes: Uint8Array, offset: number, length: number): Promise<{ readonly bytesWritten: number }>;
  /** The bytes and as much of the rest as is needed to read them again. */
  datasync(): Promise<void>;
  sync(): Promise<void>;
  /** As `Disk.identity`. */
  identity(): Promise<string>;
  close(): Promise<void>;
}

/** What is done while everybody waits: reading pages that lie in memory, and making a ledger. */
export interface DiskNow {
  /** Undefined when it is not there. */
  sizeNow(path: string): number | undefined;
  /** One folder, whose parent is there, for the owner alone; EEXIST when the name is taken. */
  makeFolderNow(path: string): void;
  /** An empty file, readable by the owner alone; one that is there stays as it is. */
  makeFileNow(path: string): void;
  syncFolderNow(folder: string): void;
  /** For reading; a symbolic link is not followed. */
  openNow(path: string): number;
  /** How many bytes were read; 0 at the end of the file. */
  readNow(file: number, into: Uint8Array, at: number, length: number, offset: number): number;
  closeNow(file: number): void;
  /** For writing over and over; made where it is missing, for the owner alone. */
  openMarkNow(path: string): number;
  /** From its beginning on, and not synced. */
  overwriteNow(file: number, bytes: Uint8Array): void;
}
