import type { GenerationRow, RunClaim, SupersededCounts } from '../ledger/ledger.ts';
import { columnsChunk } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { type BatchId, showBatch } from '../model/ids.ts';
import { mask } from '../model/masking.ts';
import { everyRow } from '../model/pages.ts';
import { EMPTY_BALANCE } from '../model/states.ts';
import type { BatchRooms } from './batch-rooms.ts';
import type { Job, RunAsk, Services } from './engine.ts';
import { Extraction, type ExtractionEvents, type Reading } from './extract.ts';
import { historyColumns } from './history.ts';
import type { LaneTally } from './lane.ts';
import { Payloads } from './payloads.ts';
import type { ProgressTeller } from './progress.ts';
import { PullExtraction, pullOf } from './pull.ts';
import { rangesOf } from './ranges.ts';
import { Remaker } from './remake.ts';
import { PeekedSource, type Schemas } from './schemas.ts';
import { takenByAll } from './taken-formats.ts';

/** The generation that a start reads under. */
interface ReadUnder {
  readonly generation: number;
  readonly kind: GenerationRow['kind'];
  readonly goesOn?: GenerationRow;
}

export interface WindowFacts {
  readonly job: Job;
  readonly services: Services;
  readonly claim: RunClaim;
  readonly schemas: Schemas;
  readonly resendAll: RunAsk['resendAll'];
  /** Of what this reading is a part, if of anything. */
  readonly because: string | undefined;
  /** A person asked for this reading. */
  readonly asked: boolean;
  /** What was sealed and never sent may be gone, and comes again with this reading. */
  readonly withdraws: boolean;
  /** The run was cancelled before, and this reading begins it again. */
  readonly reopens: boolean;
  readonly tallies: ReadonlyMap<string, LaneTally>;
  readonly progress: ProgressTeller;
  readonly rooms: BatchRooms;
  /** Aborted when reading has to end for now. */
  readonly stop: AbortSignal;
  /** A generation has begun, or goes on; nothing of it has been read in this start. */
  readonly began: (generation: number) => Promise<void>;
  /** Batches are durable; deliveries may begin. */
  readonly sealed: ExtractionEvents['sealed'];
}

/** The reading of a window by one start: under which generation, then the extraction, then what was found different. */
export class WindowReading {
  readonly #facts: WindowFacts;
  readonly #source: PeekedSource;
  #under: ReadUnder | undefined;

  constructor(facts: WindowFacts) {
    this.#facts = facts;
    this.#source = new PeekedSource(facts.job.source.source);
  }

  /** Before anything is claimed, because what an interrupted extraction left may have to go. */
  async begin(reading: Reading & { reads: true }): Promise<void> {
    this.#under = await this.#generation(reading);
    try {
      if (!this.#facts.schemas.none) await this.#failing(() => this.#meetFirst(this.#under!));
      await this.#facts.began(this.#under.generation);
    } catch (error) {
      await this.#source.end();
      throw error;
    }
  }

  /** A load is collected as its target is, so that has to be there, and right, before the place of the load is made. */
  async #meetFirst({ generation, goesOn }: ReadUnder): Promise<void> {
    const { job, services, claim, schemas, stop } = this.#facts;
    const { window, parameters } = job;
    if (goesOn !== undefined) await schemas.recall(generation);
    const { ledger, staging } = services;
    const history = job.pull?.history;
    const takes = history === undefined ? await takenByAll(job.lanes, claim.run, { read: ledger.read, staging }) : [];
    const at = goesOn?.position === undefined ? {} : { from: goesOn.position };
    const from = job.pull === undefined ? at : pullOf(job);
    const ranges = rangesOf(job);
    const first = await this.#source.first({ window, parameters, takes, ...ranges, ...from }, stop);
    if (first === undefined) return;
    if (history === undefined) return void (await schemas.meet(first, generation));
    // Rows of history are met before they are made, where the source says its types; else when they are taken in.
    const known = (await ledger.read.columns(job.flow)) ?? [];
    const described = historyColumns(history, first, { source: job.source.name, known });
    if (described !== undefined) await schemas.meet(columnsChunk(described), generation);
  }

  /** Whatever goes wrong with what is read ends the run for now, unless that is because of having been told to stop. */
  async #failing(work: () => Promise<void>): Promise<void> {
    const { services, claim, stop } = this.#facts;
    try {
      await work();
    } catch (error) {
      if (stop.aborted) return;
      const failure =
        error instanceof WaybillError ? error : new WaybillError('SOURCE_FAILED', String(error), { cause: error });
      await services.ledger.failRun({ ...claim, code: failure.code, message: mask(failure.message) });
      throw failure;
    }
  }

  /** Ends when the window is read, or when it was told to stop; rejects, and the run has failed, when it cannot be. */
  async extract(): Promise<void> {
    const { progress, schemas, stop } = this.#facts;
    let over = false;
    try {
      progress.expected = await this.#expected();
      await this.#failing(async () => {
        if (!(await this.#extractOnce())) {
          this.#under = await this.#insteadOfGoingOn();
          await this.#extractOnce();
        }
        over = true;
      });
    } finally {
      progress.waits = undefined;
      await this.#source.end();
    }
    if (!over && stop.aborted) return;
    schemas.tell();
    await this.#tellComparison(this.#under!.kind);
  }

  /** False when the source is not as it was where an earlier start left it. */
  async #extractOnce(): Promise<boolean> {
    const { services, claim, progress, stop, schemas } = this.#facts;
    const { generation, kind, goesOn } = this.#under!;
    const job = { ...this.#facts.job, source: { ...this.#facts.job.source, source: this.#source } };
    const stores = { ...services, schemas };
    const at = { claim, generation, rows: goesOn?.rows ?? 0, rooms: this.#facts.rooms };
    const events: ExtractionEvents = {
      read: (rows) => {
        progress.read = rows;
      },
      waits: (why) => {
        progress.waits = why === undefined ? undefined : mask(why);
      },
      sealed: this.#facts.sealed,
      superseded: (counts) => this.#superseded(counts),
      uncompared: (lane, records) => this.#uncompared(lane, records),
    };
    if (job.pull !== undefined) {
      await new PullExtraction(job, job.pull, stores, at, events).run(goesOn, stop);
      return true;
    }
    return await new Extraction(job, stores, at, events).run(kind, goesOn, stop);
  }

  /** What was sealed stays, since it may be on its way already; a reading from the top compares with it. */
  async #insteadOfGoingOn(): Promise<ReadUnder> {
    const { services, claim } = this.#facts;
    const reason = 'the source has changed where an earlier start had stopped reading; the window is read again';
    services.notice({ level: 'warning', kind: 'source-changed', message: reason, ids: {} });
    await services.ledger.interruptGeneration({ ...claim, generation: this.#under!.generation });
    const { generation } = await services.ledger.startGeneration({ ...claim, kind: 'again', reason });
    await this.#begun(generation);
    return { generation, kind: 'again' };
  }

  /** The generation to read under. What an interrupted extraction left is gone on with, dropped, or compared with. */
  async #generation(reading: Reading & { reads: true }): Promise<ReadUnder> {
    const { services, claim, resendAll, because, reopens } = this.#facts;
    if (reading.goesOn !== undefined) {
      return { generation: reading.goesOn.generation, kind: reading.kind, goesOn: reading.goesOn };
    }
    let { kind } = reading;
    if (reading.abandon !== undefined) {
      const { generation } = reading.abandon;
      if (!(await this.#abandoned(generation))) {
        await services.ledger.interruptGeneration({ ...claim, generation });
        if (!this.#facts.asked) kind = 'again';
      }
    }
    const why = because === undefined ? reading.why : `${reading.why}; ${because}`;
    const reason = resendAll === undefined ? why : `${resendAll.who}: ${resendAll.reason}`;
    const withdraw = this.#facts.asked || this.#facts.withdraws ? await this.#lost() : [];
    const { generation } = await services.ledger.startGeneration({ ...claim, kind, reason, withdraw, reopens });
    await this.#countAnew();
    return { generation, kind };
  }

  /** Sealed batches whose bytes cannot be had back. The window is read anyway, so their records come again with it. */
  async #lost(): Promise<BatchId[]> {
    const { job, services, claim } = this.#facts;
    const lost: BatchId[] = [];
    for (const lane of job.lanes) {
      const { remake } = new Remaker(job.source, lane, services.ledger.identity.seed);
      const payloads = new Payloads(services.staging, lane.sink.accepts, remake);
      const sealed = { run: claim.run, lane: lane.name, states: ['sealed'] as const };
      for await (const batch of everyRow(
        (page) => services.ledger.read.batches({ ...sealed, ...page }),
        (row) => row.id,
      )) {
        if (!(await payloads.has(batch))) lost.push(batch.id);
      }
    }
    if (lost.length > 0) {
      const names = lost.slice(0, 5).map(showBatch).join(', ') + (lost.length > 5 ? '…' : '');
      const message = `the bytes of ${names} are lost; none of it was applied, and the records are read again`;
      services.notice({ level: 'warning', kind: 'batches-withdrawn', message, ids: { batches: lost.map(showBatch) } });
    }
    return lost;
  }

  #superseded(counts: readonly SupersededCounts[]): void {
    for (const { lane, refused, skipped } of counts) {
      const tally = this.#facts.tallies.get(lane);
      tally?.move(-refused, 'refused');
      tally?.move(-skipped, 'skipped');
    }
  }

  #uncompared(lane: string, records: number): void {
    const why = 'the bytes that were sent of them are lost, so nobody can compare';
    const message = `${records} records of lane ${lane} count as unchanged: ${why}`;
    this.#facts.services.notice({ level: 'warning', kind: 'records-uncompared', message, ids: { lane, records } });
  }

  /** False when something of it was sent already: then it cannot be forgotten. */
  async #abandoned(generation: number): Promise<boolean> {
    const { services, claim } = this.#facts;
    try {
      await services.ledger.abandonGeneration({ ...claim, generation, reason: 'interrupted before anything was sent' });
      await this.#countAnew();
      return true;
    } catch (error) {
      if (error instanceof WaybillError && error.code === 'MOVE_FORBIDDEN') return false;
      throw error;
    }
  }

  async #begun(generation: number): Promise<void> {
    await this.#countAnew();
    await this.#facts.began(generation);
  }

  /** What was forgotten or given up with an earlier generation counts no more. */
  async #countAnew(): Promise<void> {
    const { services, claim, tallies } = this.#facts;
    for (const tally of tallies.values()) tally.reset(EMPTY_BALANCE);
    const balances = await services.ledger.read.balance(claim.run);
    for (const [lane, balance] of balances) tallies.get(lane)?.reset(balance);
  }

  async #expected(): Promise<number | undefined> {
    const { source } = this.#facts.job.source;
    if (source.remaining === undefined) return undefined;
    const { window, parameters } = this.#facts.job;
    return (await source.remaining({ window, parameters, ...pullOf(this.#facts.job) }, this.#facts.stop)).records;
  }

  async #tellComparison(kind: GenerationRow['kind']): Promise<void> {
    const { job, services, claim } = this.#facts;
    const generation = (await services.ledger.read.generations(claim.run)).at(-1);
    const collected = new Set(job.lanes.filter((one) => one.strategy.load !== undefined).map((one) => one.name));
    for (const lane of generation?.lanes ?? []) {
      if (lane.duplicates > 0) {
        const message = `${lane.duplicates} records of lane ${lane.lane} have a key that came before in this reading`;
        services.notice({ level: 'warning', kind: 'duplicate-keys', message, ids: { lane: lane.lane } });
      }
      if (kind === 'first' || kind === 'resend' || collected.has(lane.lane)) continue;
      const fresh = lane.read - lane.same - lane.changed;
      const figures = `${lane.same} same, ${fresh} new, ${lane.changed} changed, ${lane.vanished} vanished`;
      const message = `compared with what was there: ${figures}`;
      services.notice({ level: 'info', kind: 'generation-compared', message, ids: { lane: lane.lane } });
    }
  }
}
