import { identify } from '../formats/identify.ts';
import { IdentityRoom } from '../formats/identity-room.ts';
import type {
  GenerationKind,
  GenerationRow,
  Ledger,
  RunClaim,
  SealedBatch,
  SupersededCounts,
} from '../ledger/ledger.ts';
import type { Staging } from '../ledger/staging.ts';
import { assertNever } from '../model/assert.ts';
import type { Chunk } from '../model/chunk.ts';
import { describeError, WaybillError } from '../model/errors.ts';
import type { BatchId } from '../model/ids.ts';
import type { Position } from '../model/position.ts';
import type { BatchRooms } from './batch-rooms.ts';
import type { Job, LaneJob, Services } from './engine.ts';
import { type ChunkRows, type Decided, Intake, type Told } from './intake.ts';
import { LaneMemory, type Picked } from './lane-memory.ts';
import { rangesOf } from './ranges.ts';
import { ReadingAhead } from './reading-ahead.ts';
import type { Schemas } from './schemas.ts';
import { Stager } from './stager.ts';
import { takenByAll } from './taken-formats.ts';
import { readTrail, showTrail, TRAIL_START, type Trail, trailAt, trailOf } from './trail.ts';

/** Sealing shares one sync of the disk and one transaction among this many bytes of full batches. */
const SEAL_BYTES = 1024 * 1024;
const SEAL_DECISIONS = 5_000;

export interface ExtractionEvents {
  /** Rows read so far by this extraction. */
  read(rows: number): void;
  /** Why the source brings nothing for now; undefined once it goes on. */
  waits(why: string | undefined): void;
  /** Batches of a lane are durable; deliveries may begin. */
  sealed(decided: readonly Told[], batches: SealedAs): void;
  /** Records of earlier readings count no more. */
  superseded(counts: readonly SupersededCounts[]): void;
  /** Records of a lane were taken as unchanged because what was sent of them is lost. */
  uncompared(lane: string, records: number): void;
}

/** What must be read before anything is sent, worked out from what the ledger knows and what was asked. */
export type Reading =
  | { readonly reads: false; readonly why: string }
  | {
      readonly reads: true;
      readonly why: string;
      readonly kind: GenerationKind;
      readonly goesOn?: GenerationRow;
      readonly abandon?: GenerationRow;
    };

export function decideReading(
  generation: GenerationRow | undefined,
  ask: {
    refresh: boolean;
    resendAll: boolean;
    resumable: boolean;
    cancelled: boolean;
    undone?: boolean;
    pull?: boolean;
    /** Sealed batches have lost their bytes with the process that had them in memory. */
    lost?: boolean;
  },
): Reading {
  if (ask.pull === true && (generation !== undefined || ask.cancelled)) return decidePull(generation, ask.cancelled);
  const asked = ask.resendAll ? 'resend' : ask.refresh ? 'refresh' : undefined;
  if (ask.cancelled && asked === undefined) {
    return { reads: false, why: 'the run was cancelled; only --refresh or --resend-all begins it again' };
  }
  if (generation === undefined) return { reads: true, kind: 'first', why: 'the window has not been read yet' };
  switch (generation.state) {
    case 'open':
      return goesOnOrAgain(generation, asked, ask.resumable);
    // The reading that should have followed never began.
    case 'abandoned':
      return { reads: true, kind: asked ?? generation.kind, why: INTERRUPTED };
    case 'interrupted':
      return { reads: true, kind: asked ?? 'again', why: INTERRUPTED };
    case 'closed':
      if (asked === undefined && ask.undone === true) return { reads: true, kind: 'again', why: UNDONE };
      if (asked === undefined && ask.lost === true) return { reads: true, kind: 'again', why: LOST };
      return asked === undefined
        ? { reads: false, why: 'the window has been read; its batches are frozen' }
        : { reads: true, kind: asked, why: ASKED[asked] };
    default:
      return assertNever(generation.state);
  }
}

/** What a pull has committed stands, and it goes on from there; there is no window to be read again. */
function decidePull(generation: GenerationRow | undefined, cancelled: boolean): Reading {
  if (cancelled || generation === undefined)
    return { reads: false, why: 'the pull was cancelled; the next one goes on from where it had come' };
  if (generation.state !== 'open') return { reads: false, why: 'what was new has been read; its batches are frozen' };
  const why = 'an earlier start was interrupted while reading; it goes on';
  return { reads: true, kind: generation.kind, goesOn: generation, why };
}

const INTERRUPTED = 'an earlier start was interrupted while reading; the window is read again';
const UNDONE = 'what the window had brought was taken out by a later load; the window is read again';
const LOST = 'batches that were not sent were in the memory of an earlier start alone; the window is read again';
const ASKED = {
  resend: 'everything is sent once more, as was asked',
  refresh: 'the window is read again and compared, as was asked',
} as const;

/** A reading that compares cannot go on: which records have been met is in the memory of the process that read them. */
function goesOnOrAgain(
  generation: GenerationRow,
  asked: 'resend' | 'refresh' | undefined,
  resumable: boolean,
): Reading {
  const compares = generation.kind === 'refresh' || generation.kind === 'again';
  if (resumable && generation.position !== undefined && asked === undefined && !compares) {
    const why = 'an earlier start was interrupted while reading; it goes on';
    return { reads: true, kind: generation.kind, goesOn: generation, why };
  }
  return { reads: true, kind: asked ?? generation.kind, abandon: generation, why: INTERRUPTED };
}

/** Whether a reading that was interrupted can go on: not where what it had sealed may be gone. */
export const goesOn = ({ source, keep }: Pick<Job, 'source' | 'keep'>): boolean =>
  source.source.resumable && keep !== 'none';

/** The batches of each lane that one transaction has sealed. */
export type SealedAs = ReadonlyMap<string, readonly BatchId[]>;

export function sealedAs(batches: readonly Pick<SealedBatch, 'lane'>[], ids: readonly BatchId[]): SealedAs {
  const byLane = new Map<string, BatchId[]>();
  for (const [nth, { lane }] of batches.entries()) {
    const of = byLane.get(lane);
    if (of === undefined) byLane.set(lane, [ids[nth]!]);
    else of.push(ids[nth]!);
  }
  return byLane;
}

interface Passed {
  readonly rows: number;
  readonly position: Position;
  readonly trail: Trail | undefined;
}

/** Reads one window once and seals what belongs into batches, for all lanes. */
export class Extraction {
  readonly #job: Job;
  readonly #ledger: Ledger;
  readonly #staging: Staging;
  readonly #claim: RunClaim;
  readonly #generation: number;
  readonly #events: ExtractionEvents;
  readonly #stager: Stager;
  readonly #rooms: BatchRooms;
  /** Of one chunk at a time: what is kept of them is copied while it is taken in. */
  readonly #identities = new IdentityRoom();
  readonly #ahead: ReadingAhead;
  readonly #schemas: Schemas;
  /** Where the source stood after which rows; the oldest are dropped as they are sealed. */
  #positions: Passed[] = [];
  /** What is being written to staging and ledger. */
  #sealing: Promise<void> | undefined;
  /** What the ledger has, and the memories of the lanes still count as on its way. */
  readonly #arrived: Decided[] = [];
  /** What has been read so far; undefined for a source that cannot be gone on with. */
  #trail: Trail | undefined;
  #rows: number;

  constructor(
    job: Job,
    stores: Pick<Services, 'ledger' | 'staging' | 'ports'> & { readonly schemas: Schemas },
    at: { claim: RunClaim; generation: number; rows: number; rooms: BatchRooms },
    events: ExtractionEvents,
  ) {
    this.#job = job;
    this.#ledger = stores.ledger;
    this.#staging = stores.staging;
    this.#stager = new Stager(job, stores.staging, at.claim.run);
    this.#rooms = at.rooms;
    this.#ahead = new ReadingAhead(stores.staging, stores.ports, job.keep === 'none');
    this.#claim = at.claim;
    this.#generation = at.generation;
    this.#rows = at.rows;
    this.#events = events;
    this.#schemas = stores.schemas;
  }

  /**
   * Ends when the window is exhausted and the generation is closed; rejects when it could not be read to its end.
   * False, and nothing was sealed, when the rows to go on from are not those that were decided before.
   */
  async run(kind: GenerationKind, goesOn: GenerationRow | undefined, signal: AbortSignal): Promise<boolean> {
    this.#trail = this.#trailFrom(goesOn?.trail);
    const memories = new Map<string, LaneMemory>();
    const intakes: Intake[] = [];
    try {
      for (const lane of this.#job.lanes) {
        const memory = await this.#memory(lane, kind);
        memories.set(lane.name, memory);
        const before = goesOn?.lanes.find((one) => one.lane === lane.name);
        const decided = before?.read ?? 0;
        const trail = this.#trailFrom(before?.trail);
        const { seed } = this.#ledger.identity;
        const how = { seed, decided, skip: decided - this.#rows, trail, rooms: this.#rooms };
        intakes.push(new Intake(lane, this.#job.source, memory, how));
      }
      if (!(await this.#read(intakes, memories, goesOn?.position, signal))) return false;
      for (const intake of intakes) intake.end();
      await this.#seal(intakes, signal);
      await this.#sealing;
      this.#forget(memories);
      await this.#close(memories, kind);
      return true;
    } finally {
      await Promise.allSettled([this.#sealing]);
      await this.#stager.close();
    }
  }

  #trailFrom(kept: string | undefined): Trail | undefined {
    if (!goesOn(this.#job)) return undefined;
    return kept === undefined ? TRAIL_START : readTrail(kept);
  }

  /** A load takes the place of the one before, so it brings everything: nothing is compared. */
  async #memory({ name: lane, strategy }: LaneJob, kind: GenerationKind): Promise<LaneMemory> {
    const compares = (kind === 'refresh' || kind === 'again') && strategy.load === undefined;
    const memory = new LaneMemory(
      { run: this.#claim.run, lane, generation: this.#generation },
      { reader: this.#ledger.read, staging: this.#staging },
      { compares, keyed: this.#job.source.key !== null, bytesKept: this.#job.keep !== 'none' },
    );
    await memory.load();
    return memory;
  }

  async #read(
    intakes: readonly Intake[],
    memories: ReadonlyMap<string, LaneMemory>,
    from: Position | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { source, window, parameters } = { ...this.#job, source: this.#job.source.source };
    const takes = await takenByAll(this.#job.lanes, this.#claim.run, {
      read: this.#ledger.read,
      staging: this.#staging,
    });
    const at = from === undefined ? {} : { from };
    const range = { window, parameters, takes, letsGo: true, waits: this.#events.waits, ...rangesOf(this.#job), ...at };
    for await (const chunk of asSourceErrors(source.read(range, signal), this.#job.source.name)) {
      signal.throwIfAborted();
      const rows = this.#rowsOf(chunk);
      // All of them first: every lane meets again what it had decided, or nothing is taken.
      const passed = intakes.map((intake) => intake.pass(rows));
      if (passed.includes(undefined)) return false;
      const schemas = this.#schemas.none ? undefined : await this.#schemas.meet(chunk, this.#generation);
      for (const [nth, intake] of intakes.entries()) {
        await intake.take(rows, passed[nth]!, schemas?.get(intake.lane.name));
      }
      this.#rows += rows.order.length;
      this.#passed(chunk, rows);
      this.#events.read(this.#rows);
      this.#forget(memories);
      if (this.#isWorthSealing(intakes)) await this.#seal(intakes, signal);
    }
    signal.throwIfAborted();
    return !intakes.some((intake) => intake.skipping);
  }

  #passed(chunk: Chunk, { trail, order }: ChunkRows): void {
    if (trail !== undefined) this.#trail = trailAt(trail, order.length);
    if (chunk.end !== undefined) this.#positions.push({ rows: this.#rows, position: chunk.end, trail: this.#trail });
  }

  /** Not before all lanes are past what was decided before: until then it may turn out that nothing goes on here. */
  #isWorthSealing(intakes: readonly Intake[]): boolean {
    if (intakes.some((intake) => intake.skipping)) return false;
    const full = intakes.reduce((sum, intake) => sum + intake.fullBytes, 0);
    const eager = this.#job.deliver === 'while-reading' && full > 0;
    return eager || full >= SEAL_BYTES || intakes.some((intake) => intake.waiting >= SEAL_DECISIONS);
  }

  #rowsOf(chunk: Chunk): ChunkRows {
    const { key, exclude } = this.#job.source;
    const identities = identify(chunk, { key, exclude, seed: this.#ledger.identity.seed, room: this.#identities });
    const rows = { chunk, identities, order: orderOf(chunk), rowsBefore: this.#rows };
    return { ...rows, trail: this.#trail === undefined ? undefined : trailOf(this.#trail, rows) };
  }

  /** Begins to write what is decided, one at a time. Reading goes on meanwhile: the source waits for no disk. */
  async #seal(intakes: readonly Intake[], signal: AbortSignal): Promise<void> {
    await this.#sealing;
    if (this.#job.deliver === 'while-reading') await this.#ahead.wait(signal);
    const decided = intakes.map((intake) => intake.drain());
    const behind = Math.min(...intakes.map((intake) => intake.decidedRows));
    const passed = this.#positions.filter((one) => one.rows <= behind).at(-1);
    this.#positions = this.#positions.filter((one) => one.rows > behind);
    this.#sealing = this.#write(decided, passed);
    // Heard by whoever awaits it: the next seal, or the end of the extraction.
    this.#sealing.catch(() => undefined);
  }

  /** Bytes first, durable; then one transaction for batches, members, the left-out and the position. */
  async #write(decided: readonly Decided[], passed: Passed | undefined): Promise<void> {
    const batches: SealedBatch[] = [];
    for (const one of decided) batches.push(...(await this.#stager.stage(one)));
    await this.#stager.sync();
    const sealed = await this.#ledger.seal({
      ...this.#claim,
      generation: this.#generation,
      batches,
      unbatched: decided.flatMap((one) => one.unbatched),
      counts: decided.map((one) => one.counts),
      rows: passed?.rows ?? 0,
      ...(passed === undefined ? {} : { position: passed.position }),
      ...(passed?.trail === undefined ? {} : { trail: showTrail(passed.trail) }),
    });
    this.#arrived.push(...decided);
    this.#events.sealed(decided, sealedAs(batches, sealed.batches));
  }

  /** Between two chunks: one that is being judged needs keys where they were when the ledger was asked about it. */
  #forget(memories: ReadonlyMap<string, LaneMemory>): void {
    for (const { batches, counts } of this.#arrived.splice(0)) {
      for (const batch of batches) memories.get(counts.lane)?.sealed(batch.keys);
    }
  }

  async #close(memories: ReadonlyMap<string, LaneMemory>, kind: GenerationKind): Promise<void> {
    const vanished: { lane: string; records: number }[] = [];
    const superseded: Picked[] = [];
    for (const [lane, memory] of memories) {
      vanished.push({ lane, records: await memory.vanished() });
      if (kind !== 'first') superseded.push(...(await memory.superseded()));
      if (memory.uncompared > 0) this.#events.uncompared(lane, memory.uncompared);
    }
    const ask = { ...this.#claim, generation: this.#generation, vanished, superseded };
    this.#events.superseded(await this.#ledger.closeGeneration(ask));
  }
}

/** Merges the records and the rejects of a chunk by their row numbers. */
export function orderOf(chunk: Chunk): Int32Array {
  const rejects = chunk.rejects ?? [];
  const order = new Int32Array(chunk.count + rejects.length);
  let nth = 0;
  let rejected = 0;
  let row = Math.min(chunk.firstRow, rejects[0]?.row ?? chunk.firstRow);
  for (let i = 0; i < order.length; i++, row++) {
    const isReject = rejected < rejects.length && (rejects[rejected]!.row <= row || nth >= chunk.count);
    order[i] = isReject ? -1 - rejected++ : nth++;
  }
  return order;
}

/** What a source throws that is not ours, as a failure of that source. */
export async function* asSourceErrors(chunks: AsyncIterable<Chunk>, name: string): AsyncGenerator<Chunk> {
  try {
    yield* chunks;
  } catch (error) {
    if (error instanceof WaybillError) throw error;
    throw new WaybillError('SOURCE_FAILED', `reading ${name} failed: ${describeError(error)}`, { cause: error });
  }
}
