import { createHash, type Hash } from 'node:crypto';
import type { Look } from '../connectors/connector.ts';
import { type Chunk, endChunk } from '../model/chunk.ts';
import type { Position } from '../model/position.ts';
import {
  ageMs,
  asItIs,
  clockNotices,
  looked,
  type PullOptions,
  type PullReadRange,
  type PullWay,
  unlessWritten,
  unsettled,
  waitingWords,
} from './pulls.ts';
import { fileRecords, nothingFound, patternOf } from './reading.ts';
import { formatOf } from './record-format.ts';
import type { FileVersion, VersionedFile, VersionedShelf } from './shelf.ts';

/** Names what lay under a name: the ETag of an object; the size of a file, a digest of its content, and two times. */
export const VERSION_POSITION = 'odf/etag';
const TIME_POSITION = 'odf/last-modified';
const DIGEST_LENGTH = 32;
/** Two changes within this time may carry the same time: file systems count in ticks of some milliseconds. */
const TICK_MS = 1000;

type Comparison = 'same' | 'other' | 'by-content';

/**
 * One file, all of it whenever it has changed. Times alone cannot say that: two changes may fall into one tick of the
 * clock, and a copy may bring its old time with it. So a file that is as large as before is compared by its content
 * wherever its times do not settle the matter.
 */
export class VersionPulls implements PullWay {
  readonly #options: PullOptions;

  constructor(options: PullOptions) {
    this.#options = options;
  }

  refuses({ kind, value }: Position): string | undefined {
    if (kind === TIME_POSITION) return timeOf(value) === undefined ? `${value} is no time in RFC 3339` : undefined;
    if (kind !== VERSION_POSITION) return `it knows an ETag or when a file was changed, not ${kind}`;
    const readable = this.#options.shelf.pins ? value !== '' : fingerprintOf(value) !== undefined;
    return readable ? undefined : `${value} is no ETag that this source has given`;
  }

  async look(range: PullReadRange, signal: AbortSignal): Promise<Look> {
    const file = await this.#file(range, signal);
    if (file === undefined) return looked('unchanged', 'no file is there');
    const notices = clockNotices(this.#options, [file]);
    if (unsettled(this.#options, file.version)) return looked('unchanged', waitingWords(this.#options, file), notices);
    const unchanged = (await this.#compared(range, file, signal)) === 'same';
    if (unchanged) return looked('unchanged', `${file.name} is the one that was read`, notices);
    const { bytes } = file.version;
    return { kind: 'new', estimate: { bytes }, ...(notices.length === 0 ? {} : { notices }) };
  }

  async *read(range: PullReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const found = await this.#file(range, signal);
    if (found === undefined || unsettled(this.#options, found.version)) return;
    const file = await asItIs(this.#options, found, signal);
    if ((await this.#compared(range, file, signal)) === 'same') return;
    if (await this.#onlyTouched(range, file, signal)) {
      const end = await this.#positionOf(file, fingerprintOf(range.from!.value)!.digest, signal);
      yield endChunk(end, { firstRow: 1 });
      return;
    }
    yield* this.#records(file, { signal, ranges: range.ranges });
  }

  async *#records(file: VersionedFile, ask: Parameters<typeof fileRecords>[2]): AsyncGenerator<Chunk> {
    const { shelf } = this.#options;
    const { signal } = ask;
    const hash = shelf.pins || formatOf(file.name, this.#options) === 'parquet' ? undefined : createHash('sha256');
    const options = hash === undefined ? this.#options : { ...this.#options, shelf: digesting(shelf, hash) };
    let [held, firstRow]: [Omit<Chunk, 'end'> | undefined, number] = [undefined, 1];
    for await (const chunk of fileRecords(options, file, ask)) {
      if (held !== undefined) yield held;
      signal.throwIfAborted();
      held = chunk;
      firstRow = chunk.firstRow + chunk.count;
    }
    const end = await this.#positionOf(file, hash === undefined ? undefined : shown(hash), signal);
    signal.throwIfAborted();
    yield held === undefined ? endChunk(end, { firstRow }) : { ...held, end };
  }

  async #file(range: PullReadRange, signal: AbortSignal): Promise<VersionedFile | undefined> {
    const name = patternOf(this.#options, range);
    const file = await this.#options.shelf.find(name, signal);
    if (file === undefined) nothingFound(this.#options, name);
    return file;
  }

  async #compared({ from, pull }: PullReadRange, file: VersionedFile, signal: AbortSignal): Promise<'same' | 'other'> {
    if (from === undefined || pull.force === true) return 'other';
    const { version } = file;
    if (from.kind === TIME_POSITION) return sameTime(from.value, version) ? 'same' : 'other';
    if (this.#options.shelf.pins) return bare(from.value) === bare(version.tag) ? 'same' : 'other';
    const compared = comparedBy(from.value, version);
    if (compared !== 'by-content') return compared;
    return (await this.#digest(file, signal)) === fingerprintOf(from.value)?.digest ? 'same' : 'other';
  }

  /** Its times are others, and what is in it is the same: only the position changes. */
  async #onlyTouched({ from, pull }: PullReadRange, file: VersionedFile, signal: AbortSignal): Promise<boolean> {
    if (from?.kind !== VERSION_POSITION || this.#options.shelf.pins || pull.force === true) return false;
    const before = fingerprintOf(from.value);
    return before?.bytes === file.version.bytes && before.digest === (await this.#digest(file, signal));
  }

  async #positionOf(file: VersionedFile, digest: string | undefined, signal: AbortSignal): Promise<Position> {
    const { pattern, shelf } = this.#options;
    const position = { sourceName: pattern, kind: VERSION_POSITION };
    if (shelf.pins) return { ...position, value: file.version.tag };
    const content = digest ?? (await this.#digest(file, signal));
    await unlessWritten(this.#options, file, signal);
    const { bytes, writtenNs, touchedNs } = file.version;
    // Times so young may be had by another change, too: without them the next look compares what is in the file.
    const young = Math.min(Math.abs(ageMs(this.#options, file.version)), this.#sinceTouched(file)) < TICK_MS;
    return { ...position, value: `${bytes}.${content}${young ? '' : `.${writtenNs}.${touchedNs}`}` };
  }

  #sinceTouched({ version }: VersionedFile): number {
    return Math.abs(ageMs(this.#options, { ...version, writtenNs: version.touchedNs }));
  }

  async #digest(file: VersionedFile, signal: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    for await (const bytes of this.#options.shelf.bytes(file, signal)) {
      signal.throwIfAborted();
      hash.update(bytes);
    }
    return shown(hash);
  }
}

/** Some write the quotes of an ETag, and some do not. */
const bare = (tag: string): string => tag.replaceAll('"', '');
const shown = (hash: Hash): string => hash.digest('hex').slice(0, DIGEST_LENGTH);

interface Fingerprint {
  readonly bytes: number;
  readonly digest: string;
  readonly times: string | undefined;
}

function fingerprintOf(value: string): Fingerprint | undefined {
  const match = /^([0-9]{1,15})\.([0-9a-f]{32})(?:\.(-?[0-9]{1,20}\.-?[0-9]{1,20}))?$/.exec(value);
  return match === null ? undefined : { bytes: Number(match[1]), digest: match[2]!, times: match[3] };
}

function comparedBy(value: string, { bytes, writtenNs, touchedNs }: FileVersion): Comparison {
  const before = fingerprintOf(value);
  if (before === undefined || before.bytes !== bytes) return 'other';
  if (before.times === undefined) return 'by-content';
  return before.times === `${writtenNs}.${touchedNs}` ? 'same' : 'other';
}

interface Time {
  readonly ns: bigint;
  /** Nanoseconds that it is exact to. */
  readonly step: bigint;
}

const NS_PER_SECOND = 1_000_000_000n;
const FRACTION_DIGITS = 9;

function timeOf(value: string): Time | undefined {
  const match = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/.exec(value);
  if (match === null) return undefined;
  const [, day, time, fraction = '', zone = ''] = match;
  const ms = Date.parse(`${day}T${time}${zone.toUpperCase()}`);
  if (Number.isNaN(ms)) return undefined;
  const ns = (BigInt(ms) / 1000n) * NS_PER_SECOND + BigInt(fraction.padEnd(FRACTION_DIGITS, '0'));
  return { ns, step: 10n ** BigInt(FRACTION_DIGITS - fraction.length) };
}

/** Others round to what they keep, up or down. */
function sameTime(value: string, { writtenNs }: FileVersion): boolean {
  const time = timeOf(value);
  if (time === undefined) return false;
  const apart = time.ns > writtenNs ? time.ns - writtenNs : writtenNs - time.ns;
  return apart < time.step;
}

/** The same shelf, whose bytes are digested on their way. */
function digesting(shelf: VersionedShelf, hash: Hash): VersionedShelf {
  return {
    where: shelf.where,
    pins: shelf.pins,
    list: (pattern, signal) => shelf.list(pattern, signal),
    listVersions: (pattern, after, signal) => shelf.listVersions(pattern, after, signal),
    find: (name, signal) => shelf.find(name, signal),
    open: (file, signal) => shelf.open(file, signal),
    size: (file) => shelf.size(file),
    ...(shelf.parts === undefined ? {} : { parts: shelf.parts }),
    async *bytes(file, signal) {
      for await (const bytes of shelf.bytes(file, signal)) {
        hash.update(bytes);
        yield bytes;
      }
    },
  };
}
