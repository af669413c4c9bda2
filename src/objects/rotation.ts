import type { LinePlace } from './line-place.ts';
import { marked, type Stretch } from './line-stretch.ts';
import { byName, isPattern } from './paths.ts';
import type { VersionedFile, VersionedShelf } from './shelf.ts';

/** What those who rotate files put behind a name: `.1`, `.2.gz`, `-20261121`, `.2026-11-21T10`. */
const SUFFIX = /^[.-][0-9][0-9TZ_.:-]*(\.gz)?$/;
const SIBLINGS_MAX = 1000;

/**
 * Where what was read goes on, when the file of that name is another one now: the rest of the old file, and all of
 * those that came between. Undefined: none of the files beside it is the one that was read.
 */
export async function rotatedAway(
  shelf: VersionedShelf,
  { file, place }: { readonly file: VersionedFile; readonly place: LinePlace },
  signal: AbortSignal,
): Promise<readonly Stretch[] | undefined> {
  const beside = await siblingsOf(shelf, file.name, signal);
  for (const [at, sibling] of beside.entries()) {
    const found = await marked(shelf, sibling, place, signal);
    if (found === undefined) continue;
    const { offset, row, line, columns } = place;
    const rest: Stretch = { file: sibling, from: { offset, row, line, columns, ...found }, ended: true };
    // They are in order of age, the youngest first.
    return [rest, ...beside.slice(0, at).reverse().map(whole)];
  }
  return undefined;
}

async function siblingsOf(shelf: VersionedShelf, name: string, signal: AbortSignal): Promise<readonly VersionedFile[]> {
  if (isPattern(name)) return [];
  const all = [
    ...(await shelf.listVersions(`${name}.*`, undefined, signal)),
    ...(await shelf.listVersions(`${name}-*`, undefined, signal)),
  ];
  return all
    .filter((file) => SUFFIX.test(file.name.slice(name.length)))
    .sort(byAge)
    .slice(0, SIBLINGS_MAX);
}

/** The youngest first. Of one moment the one with the smaller name is younger: `.1` before `.2`. */
function byAge(a: VersionedFile, b: VersionedFile): number {
  if (a.version.writtenNs !== b.version.writtenNs) return a.version.writtenNs > b.version.writtenNs ? -1 : 1;
  return a.name.length - b.name.length || byName(a.name, b.name);
}

const NOTHING = new Uint8Array(0);
const whole = (file: VersionedFile): Stretch => ({
  file,
  from: { offset: 0, row: 1, line: 1, head: NOTHING, tail: NOTHING },
  ended: true,
});
