import type { GenerationRow, OpenedRun } from '../ledger/ledger.ts';
import { WaybillError } from '../model/errors.ts';
import { type RunId, showRun } from '../model/ids.ts';
import { addBalances, type Balance, EMPTY_BALANCE } from '../model/states.ts';
import { awaitedLater } from './awaited-later.ts';
import { BatchRooms } from './batch-rooms.ts';
import { LaneDelivery } from './deliver.ts';
import type { Job, LaneJob, RunAsk, RunSummary, Services, StopSignals } from './engine.ts';
import { decideReading, goesOn, type Reading, type SealedAs } from './extract.ts';
import { LaneFeed } from './feed.ts';
import { keepsOrder, type LaneFit } from './fit-lane.ts';
import type { Told } from './intake.ts';
import { KeyIndexing } from './key-indexing.ts';
import { type GoOnElsewhere, type LaneRuntime, LaneTally, laneRuntime } from './lane.ts';
import type { LeaseKeeper } from './lease.ts';
import { RunLoads } from './loads.ts';
import { watchForOrders } from './orders.ts';
import { ProgressTeller } from './progress.ts';
import { WindowReading } from './read-window.ts';
import { Schemas } from './schemas.ts';
import { summarise } from './summary.ts';

export interface StartFacts {
  readonly job: Job;
  readonly ask: RunAsk;
  readonly services: Services;
  readonly signals: StopSignals;
  readonly opened: OpenedRun;
  readonly fits: ReadonlyMap<string, LaneFit>;
  readonly lease: LeaseKeeper;
  /** Goes on with another window of the flow, as far as these batches of one lane. */
  elsewhere(lane: LaneJob, ...rest: Parameters<GoOnElsewhere>): ReturnType<GoOnElsewhere>;
}

type Balances = ReadonlyMap<string, Balance>;

const isOpen = (balances: Balances): boolean =>
  [...balances.values()].some(({ pending, inDoubt }) => pending > 0 || inDoubt > 0);

/** What lanes are to do: send what is ready and settle what is in doubt, or only that. */
type Delivers = 'send' | 'send-while-reading' | 'settle';

/** One start of a run, from the claim to the summary. */
export class Start {
  readonly #facts: StartFacts;
  readonly #tallies = new Map<string, LaneTally>();
  /** Stops for whatever reason: told to, paused or cancelled by somebody else, or the run's lease lost. */
  readonly #halt = new AbortController();
  readonly #signals: StopSignals;
  readonly #feeds = new Map<string, LaneFeed>();
  readonly #progress: ProgressTeller;
  readonly #rooms = new BatchRooms();
  readonly #indexing: KeyIndexing;
  readonly #loads: RunLoads;
  readonly #schemas: Schemas;
  /** A lane has ended while the window is read, and what is read for it could be nowhere but in memory. */
  readonly #laneOver = new AbortController();

  constructor(facts: StartFacts) {
    this.#facts = facts;
    const { services } = facts;
    this.#indexing = new KeyIndexing(services.ledger, facts.opened.run.id);
    this.#progress = new ProgressTeller(services.ports, this.#tallies, services.progress?.bind(services));
    this.#signals = {
      stop: AbortSignal.any([facts.signals.stop, facts.signals.abort, this.#halt.signal, facts.lease.lost]),
      abort: facts.signals.abort,
    };
    this.#loads = new RunLoads(facts, this.#signals);
    this.#schemas = new Schemas({
      flow: facts.job.flow,
      lanes: facts.job.lanes,
      claim: { run: facts.opened.run.id, fence: facts.opened.fence },
      services,
      stop: this.#signals.stop,
      abort: AbortSignal.any([this.#signals.abort, facts.lease.lost]),
      load: (lane, generation) => this.#loads.of(lane)?.of(generation),
    });
  }

  async go(): Promise<RunSummary> {
    try {
      return await this.#go();
    } catch (error) {
      if (await this.#wasCancelled(error)) return await this.#summary([], false);
      await this.#expectHeld(error);
      throw error;
    } finally {
      await this.#progress.close();
      this.#facts.services.staging.letGo?.(this.#facts.opened.run.id);
    }
  }

  /** Another process may have dropped what this one does not find. Throws FENCED then: that is what there is to say. */
  async #expectHeld(error: unknown): Promise<void> {
    if (!(error instanceof WaybillError) || error.code !== 'BATCH_UNKNOWN') return;
    const { services, opened, ask } = this.#facts;
    await services.ledger.renewRun({ run: opened.run.id, fence: opened.fence, leaseMs: ask.leaseMs });
  }

  /** By a person, since this start has opened it: what could not be done for that is no failure. */
  async #wasCancelled(error: unknown): Promise<boolean> {
    if (!(error instanceof WaybillError) || error.code !== 'MOVE_FORBIDDEN') return false;
    const { run } = this.#facts.opened;
    return run.state !== 'cancelled' && (await this.#facts.services.ledger.read.run(run.id)).state === 'cancelled';
  }

  async #go(): Promise<RunSummary> {
    const { job, opened, services } = this.#facts;
    let balances = await services.ledger.read.balance(opened.run.id);
    for (const lane of job.lanes) this.#tallies.set(lane.name, new LaneTally(balances.get(lane.name) ?? EMPTY_BALANCE));
    if (opened.run.paused) return await this.#summary([], false);
    if (job.keep === 'none' && isOpen(balances)) {
      await this.#settleEarlier();
      if (this.#signals.stop.aborted) return await this.#summary([], false);
      balances = await services.ledger.read.balance(opened.run.id);
    }
    const reading = await this.#reading(balances);
    const decided = !isOpen(balances);
    const settled = decided && (await this.#loads.published());
    // What was cancelled is over, its doubts included, until somebody asks for a new reading.
    const over = settled || opened.run.state === 'cancelled';
    if (!reading.reads && over) return await this.#summary([], true);
    // Before anything is claimed, because what an interrupted extraction left may have to go; and before orders are
    // watched for, because this is what opens a run that was cancelled.
    const window = reading.reads ? this.#window() : undefined;
    if (reading.reads && reading.goesOn === undefined) await this.#loads.findOut();
    if (reading.reads && opened.run.generation > 0)
      await this.#indexing.prepare(addBalances(balances.values()).read, this.#signals.stop);
    if (window !== undefined && reading.reads) await window.begin(reading);
    else await this.#goOn(opened.run.generation);
    return await this.#summary(await this.#underOrders(() => this.#all(window)), false);
  }

  /**
   * What earlier starts had in memory is gone. So first the sinks say what became of what was on its way: only then is
   * it known what has to be read again, and what was never sent can be withdrawn before anything is read.
   */
  async #settleEarlier(): Promise<void> {
    const { ask, opened } = this.#facts;
    if (ask.only === undefined && opened.run.state !== 'cancelled') await this.#deliver('settle');
  }

  /** Nothing is read, and what was sealed before is sent. */
  async #goOn(generation: number): Promise<void> {
    if (generation > 0) await this.#schemas.recall(generation);
    await this.#loads.open(generation);
  }

  /** The first failure is the one that is told: what fails afterwards, on the way out, mostly follows from it. */
  async #underOrders<T>(work: () => Promise<T>): Promise<T> {
    const { services, opened } = this.#facts;
    const failures: unknown[] = [];
    const heard = (error: unknown): undefined => {
      failures.push(error);
      this.#halt.abort();
    };
    const orders = watchForOrders(services, opened.run.id, this.#halt, this.#signals.stop).catch(heard);
    const done = await work().then((value) => ({ value }), heard);
    // Last, when nothing is to be sent any more: a step of it would hold up intents and answers.
    await this.#indexing.close(!this.#signals.stop.aborted).catch(heard);
    this.#halt.abort();
    await orders;
    if (failures.length > 0 || done === undefined) throw failures[0];
    return done.value;
  }

  async #reading(balances: Balances): Promise<Reading> {
    const { ask, opened, job } = this.#facts;
    if (ask.only !== undefined) return { reads: false, why: 'only the batches that were named are sent' };
    return decideReading(opened.generation, {
      refresh: ask.refresh ?? false,
      resendAll: ask.resendAll !== undefined,
      resumable: goesOn(job),
      lost: job.keep === 'none' && [...balances.values()].some(({ pending }) => pending > 0),
      cancelled: opened.run.state === 'cancelled',
      undone: await this.#loads.undone(),
      pull: job.pull !== undefined,
    });
  }

  #window(): WindowReading {
    const { job, services, opened, ask } = this.#facts;
    return new WindowReading({
      job,
      services,
      claim: { run: opened.run.id, fence: opened.fence },
      schemas: this.#schemas,
      resendAll: ask.resendAll,
      because: ask.because,
      asked: ask.resendAll !== undefined || (ask.refresh ?? false),
      withdraws: job.keep === 'none',
      reopens: opened.run.state === 'cancelled',
      tallies: this.#tallies,
      progress: this.#progress,
      rooms: this.#rooms,
      stop: AbortSignal.any([this.#signals.stop, this.#laneOver.signal]),
      began: (generation) => this.#loads.open(generation),
      sealed: (decided, batches) => this.#sealed(decided, batches),
    });
  }

  /** What was read and delivered, and then what readers see of it, unless told to stop on the way. */
  async #all(window: WindowReading | undefined): Promise<readonly LaneDelivery[]> {
    const deliveries = await this.#work(window);
    if (this.#signals.stop.aborted || this.#loads.none) return deliveries;
    this.#progress.stage = 'PUBLISH';
    await this.#loads.publish();
    return deliveries;
  }

  async #work(window: WindowReading | undefined): Promise<readonly LaneDelivery[]> {
    if (window === undefined) return await this.#deliver('send');
    if (this.#facts.job.deliver === 'after-read') {
      await window.extract();
      return this.#signals.stop.aborted ? [] : await this.#deliver('send');
    }
    const delivering = awaitedLater(this.#deliver('send-while-reading'));
    try {
      await window.extract();
    } finally {
      for (const feed of this.#feeds.values()) feed.ended();
      await Promise.allSettled([delivering]);
    }
    return await delivering;
  }

  #sealed(decided: readonly Told[], batches: SealedAs): void {
    this.#schemas.sealed(decided);
    for (const { batches, unbatched, counts } of decided) {
      const tally = this.#tallies.get(counts.lane)!;
      const records = batches.reduce((sum, batch) => sum + batch.records, 0);
      tally.move(records, 'pending');
      this.#indexing.sealed(records);
      for (const one of unbatched) tally.move(1, one.state);
    }
    for (const [lane, feed] of this.#feeds) feed.sealed(batches.get(lane) ?? []);
  }

  async #deliver(what: Delivers): Promise<readonly LaneDelivery[]> {
    const { services, opened, job } = this.#facts;
    this.#progress.stage = what === 'settle' ? 'SETTLE' : 'DELIVER';
    const generations = await services.ledger.read.generations(opened.run.id);
    const deliveries = job.lanes.map((lane) => this.#lane(lane, generations, what));
    const over = (): void => {
      if (job.keep === 'none' && what === 'send-while-reading') this.#laneOver.abort();
    };
    const results = await Promise.allSettled(deliveries.map((delivery) => delivery.run().finally(over)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    return deliveries;
  }

  #lane(lane: LaneJob, generations: readonly GenerationRow[], what: Delivers): LaneDelivery {
    const { opened, ask, services, fits, job } = this.#facts;
    const reading = what === 'send-while-reading';
    const fit = fits.get(lane.name)!;
    const row = opened.lanes.find((one) => one.lane === lane.name);
    const runtime: LaneRuntime = laneRuntime(lane, {
      source: job.source,
      guarantee: fit.guarantee,
      ordered: keepsOrder(fit.ordered, lane.name, generations, reading),
      run: { run: opened.run.id, fence: opened.fence },
      owner: ask.owner,
      leaseMs: ask.leaseMs,
      services,
      tally: this.#tallies.get(lane.name)!,
      correlationId: opened.run.correlationId,
      load: this.#loads.of(lane.name),
      rooms: this.#rooms,
      position: row?.position,
      elsewhere: (window, only, signals) => this.#facts.elsewhere(lane, window, only, signals),
    });
    const options = {
      run: opened.run.id,
      lane: lane.name,
      owner: ask.owner,
      leaseMs: ask.leaseMs,
      ordered: runtime.ordered,
      ...(runtime.place === undefined ? {} : { place: runtime.place }),
      ...(ask.only === undefined ? {} : { only: ask.only }),
    };
    const settlesOnly = what === 'settle';
    const feed = new LaneFeed(services.ledger, services.ports, { ...options, settlesOnly }, reading);
    if (!settlesOnly) this.#feeds.set(lane.name, feed);
    return new LaneDelivery(runtime, feed, this.#signals, settlesOnly);
  }

  async #summary(deliveries: readonly LaneDelivery[], nothingToDo: boolean): Promise<RunSummary> {
    const { job, services, opened, fits, signals, lease } = this.#facts;
    if (lease.lost.aborted) throw whyLost(lease.lost.reason, opened.run.id);
    await this.#progress.close();
    return await summarise({
      job,
      services,
      opened,
      fits,
      tallies: this.#tallies,
      deliveries,
      unpublished: this.#loads.unpublished,
      nothingToDo,
      interrupted: signals.stop.aborted || signals.abort.aborted,
      elapsedMs: this.#progress.elapsedMs,
    });
  }
}

/** A lease is lost to another process, or because the ledger could not be reached for as long as it lasted. */
function whyLost(reason: unknown, run: RunId): unknown {
  if (reason instanceof WaybillError && reason.code !== 'FENCED') return reason;
  return new WaybillError('FENCED', `another process has taken over ${showRun(run)}`);
}
