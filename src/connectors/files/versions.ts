import { link, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { WaybillError } from '../../model/errors.ts';
import { writtenDraft } from './draft.ts';
import { syncFolder } from './target.ts';

/** Beside the files that are replaced as a whole; a name with a dot, which patterns pass over. */
const FOLDER = '.waybill-versions';
const TRIES_MAX = 1000;

/**
 * A file that is replaced as a whole, by whoever saw the version before. A folder knows no such condition, so each
 * version is a file with a number: of several processes that make the same number, one succeeds, and the largest
 * number is what counts. The file that people read is a second name of it. A process that was asleep between the two
 * may lead that name back for a moment; so whoever has moved it looks again, and whoever looks mends it.
 */
export class VersionedFile {
  readonly #target: string;
  readonly #folder: string;
  readonly #versions: string;

  constructor(target: string, folder: string) {
    this.#target = target;
    this.#folder = folder;
    this.#versions = join(folder, FOLDER, basename(target));
  }

  static folderOf(name: string): string {
    const at = name.lastIndexOf('/') + 1;
    return `${name.slice(0, at)}${FOLDER}/${name.slice(at)}`;
  }

  /** The largest number; 0: there is a file that has none; null: there is no file. */
  async current(): Promise<number | null> {
    const largest = await this.#largest();
    if (largest > 0) {
      await this.#pointed();
      return largest;
    }
    return (await inodeOf(this.#target)) === undefined ? null : 0;
  }

  /** Where the content of a version lies. */
  pathOf(version: number): string {
    return version === 0 ? this.#target : join(this.#versions, String(version));
  }

  async draft(pieces: AsyncIterable<Uint8Array>): Promise<string> {
    return await writtenDraft(join(this.#versions, 'next'), pieces);
  }

  /** Makes a draft the version after `expected`; false when there is one already. */
  async take(draft: string, expected: number): Promise<boolean> {
    const mine = this.pathOf(expected + 1);
    try {
      await link(draft, mine);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
    // Numbers that were replaced are removed, so one that is free may lie behind the largest.
    if ((await this.#largest()) === expected + 1) return true;
    await unlink(mine);
    return false;
  }

  /** Leads the name that people read to the largest number, and removes the smaller ones. */
  async show(): Promise<void> {
    await syncFolder(this.#versions);
    const shown = await this.#pointed();
    for (const number of await this.#numbers()) {
      if (number < shown) await unlink(this.pathOf(number)).catch(unlessGone);
    }
  }

  async #pointed(): Promise<number> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const largest = await this.#largest();
      const [wanted, there] = [await inodeOf(this.pathOf(largest)), await inodeOf(this.#target)];
      if (wanted === undefined) continue;
      if (wanted === there && (await this.#largest()) === largest) return largest;
      await this.#move(largest);
    }
    throw new WaybillError('SINK_AWAY', `${this.#target} was changed by others ${TRIES_MAX} times meanwhile`);
  }

  async #move(version: number): Promise<void> {
    const way = join(this.#versions, `${version}.${process.pid}.way`);
    await unlink(way).catch(unlessGone);
    try {
      await link(this.pathOf(version), way);
    } catch (error) {
      return unlessGone(error);
    }
    await rename(way, this.#target);
    // Two names of one file: renaming one to the other does nothing, and leaves both.
    await unlink(way).catch(unlessGone);
    await syncFolder(this.#folder);
  }

  async #largest(): Promise<number> {
    return Math.max(0, ...(await this.#numbers()));
  }

  async #numbers(): Promise<readonly number[]> {
    const names = await readdir(this.#versions).catch((error: unknown) => {
      unlessGone(error);
      return [];
    });
    return names.filter((name) => /^\d{1,15}$/.test(name)).map(Number);
  }
}

/** Nothing at all for a file that is not there; throws for any other trouble. */
export function unlessGone(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

async function inodeOf(path: string): Promise<string | undefined> {
  try {
    const { ino, dev } = await stat(path);
    return `${dev}:${ino}`;
  } catch (error) {
    unlessGone(error);
    return undefined;
  }
}
