import { lstat, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

/** `waybill-tap-`, the process, the machine, and what makes it the only one. */
const NAME = /^waybill-tap-(\d+)-([A-Za-z0-9]*)-\w+$/;
const thisMachine = (): string => hostname().replaceAll(/[^A-Za-z0-9]/g, '');

/**
 * Files that a tap is started with, in a folder that nobody else may look into. They hold secrets: whoever is killed
 * before the tap runs cannot remove them, so the next one does.
 */
export class TapFiles {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<TapFiles> {
    await removeLeft();
    return new TapFiles(await mkdtemp(join(tmpdir(), `waybill-tap-${process.pid}-${thisMachine()}-`)));
  }

  /** Writes a JSON text and answers its path. */
  async write(name: string, json: string): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, json, { mode: 0o600 });
    return path;
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Removes folders of this user's processes that are gone. Those of another machine that shares the place stay. */
async function removeLeft(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [, pid, machine] = NAME.exec(name) ?? [];
    if (pid === undefined || machine !== thisMachine() || isAlive(Number(pid))) continue;
    const folder = join(tmpdir(), name);
    const found = await lstat(folder).catch(ifMissing);
    if (found?.isDirectory() === true && found.uid === process.getuid?.())
      await rm(folder, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, and somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Another one was quicker. */
function ifMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
