import { basename, dirname } from 'node:path';
import type { Disk, DiskFile } from '../../ledger/disk.ts';
import type { Chance } from './chance.ts';
import { DiskError, DiskPlan, NEVER } from './disk-plan.ts';
import { type CutTemper, SimFile } from './sim-file.ts';
import { type NameChange, SimFolder, type SimNode } from './sim-folder.ts';

/**
 * `strict`: a name is durable after a sync of its folder and not before, in whatever order; all that POSIX promises.
 * `ordered`: names reach the disk in the order in which they were made, and with any sync, as in the journal of ext4.
 */
export type Names = 'strict' | 'ordered';

/**
 * A disk in memory, with a page cache above it. It can lose power (`afterCut`), lose the process that uses it
 * (`afterKill`) and say no (`DiskPlan`). What it does not have: links, modes, other users, a limit of its own.
 *
 * After a cut or a kill this object belongs to a process that is gone: what it awaits never comes, and what it asks
 * for at once is refused with EIO.
 */
export class SimDisk implements Disk {
  readonly plan: DiskPlan;
  readonly names: Names;
  readonly #root: SimFolder;
  readonly #open = new Map<number, SimFile>();
  #inodes: number;
  #unsettled: NameChange[];

  constructor(from: { names: Names; plan?: DiskPlan; root?: SimFolder; inodes?: number; unsettled?: NameChange[] }) {
    this.names = from.names;
    this.plan = from.plan ?? new DiskPlan();
    this.#root = from.root ?? new SimFolder(1);
    this.#inodes = from.inodes ?? 2;
    this.#unsettled = from.unsettled ?? [];
  }

  /** The disk as it is found when the power is back. */
  afterCut(chance: Chance, temper: CutTemper, plan?: DiskPlan): SimDisk {
    this.plan.end('the power is off');
    const settled = this.names === 'ordered' ? chance.below(this.#unsettled.length + 1) : undefined;
    this.#unsettled.forEach((change, nth) => {
      const kept = settled === undefined ? chance.yes(temper.kept) : nth < settled;
      if (kept) change.folder.settle(change);
    });
    const found = new Map<SimNode, SimNode>();
    const root = survivor(this.#root, found, chance, temper) as SimFolder;
    return new SimDisk({ names: this.names, root, inodes: this.#inodes, ...(plan === undefined ? {} : { plan }) });
  }

  /** The same disk, with everything in its cache, for the next process. */
  afterKill(plan?: DiskPlan): SimDisk {
    this.plan.end('the process was ended');
    return new SimDisk({
      names: this.names,
      root: this.#root,
      inodes: this.#inodes,
      unsettled: this.#unsettled,
      ...(plan === undefined ? {} : { plan }),
    });
  }

  // ---- what the ledger's own code asks for ----

  async makeFolder(path: string): Promise<string | undefined> {
    return await this.#later(() => {
      let first: string | undefined;
      for (const folder of folders(path)) {
        if (this.#find(folder) !== undefined) continue;
        this.makeFolderNow(folder);
        first ??= folder;
      }
      return first;
    });
  }

  async list(path: string): Promise<readonly string[]> {
    return await this.#later(() => {
      this.plan.call('list', path);
      return [...this.#folder(path).names.keys()];
    });
  }

  async open(path: string, how: 'new' | 'append'): Promise<DiskFile> {
    return await this.#later(() => new OpenFile(this, path, this.openForWriting(path, how)));
  }

  async readFile(path: string): Promise<Uint8Array> {
    return await this.#later(() => {
      this.plan.call('read', path);
      return this.#file(path).bytes;
    });
  }

  async identity(path: string): Promise<string | undefined> {
    return await this.#later(() => {
      this.plan.call('stat', path);
      const inode = this.#find(path)?.inode;
      return inode === undefined ? undefined : String(inode);
    });
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#later(() => {
      this.plan.call('rename', from);
      const node = this.#find(from);
      if (node === undefined) throw new DiskError('ENOENT', 'rename', from);
      if (dirname(from) !== dirname(to)) throw new DiskError('EXDEV', 'rename', from);
      this.#change(dirname(from), [basename(from), undefined], [basename(to), node]);
    });
  }

  async remove(path: string): Promise<void> {
    await this.#later(() => this.removeNow(path));
  }

  async syncFolder(path: string): Promise<void> {
    await this.#later(() => this.syncFolderNow(path));
  }

  sizeNow(path: string): number | undefined {
    this.plan.call('stat', path);
    const node = this.#find(path);
    return node instanceof SimFile ? node.size : node && 0;
  }

  makeFolderNow(path: string): void {
    this.plan.call('make', path);
    if (this.#find(path) !== undefined) throw new DiskError('EEXIST', 'mkdir', path);
    this.#change(dirname(path), [basename(path), new SimFolder(this.#inodes++)]);
  }

  makeFileNow(path: string): void {
    this.openForWriting(path, 'append');
  }

  syncFolderNow(path: string): void {
    const folder = this.#folder(path);
    this.plan.call('sync-folder', path);
    if (this.plan.skips('sync-folder', path)) return;
    this.#settle((change) => change.folder === folder);
  }

  openNow(path: string): number {
    this.plan.call('open', path);
    const file = this.#file(path);
    const handle = this.#inodes++;
    this.#open.set(handle, file);
    return handle;
  }

  readNow(handle: number, into: Uint8Array, at: number, length: number, offset: number): number {
    this.plan.call('read', String(handle));
    return (this.#open.get(handle) as SimFile).read(into.subarray(at, at + length), offset);
  }

  closeNow(handle: number): void {
    this.#open.delete(handle);
  }

  openMarkNow(path: string): number {
    const file = this.openForWriting(path, 'append');
    const handle = this.#inodes++;
    this.#open.set(handle, file);
    return handle;
  }

  overwriteNow(handle: number, bytes: Uint8Array): void {
    this.writeAt(this.#open.get(handle) as SimFile, String(handle), bytes, 0);
  }

  // ---- what a database asks for ----

  find(path: string): SimFile | undefined {
    const node = this.#find(path);
    return node instanceof SimFile ? node : undefined;
  }

  openForWriting(path: string, how: 'new' | 'append'): SimFile {
    const there = this.#find(path);
    if (there === undefined) {
      this.plan.call('make', path);
      const file = new SimFile(this.#inodes++);
      this.#change(dirname(path), [basename(path), file]);
      return file;
    }
    if (how === 'new') throw new DiskError('EEXIST', 'open', path);
    if (!(there instanceof SimFile)) throw new DiskError('EISDIR', 'open', path);
    this.plan.call('open', path);
    return there;
  }

  /** How many bytes were written: fewer than were given when the plan says so. */
  writeAt(file: SimFile, path: string, bytes: Uint8Array, offset: number): number {
    const short = this.plan.call('write', path) === 'short';
    const part = short ? bytes.subarray(0, bytes.length >> 1) : bytes;
    file.write(offset, part);
    return part.length;
  }

  truncateNow(file: SimFile, path: string, size: number): void {
    this.plan.call('truncate', path);
    file.truncate(size);
  }

  syncNow(file: SimFile, path: string): void {
    try {
      this.plan.call('sync', path);
    } catch (error) {
      if (!this.plan.ended) file.failSync();
      throw error;
    }
    if (this.plan.skips('sync', path)) return;
    file.sync();
    if (this.names === 'ordered') this.#settle(() => true);
  }

  removeNow(path: string): void {
    if (this.#find(path) === undefined) return;
    this.plan.call('remove', path);
    this.#change(dirname(path), [basename(path), undefined]);
  }

  /** Every file, with its path. */
  files(): ReadonlyMap<string, SimFile> {
    const found = new Map<string, SimFile>();
    const walk = (folder: SimFolder, path: string): void => {
      for (const [name, node] of folder.names) {
        if (node instanceof SimFile) found.set(`${path}/${name}`, node);
        else walk(node, `${path}/${name}`);
      }
    };
    walk(this.#root, '');
    return found;
  }

  // ---- names ----

  #later<T>(work: () => T): Promise<T> {
    try {
      return Promise.resolve(work());
    } catch (error) {
      return this.plan.ended ? NEVER : Promise.reject(error);
    }
  }

  #change(folder: string, ...names: (readonly [string, SimNode | undefined])[]): void {
    const change: NameChange = { folder: this.#folder(folder), names };
    change.folder.change(change);
    this.#unsettled.push(change);
  }

  #settle(which: (change: NameChange) => boolean): void {
    const now = this.names === 'ordered' ? this.#unsettled : this.#unsettled.filter(which);
    for (const change of now) change.folder.settle(change);
    const left = this.#unsettled.filter((change) => !now.includes(change));
    // In place: a process that was ended, and the next one, look at the same disk.
    this.#unsettled.splice(0, Number.POSITIVE_INFINITY, ...left);
  }

  #find(path: string): SimNode | undefined {
    let node: SimNode | undefined = this.#root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      if (!(node instanceof SimFolder)) return undefined;
      node = node.names.get(name);
    }
    return node;
  }

  #folder(path: string): SimFolder {
    const node = this.#find(path);
    if (node instanceof SimFolder) return node;
    throw new DiskError(node === undefined ? 'ENOENT' : 'ENOTDIR', 'open', path);
  }

  #file(path: string): SimFile {
    const node = this.#find(path);
    if (node instanceof SimFile) return node;
    throw new DiskError(node === undefined ? 'ENOENT' : 'EISDIR', 'open', path);
  }
}

class OpenFile implements DiskFile {
  readonly #disk: SimDisk;
  readonly #path: string;
  readonly #file: SimFile;

  constructor(disk: SimDisk, path: string, file: SimFile) {
    this.#disk = disk;
    this.#path = path;
    this.#file = file;
  }

  async write(bytes: Uint8Array, offset: number, length: number): Promise<{ readonly bytesWritten: number }> {
    const part = bytes.subarray(offset, offset + length);
    return await this.#later(() => ({
      bytesWritten: this.#disk.writeAt(this.#file, this.#path, part, this.#file.size),
    }));
  }

  async datasync(): Promise<void> {
    await this.#later(() => this.#disk.syncNow(this.#file, this.#path));
  }

  sync(): Promise<void> {
    return this.datasync();
  }

  async identity(): Promise<string> {
    return String(this.#file.inode);
  }

  async close(): Promise<void> {}

  #later<T>(work: () => T): Promise<T> {
    try {
      return Promise.resolve(work());
    } catch (error) {
      return this.#disk.plan.ended ? NEVER : Promise.reject(error);
    }
  }
}

/** The folders that a path goes through, topmost first, itself last. */
function folders(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '');
  return parts.map((_, nth) => `/${parts.slice(0, nth + 1).join('/')}`);
}

function survivor(node: SimNode, found: Map<SimNode, SimNode>, chance: Chance, temper: CutTemper): SimNode {
  const known = found.get(node);
  if (known !== undefined) return known;
  if (node instanceof SimFile) {
    const file = new SimFile(node.inode, node.afterCut(chance, temper));
    found.set(node, file);
    return file;
  }
  const folder = new SimFolder(node.inode);
  found.set(node, folder);
  for (const [name, child] of node.durable) {
    const alive = survivor(child, found, chance, temper);
    folder.names.set(name, alive);
    folder.durable.set(name, alive);
  }
  return folder;
}
