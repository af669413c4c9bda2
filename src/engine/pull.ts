import type { ReadRange } from '../connectors/connector.ts';
import { columnsSeen } from '../formats/columns/seen.ts';
import { identify } from '../formats/identify.ts';
import type { GenerationRow, Ledger, RunClaim, SealedBatch, Unbatched } from '../ledger/ledger.ts';
import type { Staging } from '../ledger/staging.ts';
import type { Chunk } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import type { Ports } from '../model/ports.ts';
import type { Position } from '../model/position.ts';
import type { HistoryChanges } from '../model/slice.ts';
import type { BatchRooms } from './batch-rooms.ts';
import type { Job, LaneJob, PullJob, SourceJob } from './engine.ts';
import { asSourceErrors, type ExtractionEvents, orderOf, sealedAs } from './extract.ts';
import { type History, openHistory } from './history.ts';
import { Intake, keepsVersionsApart, type Told } from './intake.ts';
import { LaneMemory } from './lane-memory.ts';
import { rangesOf } from './ranges.ts';
import type { Schemas } from './schemas.ts';
import { SliceBook } from './slice-book.ts';
import { Stager } from './stager.ts';
import { takenByAll } from './taken-formats.ts';

/** Where a pull goes on from, as a source is told. */
export const pullOf = ({ pull }: Job): Pick<ReadRange, 'from' | 'pull'> =>
  pull === undefined ? {} : { pull: pull.range, ...(pull.from === undefined ? {} : { from: pull.from }) };

/** Staged once so many bytes are full; a commit is worth its price from so many bytes or rows on. */
const STAGE_BYTES = 1024 * 1024;
const COMMIT_BYTES = 16 * 1024 * 1024;
const COMMIT_ROWS = 100_000;

export interface PullStores {
  readonly ledger: Ledger;
  readonly staging: Staging;
  readonly ports: Ports;
  readonly schemas: Schemas;
}

/**
 * Reads what is new, once, and commits it slice by slice: records, the position behind them, their offsets and what
 * history knows of them in one transaction. So nothing of a slice is there before all of it is, and a pull that was
 * interrupted goes on from the position, whatever the source says now of what it had not come to.
 */
export class PullExtraction {
  readonly #job: Job;
  readonly #pull: PullJob;
  readonly #stores: PullStores;
  readonly #at: RunClaim & { readonly generation: number };
  readonly #events: ExtractionEvents;
  readonly #stager: Stager;
  readonly #rooms: BatchRooms;
  #rows: number;
  #intakes: readonly Intake[] = [];
  readonly #memories = new Map<string, LaneMemory>();
  #staged: SealedBatch[] = [];
  #stagedBytes = 0;
  #decided: Told[] = [];
  /** Rows since the last commit, rejects included. */
  #uncommitted = 0;
  #committed: Position | undefined;

  constructor(
    job: Job,
    pull: PullJob,
    stores: PullStores,
    how: { claim: RunClaim; generation: number; rows: number; rooms: BatchRooms },
    events: ExtractionEvents,
  ) {
    this.#job = job;
    this.#pull = pull;
    this.#stores = stores;
    this.#at = { ...how.claim, generation: how.generation };
    this.#rows = how.rows;
    this.#rooms = how.rooms;
    this.#events = events;
    this.#stager = new Stager(job, stores.staging, how.claim.run);
  }

  /** Ends when there is nothing more that is new, and the generation is closed. */
  async run(goesOn: GenerationRow | undefined, signal: AbortSignal): Promise<void> {
    const { ledger, ports } = this.#stores;
    this.#committed = this.#pull.from;
    const book = await SliceBook.after(this.#job.flow, ledger.read, ports.wallMs());
    const history = openHistory(this.#job, this.#pull.history, book, ledger);
    try {
      this.#intakes = await Promise.all(this.#job.lanes.map((lane) => this.#intake(lane, goesOn)));
      await this.#read(book, history, signal);
    } finally {
      await this.#stager.close();
    }
    await ledger.closeGeneration({ ...this.#at, vanished: [] });
  }

  async #intake(lane: LaneJob, goesOn: GenerationRow | undefined): Promise<Intake> {
    const { ledger, staging } = this.#stores;
    // A key that comes again is a later version of it, and never held back; but where one could overtake the other
    // it has to be known, so that the lane keeps order.
    const source: SourceJob = { ...this.#job.source, onDuplicate: 'report' };
    const memory = new LaneMemory(
      { run: this.#at.run, lane: lane.name, generation: this.#at.generation },
      { reader: ledger.read, staging },
      { compares: false, keyed: keepsVersionsApart(lane, source), bytesKept: true },
    );
    await memory.load();
    this.#memories.set(lane.name, memory);
    const decided = goesOn?.lanes.find((one) => one.lane === lane.name)?.read ?? 0;
    const seed = ledger.identity.seed;
    return new Intake(lane, source, memory, {
      seed,
      decided,
      skip: 0,
      trail: undefined,
      rooms: this.#rooms,
    });
  }

  async #read(book: SliceBook, history: History | undefined, signal: AbortSignal): Promise<void> {
    const { source, window, parameters } = { ...this.#job, source: this.#job.source.source };
    // What is made into history is taken apart, so every record comes in a form that can be.
    const { ledger, staging } = this.#stores;
    const takes =
      history === undefined ? await takenByAll(this.#job.lanes, this.#at.run, { read: ledger.read, staging }) : [];
    const from = this.#committed === undefined ? {} : { from: this.#committed };
    const { waits } = this.#events;
    const range = { window, parameters, takes, waits, pull: this.#pull.range, ...rangesOf(this.#job), ...from };
    let end: Position | undefined;
    for await (const chunk of asSourceErrors(source.read(range, signal), this.#job.source.name)) {
      signal.throwIfAborted();
      await this.#takeIn(chunk, book, history);
      end = chunk.end === undefined ? undefined : { ...chunk.end, sourceName: this.#job.source.name };
      if (end === undefined || !this.#isWorthCommitting(chunk, history)) await this.#stageFull();
      else await this.#commit(end, chunk.closes, book, history);
    }
    signal.throwIfAborted();
    if (this.#uncommitted > 0 && end === undefined) throw withoutEnd(this.#job.source.name);
    if (end !== undefined) await this.#commit(end, undefined, book, history);
  }

  async #takeIn(chunk: Chunk, book: SliceBook, history: History | undefined): Promise<void> {
    this.#uncommitted += chunk.count + (chunk.rejects?.length ?? 0);
    if (history !== undefined) return await this.#take(await history.take(chunk), book);
    book.count(chunk.count);
    if (chunk.count > 0) book.saw(columnsSeen(chunk));
    await this.#take(chunk, book);
  }

  async #take(chunk: Chunk, book: SliceBook): Promise<void> {
    const { key, exclude } = this.#job.source;
    const order = orderOf(chunk);
    if (order.length === 0) return;
    book.handedOn(chunk);
    const identities = identify(chunk, { key, exclude, seed: this.#stores.ledger.identity.seed });
    const rows = { chunk, identities, order, rowsBefore: this.#rows, trail: undefined };
    const { schemas } = this.#stores;
    const met = schemas.none ? undefined : await schemas.meet(chunk, this.#at.generation);
    for (const intake of this.#intakes) await intake.take(rows, 0, met?.get(intake.lane.name));
    this.#rows += order.length;
    this.#events.read(this.#rows);
  }

  #isWorthCommitting(chunk: Chunk, history: History | undefined): boolean {
    if (chunk.closes !== undefined) return true;
    if (history?.whole === true) return false;
    if (this.#job.deliver === 'while-reading') return this.#uncommitted > 0;
    return this.#stagedBytes >= COMMIT_BYTES || this.#uncommitted >= COMMIT_ROWS;
  }

  /** Full batches go to the disk as they come, so that what is read fits into memory however long a slice is. */
  async #stageFull(): Promise<void> {
    const full = this.#intakes.reduce((sum, intake) => sum + intake.fullBytes, 0);
    if (full >= STAGE_BYTES) await this.#stage();
  }

  async #stage(): Promise<void> {
    for (const intake of this.#intakes) {
      const decided = intake.drain();
      const batches = await this.#stager.stage(decided);
      this.#staged.push(...batches);
      this.#stagedBytes += batches.reduce((sum, { bytes }) => sum + bytes, 0);
      // The bytes are on the disk; what the ledger and the tallies have to hear of is kept.
      const told = decided.batches.map(({ records, leftOut }) => ({ records, ...(leftOut ? { leftOut } : {}) }));
      this.#decided.push({ ...decided, batches: told });
    }
  }

  /** The bytes first, durable; then one transaction for all that the slice is. */
  async #commit(end: Position, part: string | undefined, book: SliceBook, history: History | undefined): Promise<void> {
    if (history !== undefined && (part !== undefined || this.#uncommitted > 0 || !isSame(end, this.#committed)))
      for await (const chunk of history.end()) await this.#take(chunk, book);
    for (const intake of this.#intakes) intake.end();
    await this.#stage();
    const nothing = this.#uncommitted === 0 && book.records === 0 && !book.moved && part === undefined;
    if (nothing && isSame(end, this.#committed)) return this.#forget();
    await this.#stager.sync();
    const decided = this.#decided;
    const sealed = await this.#stores.ledger.seal({
      ...this.#at,
      batches: this.#staged,
      unbatched: decided.flatMap((one): readonly Unbatched[] => one.unbatched),
      counts: decided.map((one) => one.counts),
      rows: this.#rows,
      position: end,
      slice: book.slice(part),
      ...withChanges(history?.changes()),
    });
    for (const { lane, keys } of this.#staged) this.#memories.get(lane)?.sealed(keys);
    this.#events.sealed(decided, sealedAs(this.#staged, sealed.batches));
    book.next(this.#stores.ports.wallMs());
    history?.committed();
    this.#committed = end;
    this.#forget();
  }

  #forget(): void {
    this.#staged = [];
    this.#stagedBytes = 0;
    this.#decided = [];
    this.#uncommitted = 0;
  }
}

const withChanges = (history: HistoryChanges | undefined): { history?: HistoryChanges } =>
  history === undefined ? {} : { history };

const isSame = (one: Position, other: Position | undefined): boolean =>
  one.sourceName === other?.sourceName && one.kind === other.kind && one.value === other.value;

/** A fault of the connector: nobody could say where to go on from. */
const withoutEnd = (source: string): WaybillError =>
  new WaybillError('SOURCE_FAILED', `${source} has ended without saying where it stands now; nothing was taken in`);
