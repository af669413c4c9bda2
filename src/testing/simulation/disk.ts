import type { Journal, JournalEntry } from '../../ledger/journal.ts';
import type { AttemptRef, StagedAt } from '../../ledger/ledger.ts';
import type { Staged, StagedDraft, StagedRanges, Staging, StagingWriter } from '../../ledger/staging.ts';
import { WaybillError } from '../../model/errors.ts';
import { type RunId, showRun } from '../../model/ids.ts';
import { never, type SimProcess } from './process.ts';
import type { Tape } from './tape.ts';

const SYNC_MS_MAX = 8;

interface StagedEntry {
  readonly staged: Staged;
  /** Where the bytes are to be had again: the judges of a schedule see them all the same. */
  readonly ranges: StagedDraft['ranges'];
  /** False until a sync: only the memory of the machine holds it, which outlives a process but no power cut. */
  durable: boolean;
  torn: boolean;
}

interface JournalLine {
  readonly struck: boolean;
  readonly entry: JournalEntry | (AttemptRef & { readonly ledger?: string });
  durable: boolean;
}

/** What lies on the disk of the simulated machine: staged batches and the lines of the journal. */
export class Disk {
  readonly staged = new Map<string, StagedEntry>();
  journal: JournalLine[] = [];
  #segments = 0;

  nextSegment(): number {
    return ++this.#segments;
  }

  /** What was not synced is there, gone or half there afterwards, piece by piece. */
  losePower(tape: Tape): number {
    let lost = 0;
    for (const [place, entry] of this.staged) {
      if (entry.durable) continue;
      lost++;
      const fate = tape.pick(['gone', 'torn', 'kept'] as const);
      if (fate === 'gone') this.staged.delete(place);
      else {
        entry.torn = fate === 'torn';
        entry.durable = true;
      }
    }
    const kept = this.journal.filter((line) => line.durable || tape.draw(2) === 1);
    lost += this.journal.length - kept.length;
    this.journal = kept;
    for (const line of kept) line.durable = true;
    return lost;
  }

  /** Answers that were heard and are in no ledger yet. */
  get openAnswers(): number {
    return openEntries(this.journal).length;
  }

  /** Whether the answer to an attempt is safe from the death of a process: in the journal, or carried on from it. */
  hasAnswer(batch: number, attempt: number): boolean {
    return this.journal.some(({ entry }) => entry.batch === batch && entry.attempt === attempt);
  }

  find(at: StagedAt): Staged {
    return this.entry(at).staged;
  }

  entry(at: StagedAt): StagedEntry {
    const entry = this.staged.get(placeOf(at));
    if (entry !== undefined && !entry.torn) return entry;
    throw new WaybillError('STAGING_CORRUPT', `the staged bytes at ${placeOf(at)} are ${entry ? 'torn' : 'missing'}`);
  }
}

const placeOf = (at: Pick<StagedAt, 'segment' | 'offset'>): string => `${at.segment}+${at.offset}`;

/** The staging folder as one process sees it. */
export function simStaging(disk: Disk, process: SimProcess): Staging {
  const read = async (at: StagedAt): Promise<Staged | StagedRanges> => {
    const { staged, ranges } = disk.entry(at);
    if (ranges === undefined) return staged;
    const { bytes: _, spans: __, ...marks } = staged;
    return { ...marks, ranges };
  };
  return {
    place: '/machine/staging',
    writer: (run, lane) => new SimWriter(disk, process, run, lane),
    read: (at) => process.ask(() => read(at)),
    digests: (at) =>
      process.ask(async () => {
        const { sourceDigests, payloadDigests } = await read(at);
        return { source: sourceDigests, payload: payloadDigests };
      }),
    sweep: async () => 0,
  };
}

class SimWriter implements StagingWriter {
  readonly #disk: Disk;
  readonly #process: SimProcess;
  readonly #segment: string;
  #offset = 0;
  #unsynced: StagedEntry[] = [];
  #closed = false;

  constructor(disk: Disk, process: SimProcess, run: RunId, lane: string) {
    this.#disk = disk;
    this.#process = process;
    this.#segment = `${showRun(run)}/${lane}/${disk.nextSegment()}.seg`;
    process.open.writers++;
  }

  async append(draft: StagedDraft): Promise<StagedAt> {
    if (!this.#process.passes('before staging.append')) return never();
    this.#refuseIfFull();
    const trailerBytes = (draft.spans.length / 2) * 40;
    const at = { segment: this.#segment, offset: this.#offset, bytes: draft.bytes.length, trailerBytes };
    const entry = { staged: copyOf(draft), ranges: draft.ranges, durable: false, torn: false };
    this.#offset += draft.bytes.length + trailerBytes;
    this.#unsynced.push(entry);
    this.#disk.staged.set(placeOf(at), entry);
    return at;
  }

  sync(): Promise<void> {
    const { world } = this.#process;
    return this.#process.effect('staging.sync', world.tape.between(1, SYNC_MS_MAX), () => {
      this.#refuseIfFull();
      for (const entry of this.#unsynced) entry.durable = true;
      this.#unsynced = [];
    });
  }

  async close(): Promise<void> {
    if (!this.#closed) this.#process.open.writers--;
    this.#closed = true;
  }

  #refuseIfFull(): void {
    if (this.#process.world.fault('disk-full')) throw new WaybillError('STAGING_WRITE', 'the disk is full');
  }
}

function copyOf(draft: StagedDraft): Staged {
  const { bytes, spans, keys, columns, sourceDigests, payloadDigests } = draft;
  return {
    bytes: bytes.slice(),
    spans: spans.slice(),
    keys: keys.slice(),
    sourceDigests: sourceDigests.slice(),
    payloadDigests: payloadDigests.slice(),
    digest: draft.about.digest,
    ...(columns === undefined ? {} : { columns }),
  };
}

interface WaitingLine {
  readonly line: JournalLine;
  readonly name: string;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * The journal as one process sees it. Lines that come while others are being synced wait in its memory for the next
 * sync; from its beginning on they are in the memory of the machine, and at its end on the disk.
 */
class SimJournal implements Journal {
  readonly #disk: Disk;
  readonly #process: SimProcess;
  #waiting: WaitingLine[] = [];
  #flushing = false;

  constructor(disk: Disk, process: SimProcess) {
    this.#disk = disk;
    this.#process = process;
  }

  write(entry: JournalEntry): Promise<void> {
    this.#process.world.mark('answer in the journal');
    return this.#add({ struck: false, entry, durable: false }, 'journal.write');
  }

  strike(ref: AttemptRef): Promise<void> {
    return this.#add({ struck: true, entry: ref, durable: false }, 'journal.strike');
  }

  entries(): Promise<readonly JournalEntry[]> {
    return this.#process.ask(async () => openEntries(this.#disk.journal));
  }

  async close(): Promise<void> {}

  #add(line: JournalLine, name: string): Promise<void> {
    if (!this.#process.passes(`before ${name}`)) return never();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line, name, resolve, reject });
      if (!this.#flushing) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    this.#flushing = true;
    for (let group = this.#take(); group !== undefined; group = this.#take()) {
      try {
        await this.#sync(group);
        for (const one of group) one.resolve();
      } catch (error) {
        for (const one of group) one.reject(error);
      }
    }
    this.#flushing = false;
  }

  #take(): readonly WaitingLine[] | undefined {
    const group = this.#waiting;
    this.#waiting = [];
    return group.length === 0 ? undefined : group;
  }

  async #sync(group: readonly WaitingLine[]): Promise<void> {
    const { world } = this.#process;
    if (world.fault('disk-full')) throw new WaybillError('JOURNAL_WRITE', 'the disk is full');
    this.#disk.journal.push(...group.map(({ line }) => line));
    await this.#process.effect(group[0]!.name, world.tape.between(1, SYNC_MS_MAX), () => {
      for (const { line } of group) line.durable = true;
    });
  }
}

export const simJournal = (disk: Disk, process: SimProcess): Journal => new SimJournal(disk, process);

function openEntries(lines: readonly JournalLine[]): readonly JournalEntry[] {
  const open = new Map<string, JournalEntry>();
  for (const { struck, entry } of lines) {
    const name = `${entry.batch}/${entry.attempt}`;
    if (struck) open.delete(name);
    else open.set(name, entry as JournalEntry);
  }
  return [...open.values()];
}
