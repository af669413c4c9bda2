import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a command said when it failed; undefined when it went well. */
export function failed(command: string, ...words: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync(command, words, { encoding: 'utf8' });
  if (status === 0) return undefined;
  return `${command}: ${error?.message ?? stderr.trim()}`;
}

export const must = (command: string, ...words: readonly string[]): void => {
  const said = failed(command, ...words);
  if (said !== undefined) throw new RangeError(said);
};

/** Mounts that are to be undone, the last one first. */
export class Mounts {
  #folders: string[] = [];

  /** A disk of this size in memory. Returns why it cannot be had, where the machine does not allow it. */
  tmpfs(folder: string, size: string): string | undefined {
    mkdirSync(folder, { recursive: true });
    const said = failed('mount', '-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder);
    if (said === undefined) this.#folders.push(folder);
    return said;
  }

  loop(image: string, folder: string): string | undefined {
    mkdirSync(folder, { recursive: true });
    const said = failed('mount', '-o', 'loop', image, folder);
    if (said === undefined) this.#folders.push(folder);
    return said;
  }

  resize(folder: string, size: string): void {
    must('mount', '-o', `remount,size=${size}`, folder);
  }

  undo(folder: string): void {
    must('umount', folder);
    this.#folders = this.#folders.filter((one) => one !== folder);
  }

  undoAll(): void {
    for (const folder of [...this.#folders].reverse()) this.undo(folder);
  }
}

/** Makes ext4 write nothing any more, not even its own log: all that was not synced is lost with the next mount. */
const SHUTDOWN = [
  'import fcntl, os, struct, sys',
  'fd = os.open(sys.argv[1], os.O_RDONLY)',
  "fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))",
].join('\n');

/**
 * A disk whose power can be cut: ext4 in a file behind a loop device. `cut` stops every write at that moment, and
 * `restart` mounts what had reached the disk by then.
 */
export class PowerDisk {
  readonly #folder = mkdtempSync(join(tmpdir(), 'waybill-disk-'));
  readonly #mounts = new Mounts();
  readonly image = join(this.#folder, 'image');

  /** Why this machine has no such disk; undefined when it has. */
  static missing(): string | undefined {
    const disk = new PowerDisk();
    const folder = join(disk.#folder, 'try');
    try {
      const said = disk.format() ?? disk.mount(folder) ?? disk.cut(folder);
      return said;
    } finally {
      disk.close();
    }
  }

  format(): string | undefined {
    return (
      failed('truncate', '-s', '64M', this.image) ?? failed('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0', this.image)
    );
  }

  mount(folder: string): string | undefined {
    return this.#mounts.loop(this.image, folder);
  }

  cut(folder: string): string | undefined {
    return failed('python3', '-c', SHUTDOWN, folder);
  }

  restart(folder: string): void {
    this.#mounts.undo(folder);
    const said = this.mount(folder);
    if (said !== undefined) throw new RangeError(said);
  }

  close(): void {
    this.#mounts.undoAll();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
