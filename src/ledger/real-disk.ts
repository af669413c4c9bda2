import { closeSync, constants, fsyncSync, mkdirSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import type { Disk, DiskFile } from './disk.ts';

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY;
const HOW = { new: 'wx', append: constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY } as const;

/** The disk of this machine. Files and folders that it makes are for their owner alone. */
export const realDisk: Disk = {
  makeFolder: (path) => mkdir(path, { recursive: true, mode: 0o700 }),
  list: (folder) => readdir(folder),
  open: async (path, how) => new RealFile(await open(path, HOW[how], 0o600)),
  readFile: (path) => readFile(path),
  identity: async (path) => {
    try {
      return identityOf(await stat(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  },
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { force: true }),
  syncFolder: async (folder) => {
    const handle = await open(folder, FOLDER);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  sizeNow: (path) => statSync(path, { throwIfNoEntry: false })?.size,
  makeFolderNow: (path) => mkdirSync(path, { mode: 0o700 }),
  makeFileNow: (path) => closeSync(openSync(path, 'a', 0o600)),
  syncFolderNow: (folder) => {
    const file = openSync(folder, FOLDER);
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  },
  openNow: (path) => openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW),
  readNow: (file, into, at, length, offset) => readSync(file, into, at, length, offset),
  closeNow: (file) => closeSync(file),
  openMarkNow: (path) => openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600),
  overwriteNow: (file, bytes) => {
    writeSync(file, bytes, 0, bytes.length, 0);
  },
};

class RealFile implements DiskFile {
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  write(bytes: Uint8Array, offset: number, length: number): Promise<{ readonly bytesWritten: number }> {
    return this.#file.write(bytes, offset, length);
  }

  datasync(): Promise<void> {
    return this.#file.datasync();
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  async identity(): Promise<string> {
    return identityOf(await this.#file.stat());
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

const identityOf = (file: { readonly dev: number; readonly ino: number }): string => `${file.dev}:${file.ino}`;
