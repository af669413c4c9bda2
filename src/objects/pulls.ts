import type { Look, LookNotice, PullRange, Pulls, ReadRange, Source } from '../connectors/connector.ts';
import type { Chunk } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import type { ReadingOptions } from './reading.ts';
import type { FileVersion, FoundFile, VersionedFile, VersionedShelf } from './shelf.ts';

/** What is new in a pull: files by their names, lines by their offset, or one file when it has changed. */
export const PULL_BY = ['name', 'offset', 'version'] as const;
export type PullBy = (typeof PULL_BY)[number];

export interface PullOptions extends ReadingOptions {
  readonly shelf: VersionedShelf;
  readonly pullBy?: PullBy | undefined;
  /** A file that was written to within this time may not be complete. */
  readonly settleSeconds: number;
  readonly clock: { wallMs(): number };
  /** Where looking at every name is dear: what was found when that was done last. */
  readonly late?: LateMemory | undefined;
}

export type PullReadRange = ReadRange & { readonly pull: PullRange };

/** One way to pull, and the reading that belongs to it. */
export interface PullWay extends Pulls {
  read(range: PullReadRange, signal: AbortSignal): AsyncIterable<Chunk>;
}

/** What a look at all names has found; kept in the folder for downloads, where it may be lost. */
export interface LateMemory {
  /** After so many minutes all names are looked at again. */
  readonly everyMinutes: number;
  read(folder: string): Promise<LateFound | undefined>;
  write(folder: string, found: LateFound): Promise<void>;
}

export interface LateFound {
  readonly atMs: number;
  /** How many names there were. */
  readonly names: number;
  readonly late: readonly VersionedFile[];
}

const NS_PER_MS = 1_000_000n;
const MS_PER_SECOND = 1000;
export const NAMES_SHOWN = 5;

/** How long ago a file was written, by the clock of this machine; less than 0: later than that clock says. */
export const ageMs = ({ clock }: PullOptions, { writtenNs }: FileVersion): number =>
  clock.wallMs() - Number(writtenNs / NS_PER_MS);

/** Whether somebody may be writing it. A clock that runs ahead by more than the time to settle says nothing of that. */
export function unsettled(options: PullOptions, version: FileVersion): boolean {
  const settleMs = options.settleSeconds * MS_PER_SECOND;
  return settleMs > 0 && Math.abs(ageMs(options, version)) < settleMs;
}

export function waitingWords(options: PullOptions, { name }: FoundFile): string {
  return (
    `${name} was written to less than ${options.settleSeconds} s ago, and may not be complete: it is left for a ` +
    'later pull (`settleSeconds`)'
  );
}

/** Those that were written in the future: a clock has gone back, here or there. */
export function clockNotices(options: PullOptions, files: readonly VersionedFile[]): readonly LookNotice[] {
  const ahead = files.filter(({ version }) => ageMs(options, version) < -options.settleSeconds * MS_PER_SECOND);
  if (ahead.length === 0) return [];
  const about =
    'by the clock of this machine written in the future; whether they are complete is not told by their age';
  return [{ kind: 'clock-went-back', message: `${namesOf(ahead)}: ${about}` }];
}

/** `3 files: a.csv, b.csv, c.csv`; the first few of many. */
export function namesOf(files: readonly FoundFile[]): string {
  const shown = files.slice(0, NAMES_SHOWN).map(({ name }) => name);
  const more = files.length > shown.length ? ', …' : '';
  return `${files.length === 1 ? '1 file' : `${files.length} files`}: ${shown.join(', ')}${more}`;
}

/** The file is read as one version of it: throws when another one lies there afterwards. */
export async function unlessWritten(options: PullOptions, file: VersionedFile, signal: AbortSignal): Promise<void> {
  if (options.shelf.pins) return;
  const now = await options.shelf.find(file.name, signal);
  if (now?.version.tag === file.version.tag && now.version.touchedNs === file.version.touchedNs) return;
  throw new WaybillError('SOURCE_FAILED', `${file.name} was written to while it was read`, {
    hint: 'Nothing of it was taken. Pull again when it is complete, or raise `settleSeconds` of the source.',
    ids: { path: file.name },
  });
}

/** The file as it is now, to be read as that. */
export async function asItIs(options: PullOptions, file: VersionedFile, signal: AbortSignal): Promise<VersionedFile> {
  const now = options.shelf.pins ? file : await options.shelf.find(file.name, signal);
  if (now !== undefined) return now;
  throw new WaybillError('SOURCE_FAILED', `${file.name} is gone, which was there a moment ago`, {
    ids: { path: file.name },
  });
}

export const looked = (kind: 'unchanged', why: string, notices: readonly LookNotice[] = []): Look => ({
  kind,
  why,
  ...(notices.length === 0 ? {} : { notices }),
});

/** A source that reads as another way says where only what is new is asked for. */
export function withPulls(source: Source, way: PullWay): Source {
  return {
    ...source,
    read: (range, signal) => {
      const { pull } = range;
      return pull === undefined ? source.read(range, signal) : way.read({ ...range, pull }, signal);
    },
    pulls: {
      refuses: (position) => way.refuses(position),
      look: (range, signal) => way.look(range, signal),
    },
  };
}
