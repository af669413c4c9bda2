import { constants, type Dirent } from 'node:fs';
import { chmod, link, open, readdir, readFile, rmdir, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { segmentsOf } from '../../objects/paths.ts';
import { LOADS_FOLDER } from '../../objects/place.ts';
import type { Content, Held, Listed, ObjectStore, Protection } from '../../objects/store.ts';
import { away } from './away.ts';
import { undecided, writtenDraft } from './draft.ts';
import { openBytes } from './open-file.ts';
import { confinedFolder, madeTarget, syncFolder } from './target.ts';
import { unlessGone, VersionedFile } from './versions.ts';

/** A folder as a store of objects: each is a file that gets its name when it is whole and on the disk. */
export class FolderStore implements ObjectStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  address(name: string): string {
    return name;
  }

  async create(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<'made' | 'there'> {
    signal.throwIfAborted();
    const { target, folder } = await madeTarget(this.#root, name).catch(away(name));
    const draft = await writtenDraft(join(folder, `.${basename(target)}`), [bytes]).catch(away(name));
    let made: 'made' | 'there' = 'made';
    try {
      await link(draft, target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw away(name)(error);
      made = 'there';
    } finally {
      await unlink(draft).catch(undecided(`what ${name} was made from could not be removed`));
    }
    await syncFolder(folder).catch(undecided(`the name ${name} may not have reached the disk`));
    return made;
  }

  async read(name: string, signal: AbortSignal): Promise<Held | undefined> {
    for (;;) {
      signal.throwIfAborted();
      const file = await this.#versioned(name);
      const version = await file?.current().catch(away(name));
      if (file === undefined || version == null) return undefined;
      try {
        return { bytes: await readFile(file.pathOf(version)), version: String(version) };
      } catch (error) {
        // It was replaced between the two.
        unlessGone(error);
      }
    }
  }

  async version(name: string, signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted();
    const version = await (await this.#versioned(name))?.current().catch(away(name));
    return version == null ? null : String(version);
  }

  async swap(
    name: string,
    content: Content,
    expected: string | null,
    signal: AbortSignal,
  ): Promise<'done' | 'changed'> {
    signal.throwIfAborted();
    await madeTarget(this.#root, `${VersionedFile.folderOf(name)}/next`).catch(away(name));
    const { target, folder } = await madeTarget(this.#root, name).catch(away(name));
    const file = new VersionedFile(target, folder);
    const draft = await file.draft(content.pieces()).catch(away(name));
    let taken: boolean;
    try {
      taken = await file.take(draft, Number(expected ?? 0));
    } catch (error) {
      throw undecided(`whether ${name} was replaced is not known`)(error);
    } finally {
      await unlink(draft).catch(undecided(`what ${name} was made from could not be removed`));
    }
    if (!taken) return 'changed';
    await file.show().catch(undecided(`${name} may not have reached the disk`));
    return 'done';
  }

  async list(beginning: string, signal: AbortSignal): Promise<readonly Listed[]> {
    const at = beginning.lastIndexOf('/') + 1;
    const [folder, start] = [beginning.slice(0, at), beginning.slice(at)];
    const found: Listed[] = [];
    await this.#walk(folder, start, found, signal);
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Folders with a dot are entered where they are asked for, and passed over otherwise. */
  async #walk(folder: string, start: string, found: Listed[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    for (const entry of await entriesOf(join(this.#root, folder))) {
      if (!entry.name.startsWith(start)) continue;
      const name = `${folder}${entry.name}`;
      if (entry.isDirectory() && (start !== '' || !entry.name.startsWith('.'))) {
        await this.#walk(`${name}/`, '', found, signal);
      }
      if (entry.isFile()) found.push({ name, bytes: await sizeOf(join(this.#root, name)) });
    }
  }

  async *pieces(name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.throwIfAborted();
    const file = await open(this.#path(name), constants.O_RDONLY | constants.O_NOFOLLOW).catch(away(name));
    try {
      for await (const bytes of openBytes(file, (await file.stat()).size)) {
        signal.throwIfAborted();
        yield bytes;
      }
    } finally {
      await file.close();
    }
  }

  async copy(from: string, to: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { target, folder } = await madeTarget(this.#root, to).catch(away(to));
    try {
      await link(this.#path(from), target);
    } catch (error) {
      // Names of copies say of what they are one: an earlier try has made it.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw away(to)(error);
    }
    await syncFolder(folder).catch(undecided(`the name ${to} may not have reached the disk`));
  }

  async remove(names: readonly string[], signal: AbortSignal): Promise<void> {
    const folders = new Set<string>();
    for (const name of names) {
      signal.throwIfAborted();
      await unlink(this.#path(name)).catch(unlessGone);
      folders.add(dirname(this.#path(name)));
    }
    for (const folder of folders) {
      // The folder of a load goes with the last of it; any other stays, also when it is empty.
      if (basename(dirname(folder)) === LOADS_FOLDER) await rmdir(folder).catch(unlessFull);
      else await syncFolder(folder).catch(unlessGone);
    }
  }

  async protect(names: readonly string[], signal: AbortSignal): Promise<Protection> {
    for (const name of names) {
      signal.throwIfAborted();
      await chmod(this.#path(name), 0o444).catch(away(name));
    }
    return { how: 'write permission withdrawn', versions: new Map() };
  }

  async seal(folder: string): Promise<void> {
    await chmod(this.#path(folder), 0o555).catch(unlessGone);
  }

  async release(folder: string): Promise<void> {
    await chmod(this.#path(folder), 0o755).catch(unlessGone);
  }

  async afterlife(): Promise<string> {
    return 'nothing of it remains';
  }

  #path(name: string): string {
    return join(this.#root, ...segmentsOf(name));
  }

  /** Undefined: the folder of the file is not there, and neither is the file. */
  async #versioned(name: string): Promise<VersionedFile | undefined> {
    const target = this.#path(name);
    const folder = await confinedFolder(this.#root, name).catch(away(name));
    return folder === undefined ? undefined : new VersionedFile(target, folder);
  }
}

async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    unlessGone(error);
    return [];
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    unlessGone(error);
    return 0;
  }
}

function unlessFull(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') unlessGone(error);
}
