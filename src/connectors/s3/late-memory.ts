import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LateFound, LateMemory } from '../../objects/pulls.ts';
import type { VersionedFile } from '../../objects/shelf.ts';

const FILE = 'names.json';

/** Keeps what a listing of all names has found, so that the next pulls need not list them again. */
export function lateMemory(everyMinutes: number, about: string): LateMemory {
  return {
    everyMinutes,
    async read(folder) {
      const kept = keptIn(await readIfThere(join(folder, FILE)));
      return kept?.about === about ? kept.found : undefined;
    },
    async write(folder, found) {
      await mkdir(folder, { recursive: true });
      const draft = join(folder, `.${FILE}`);
      await writeFile(
        draft,
        JSON.stringify({ about, found }, (_key, value) => plain(value)),
      );
      await rename(draft, join(folder, FILE));
    },
  };
}

const plain = (value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return '';
  }
}

type Kept = { about: string; found: LateFound };
type Written = { name: string; path: string; version: { bytes: number; tag: string; writtenNs: string } };

/** Undefined where it cannot be read: then all names are listed. */
function keptIn(text: string): Kept | undefined {
  try {
    const { about, found } = JSON.parse(text) as { about: string; found: LateFound & { late: Written[] } };
    return { about, found: { ...found, late: found.late.map(revived) } };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

function revived({ version, ...file }: Written): VersionedFile {
  const writtenNs = BigInt(version.writtenNs);
  return { ...file, version: { ...version, writtenNs, touchedNs: writtenNs } };
}
