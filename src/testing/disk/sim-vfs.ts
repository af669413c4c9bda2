import { dirname } from 'node:path';
import type { SimDisk } from './sim-disk.ts';
import { SimFile } from './sim-file.ts';

const OK = 0;
const NOT_FOUND = 12;
const FULL = 13;
const CANNOT_OPEN = 14;
const IO_ERROR = {
  read: 266,
  shortRead: 522,
  write: 778,
  sync: 1034,
  syncFolder: 1290,
  truncate: 1546,
  size: 1802,
  remove: 2570,
  access: 3338,
  missing: 5898,
} as const;
const OPEN = { readWrite: 0x2, create: 0x4, deleteOnClose: 0x8, journal: 0x800, log: 0x80000 } as const;
/** A write changes no byte beside those that it was given: what SQLite believes of disks under Unix, too. */
const POWERSAFE_OVERWRITE = 0x1000;

interface Opened {
  /** Undefined for a file without a name: it is gone with the process. */
  readonly disk: SimDisk | undefined;
  readonly path: string;
  readonly file: SimFile;
  /** The first sync of a new journal or log also syncs the folder, as under Unix. */
  nameToSync: boolean;
}

/**
 * The layer between SQLite and the simulated disk. It does what SQLite's own layer for Unix does, in the same order:
 * which sync goes with which call is part of what is proved here. A disk is known by a number before the path.
 */
export class SimVfs {
  readonly name = 'sim';
  readonly #open = new Map<number, Opened>();
  readonly #disks = new Map<string, SimDisk>();
  #count = 0;

  pathOn(disk: SimDisk, path: string): string {
    for (const [number, known] of this.#disks) if (known === disk) return `/${number}${path}`;
    const number = String(++this.#count);
    this.#disks.set(number, disk);
    return `/${number}${path}`;
  }

  forget(disk: SimDisk): void {
    for (const [number, known] of this.#disks) if (known === disk) this.#disks.delete(number);
  }

  xOpen(name: string | null, handle: number, flags: number, out: DataView): number {
    out.setInt32(0, flags, true);
    if (name === null) {
      this.#open.set(handle, { disk: undefined, path: '', file: new SimFile(0), nameToSync: false });
      return OK;
    }
    const { disk, path } = this.#place(name);
    const there = disk.find(path);
    const isNew = there === undefined;
    if (isNew && (flags & OPEN.create) === 0) return CANNOT_OPEN;
    return this.#guarded(CANNOT_OPEN, () => {
      const file = disk.openForWriting(path, 'append');
      this.#open.set(handle, { disk, path, file, nameToSync: isNew && (flags & (OPEN.journal | OPEN.log)) !== 0 });
    });
  }

  xClose(handle: number): number {
    this.#open.delete(handle);
    return OK;
  }

  xRead(handle: number, into: Uint8Array, offset: number): number {
    return this.#with(handle, IO_ERROR.read, ({ disk, path, file }) => {
      disk?.plan.call('read', path);
      const got = file.read(into, offset);
      if (got === into.length) return OK;
      into.fill(0, got);
      return IO_ERROR.shortRead;
    });
  }

  xWrite(handle: number, bytes: Uint8Array, offset: number): number {
    return this.#with(handle, IO_ERROR.write, ({ disk, path, file }) => {
      if (disk === undefined) file.write(offset, bytes);
      else if (disk.writeAt(file, path, bytes, offset) < bytes.length) return FULL;
      return OK;
    });
  }

  xTruncate(handle: number, size: number): number {
    return this.#with(handle, IO_ERROR.truncate, ({ disk, path, file }) => {
      if (disk === undefined) file.truncate(size);
      else disk.truncateNow(file, path, size);
    });
  }

  xSync(handle: number): number {
    const opened = this.#open.get(handle);
    if (opened === undefined) return IO_ERROR.sync;
    const { disk, path, file } = opened;
    if (disk === undefined) return OK;
    const synced = this.#guarded(IO_ERROR.sync, () => disk.syncNow(file, path));
    if (synced !== OK || !opened.nameToSync) return synced;
    opened.nameToSync = false;
    // SQLite under Unix does not look at what becomes of this sync either, unless the power is gone.
    const folder = this.#guarded(IO_ERROR.syncFolder, () => disk.syncFolderNow(dirname(path)));
    return disk.plan.ended ? folder : OK;
  }

  xFileSize(handle: number, out: DataView): number {
    return this.#with(handle, IO_ERROR.size, ({ disk, path, file }) => {
      disk?.plan.call('stat', path);
      out.setBigInt64(0, BigInt(file.size), true);
    });
  }

  xDelete(name: string, syncFolder: number): number {
    const { disk, path } = this.#place(name);
    if (disk.find(path) === undefined) return IO_ERROR.missing;
    const removed = this.#guarded(IO_ERROR.remove, () => disk.removeNow(path));
    if (removed !== OK || syncFolder === 0) return removed;
    return this.#guarded(IO_ERROR.syncFolder, () => disk.syncFolderNow(dirname(path)));
  }

  xAccess(name: string, flags: number, out: DataView): number {
    const { disk, path } = this.#place(name);
    return this.#guarded(IO_ERROR.access, () => {
      disk.plan.call('stat', path);
      const file = disk.find(path);
      // An empty file counts as none where SQLite asks whether one exists.
      out.setInt32(0, file !== undefined && (flags !== 0 || file.size > 0) ? 1 : 0, true);
    });
  }

  // One process has the disk for itself, so locks are always granted.
  xLock(): number {
    return OK;
  }

  xUnlock(): number {
    return OK;
  }

  xCheckReservedLock(_handle: number, out: DataView): number {
    out.setInt32(0, 0, true);
    return OK;
  }

  xFileControl(): number {
    return NOT_FOUND;
  }

  xSectorSize(): number {
    return 4096;
  }

  xDeviceCharacteristics(): number {
    return POWERSAFE_OVERWRITE;
  }

  /** SQLite may go on asking for a file that could not be opened; it is told that the device has an error. */
  #with(handle: number, code: number, work: (opened: Opened) => unknown): number {
    const opened = this.#open.get(handle);
    return opened === undefined ? code : this.#guarded(code, () => work(opened));
  }

  #place(name: string): { disk: SimDisk; path: string } {
    const [, number = '', path = ''] = /^\/(\d+)(\/.*)$/.exec(name) ?? [];
    const disk = this.#disks.get(number);
    if (disk === undefined) throw new RangeError(`${name} lies on no disk`);
    return { disk, path };
  }

  /** An error of the disk as SQLite's code for what it was about; any other is a fault of ours. */
  #guarded(refused: number, work: () => unknown): number {
    try {
      const code = work();
      return typeof code === 'number' ? code : OK;
    } catch (error) {
      const { code: errno } = error as NodeJS.ErrnoException;
      if (errno === 'ENOSPC') return FULL;
      if (typeof errno === 'string') return refused;
      throw error;
    }
  }
}
