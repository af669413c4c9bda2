import type { Look, LookNotice } from '../connectors/connector.ts';
import { type Chunk, endChunk } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import type { Position } from '../model/position.ts';
import { byName, fitsPattern, isPattern } from './paths.ts';
import {
  clockNotices,
  looked,
  namesOf,
  type PullOptions,
  type PullReadRange,
  type PullWay,
  unlessWritten,
  unsettled,
  waitingWords,
} from './pulls.ts';
import { fileRecords, nothingFound, patternOf } from './reading.ts';
import type { VersionedFile } from './shelf.ts';

/** The name of the last file that was taken. */
export const NAME_POSITION = 'waybill/file-name';
const MS_PER_MINUTE = 60_000;
/** So many names come with the first answer: looking at all of them costs no more than looking at the new ones. */
const NAMES_AT_ONCE = 1000;

/** What a look at the names has found. */
interface Found {
  /** Behind the position, in order; up to the first that may not be complete. */
  readonly fresh: readonly VersionedFile[];
  readonly waiting: readonly VersionedFile[];
  /** Not behind it, and never taken, or changed since. */
  readonly skipped: readonly VersionedFile[];
  readonly changed: readonly VersionedFile[];
  /** What a person wants of those that are not behind it. */
  readonly wanted: readonly VersionedFile[];
}

/**
 * Files in order of their names, each a commit of its own. The position is the name of the last one; a part is named
 * after its file and the version that was taken, so that what changes later is noticed. A file that is not complete
 * holds back those behind it, since the position would pass it by.
 */
export class NamePulls implements PullWay {
  readonly #options: PullOptions;
  /** What the last look has found, for the reading that follows it. */
  #looked: { readonly from: string | undefined; readonly found: Found } | undefined;

  constructor(options: PullOptions) {
    this.#options = options;
  }

  refuses({ kind, value }: Position): string | undefined {
    if (kind === NAME_POSITION)
      return value === '' ? 'it goes on behind the name of a file, and there is none' : undefined;
    if (kind !== 'odf/etag') return `it goes on behind the name of a file (${NAME_POSITION}), not from ${kind}`;
    return this.#nameIn(value) === undefined ? `${value} is not the name of a file that the pattern names` : undefined;
  }

  async look(range: PullReadRange, signal: AbortSignal): Promise<Look> {
    const found = await this.#find(range, signal);
    this.#looked = { from: range.from?.value, found };
    const notices = [...this.#notices(found, range.from), ...clockNotices(this.#options, found.fresh)];
    const reading = [...found.wanted, ...found.fresh];
    if (reading.length > 0) {
      const bytes = reading.reduce((sum, { version }) => sum + version.bytes, 0);
      return { kind: 'new', estimate: { bytes }, ...(notices.length === 0 ? {} : { notices }) };
    }
    const [first] = found.waiting;
    const none = range.from === undefined ? 'no file is there' : 'no name comes after that of the last file taken';
    return looked('unchanged', first === undefined ? none : waitingWords(this.#options, first), notices);
  }

  async *read(range: PullReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const kept = this.#looked;
    this.#looked = undefined;
    const found = kept !== undefined && kept.from === range.from?.value ? kept.found : await this.#find(range, signal);
    const ask = { signal, ranges: range.ranges };
    for (const file of found.wanted) yield* this.#part(file, range.from!, ask);
    for (const file of found.fresh) yield* this.#part(file, this.#positionOf(file), ask);
  }

  async *#part(file: VersionedFile, end: Position, ask: Parameters<typeof fileRecords>[2]): AsyncGenerator<Chunk> {
    const { signal } = ask;
    let held: Omit<Chunk, 'end'> | undefined;
    for await (const chunk of fileRecords(this.#options, file, ask)) {
      if (held !== undefined) yield held;
      signal.throwIfAborted();
      held = chunk;
    }
    // Before the last of it goes out: without that nothing of this file is taken.
    await unlessWritten(this.#options, file, signal);
    signal.throwIfAborted();
    const closes = partName(file);
    yield held === undefined ? endChunk(end, { firstRow: 1, closes }) : { ...held, end, closes };
  }

  #positionOf({ name }: VersionedFile): Position {
    return { sourceName: this.#options.pattern, kind: NAME_POSITION, value: name };
  }

  /** Others keep the last part of the name as an ETag: in one folder that says as much. */
  #nameIn(value: string): string | undefined {
    const { pattern } = this.#options;
    const folder = pattern.slice(0, pattern.lastIndexOf('/') + 1);
    const name = value.startsWith(folder) ? value : `${folder}${value}`;
    return !isPattern(folder) && !/[{}"]/.test(value) && value !== '' && fits(name, pattern) ? name : undefined;
  }

  async #find(range: PullReadRange, signal: AbortSignal): Promise<Found> {
    const options = this.#options;
    const after = range.from?.kind === 'odf/etag' ? this.#nameIn(range.from.value) : range.from?.value;
    const pattern = patternOf(options, range);
    const remembered = after === undefined ? undefined : await this.#remembered(range);
    const listed = await options.shelf.listVersions(pattern, remembered === undefined ? undefined : after, signal);
    if (listed.length === 0 && remembered === undefined) nothingFound(options, pattern);
    const behind = (name: string): boolean => after === undefined || byName(name, after) > 0;
    const fresh = listed.filter(({ name }) => behind(name));
    const first = fresh.findIndex(({ version }) => unsettled(options, version));
    const ready = first === -1 ? fresh : fresh.slice(0, first);
    const passed = (remembered?.late ?? listed).filter(({ name }) => !behind(name));
    const late = await lateOf(passed, range);
    if (after !== undefined && remembered === undefined) await this.#remember(range, listed.length, late);
    const wanted = after === undefined ? [] : await this.#wanted(range, { passed, late, fresh }, signal);
    return { fresh: ready, waiting: fresh.slice(ready.length), ...late, wanted };
  }

  /** Undefined: all names have to be looked at. */
  async #remembered({ pull }: PullReadRange): ReturnType<NonNullable<PullOptions['late']>['read']> {
    const { late, clock } = this.#options;
    if (late === undefined || pull.take !== undefined) return undefined;
    const found = await late.read(pull.downloads);
    if (found === undefined || found.names < NAMES_AT_ONCE) return undefined;
    const age = clock.wallMs() - found.atMs;
    return age >= 0 && age < late.everyMinutes * MS_PER_MINUTE ? found : undefined;
  }

  async #remember({ pull }: PullReadRange, names: number, { skipped, changed }: Late): Promise<void> {
    const { late, clock } = this.#options;
    await late?.write(pull.downloads, { atMs: clock.wallMs(), names, late: [...skipped, ...changed] });
  }

  async #wanted(
    { pull }: PullReadRange,
    { passed, late, fresh }: { passed: readonly VersionedFile[]; late: Late; fresh: readonly VersionedFile[] },
    signal: AbortSignal,
  ): Promise<readonly VersionedFile[]> {
    const wanted = new Map<string, VersionedFile>();
    for (const asked of pull.take ?? []) {
      const name = passed.some((file) => file.name === asked) ? asked : (partOf(asked)?.name ?? asked);
      const file = passed.find((one) => one.name === name);
      const some = file === undefined && isPattern(asked) ? matching([...late.skipped, ...late.changed], asked) : [];
      const found = file === undefined ? some : [file];
      // What lies behind the position is read anyway.
      if (found.length === 0 && !fresh.some((one) => one.name === name)) throw this.#noPart(asked);
      for (const one of found) wanted.set(one.name, one);
    }
    signal.throwIfAborted();
    return [...wanted.values()].sort((a, b) => byName(a.name, b.name));
  }

  #noPart(asked: string): WaybillError {
    const about = isPattern(asked) ? 'nothing that was skipped or has changed fits' : 'there is no file';
    return new WaybillError('SOURCE_FAILED', `${about} ${asked} among those that ${this.#options.pattern} names`, {
      hint: 'Give the whole path as `waybill state FLOW show` and the notices of a pull give it.',
      ids: { pattern: this.#options.pattern },
    });
  }

  #notices({ skipped, changed }: Found, from: Position | undefined): readonly LookNotice[] {
    const read = (files: readonly VersionedFile[]): string =>
      `\`waybill run FLOW --take ${JSON.stringify(files[0]!.name)}\` reads the first of them, and the position stays`;
    const notices: LookNotice[] = [];
    if (skipped.length > 0) {
      const about = `never taken, although not behind ${from?.value ?? ''}, up to which everything was read`;
      notices.push({ kind: 'part-skipped', message: `${about}: ${namesOf(skipped)}; ${read(skipped)}` });
    }
    if (changed.length > 0) {
      const about = 'changed since they were taken';
      notices.push({ kind: 'part-changed', message: `${about}: ${namesOf(changed)}; ${read(changed)}` });
    }
    return notices;
  }
}

interface Late {
  readonly skipped: readonly VersionedFile[];
  readonly changed: readonly VersionedFile[];
}

/**
 * Which of the files that are not behind the position were not taken as they are now. Where nothing was ever taken the
 * position comes from elsewhere, and nothing can be said of what lies before it.
 */
async function lateOf(passed: readonly VersionedFile[], { pull }: PullReadRange): Promise<Late> {
  const skipped: VersionedFile[] = [];
  const changed: VersionedFile[] = [];
  if (passed.length === 0) return { skipped, changed };
  const taken = await pull.taken();
  if (taken.size === 0) return { skipped, changed };
  const names = new Set<string>();
  for (const part of taken) names.add(partOf(part)?.name ?? part);
  for (const file of passed) {
    if (!names.has(file.name)) skipped.push(file);
    else if (!taken.has(partName(file)) && !taken.has(file.name)) changed.push(file);
  }
  return { skipped, changed };
}

const matching = (files: readonly VersionedFile[], pattern: string): readonly VersionedFile[] =>
  files.filter(({ name }) => fits(name, pattern));

function fits(name: string, pattern: string): boolean {
  try {
    return fitsPattern(name, pattern);
  } catch (error) {
    // A pattern that leads out of the root names nothing here.
    if (error instanceof WaybillError) return false;
    throw error;
  }
}

/** `data/a.csv@dq2x7k9h3a1s.64`: the file, and which version of it. */
export function partName({ name, version }: VersionedFile): string {
  return `${name}@${version.tag.replace(/[^A-Za-z0-9.-]/g, '')}`;
}

/** What a part is called by people: its file. */
export function partOf(part: string): { readonly name: string } | undefined {
  const at = part.lastIndexOf('@');
  return at > 0 && /^[A-Za-z0-9.-]+$/.test(part.slice(at + 1)) ? { name: part.slice(0, at) } : undefined;
}
