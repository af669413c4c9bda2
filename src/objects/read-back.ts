import { posix, sep } from 'node:path';
import { fillPath, fitsPattern, placeholdersOf } from './paths.ts';

/** Where records lie: `root` is a folder or a bucket, `path` a name below it, a pattern or a template. */
export interface Territory {
  readonly root: string;
  readonly path: string;
}

/**
 * Whether a source reads what a sink writes: it would be read again by the next run, and be written once more. What a
 * run fills in is the same text on both sides.
 */
export function readsBack(source: Territory, sink: Territory): boolean {
  const way = posix.relative(posix.resolve('/', slashes(source.root)), posix.resolve('/', slashes(sink.root)));
  const [pattern, name] = [sampleOf(source.path), posix.join(way, sampleOf(sink.path))];
  return !name.startsWith('../') && fitsPattern(name, pattern);
}

/** What a sink writes to, spelled alike by all that write there. */
export function objectPlace({ root, path }: Territory, lane: { readonly flow: string; readonly lane: string }): string {
  return posix.join(slashes(root), sampleOf(path, { ...lane }));
}

const slashes = (path: string): string => path.split(sep).join('/');

/** A name as a run makes it, with something for whatever it would fill in. */
function sampleOf(path: string, known: Readonly<Record<string, string>> = {}): string {
  const names = placeholdersOf(path);
  return fillPath(path, Object.fromEntries(names.map((name) => [name, known[name] ?? `waybill-${name}`])));
}
