import type { GenerationRow, LaneSpec, OpenedRun } from '../ledger/ledger.ts';
import { WaybillError } from '../model/errors.ts';
import { showRun } from '../model/ids.ts';
import { EMPTY_BALANCE } from '../model/states.ts';
import type { Fit } from '../strategies/strategy.ts';
import { LaneDelivery } from './deliver.ts';
import type { Job, LaneJob, LaneSummary, RunAsk, RunSummary, Services, StopSignals } from './engine.ts';
import { decideReading, Extraction, type Reading } from './extract.ts';
import { LaneFeed } from './feed.ts';
import type { Decided } from './intake.ts';
import { KeyIndexing } from './key-indexing.ts';
import { type LaneRuntime, LaneTally, laneRuntime } from './lane.ts';
import { LeaseKeeper } from './lease.ts';
import { watchForOrders } from './orders.ts';
import { ProgressTeller } from './progress.ts';
import { replayJournal } from './record.ts';

/**
 * Carries one window of one flow as far as it can be carried now: reads what was not read, settles what can be
 * settled, sends what is sealed. Starting it again goes on where this start ended, however that came. Rejects when
 * the window could not be read, or when the ledger or the staged bytes cannot be trusted; everything else, doubts and
 * refusals too, is in the summary.
 */
export async function runJob(job: Job, ask: RunAsk, services: Services, signals: StopSignals): Promise<RunSummary> {
  const fits = new Map(job.lanes.map((lane) => [lane.name, surelyFits(lane)]));
  const leaseMs = leaseFor(job, ask);
  await replayJournal(services);
  const grantedAtMs = services.ports.monotonicMs();
  const opened = await services.ledger.openRun({
    flow: job.flow,
    window: job.window,
    lanes: job.lanes.map((lane) => laneSpec(lane, fits.get(lane.name)!)),
    owner: ask.owner,
    leaseMs,
    configDigest: job.configDigest,
    ...(job.correlationId === undefined ? {} : { correlationId: job.correlationId }),
  });
  const claim = { run: opened.run.id, fence: opened.fence };
  const lease = new LeaseKeeper(services.ports, { grantedAtMs, leaseMs }, () =>
    services.ledger.renewRun({ ...claim, leaseMs }),
  );
  try {
    return await new Start({ job, ask: { ...ask, leaseMs }, services, signals, opened, fits, lease }).go();
  } finally {
    await lease.close();
    if (!lease.lost.aborted) await services.ledger.releaseRun(claim);
  }
}

export function surelyFits(lane: LaneJob): Fit & { fits: true } {
  const fit = lane.strategy.fit(lane.sink);
  if (fit.fits) return fit;
  const instead = fit.instead === undefined ? {} : { hint: `The strategy ${fit.instead} fits this sink.` };
  throw new WaybillError(
    'PROMISE_IMPOSSIBLE',
    `lane ${lane.name}: ${lane.strategy.name} does not fit: ${fit.reason}`,
    instead,
  );
}

const laneSpec = (lane: LaneJob, fit: Fit & { fits: true }): LaneSpec => ({
  lane: lane.name,
  connector: lane.connector,
  strategy: lane.strategy.name,
  rung: fit.guarantee.rung,
  onDoubt: lane.onDoubt,
  mappingDigest: lane.mapping?.digest ?? 'none',
});

/** A lease must outlast the longest request with room to renew it, or no permit could ever cover a send. */
function leaseFor(job: Job, ask: RunAsk): number {
  const longest = Math.max(0, ...job.lanes.map((lane) => lane.sink.requestTimeoutMs));
  return Math.max(ask.leaseMs, longest * 1.6 + 1_000);
}

interface StartFacts {
  readonly job: Job;
  readonly ask: RunAsk;
  readonly services: Services;
  readonly signals: StopSignals;
  readonly opened: OpenedRun;
  readonly fits: ReadonlyMap<string, Fit & { fits: true }>;
  readonly lease: LeaseKeeper;
}

interface ReadUnder {
  readonly generation: number;
  readonly kind: GenerationRow['kind'];
  readonly goesOn?: GenerationRow;
}

/** One start of a run, from the claim to the summary. */
class Start {
  readonly #facts: StartFacts;
  readonly #tallies = new Map<string, LaneTally>();
  /** Stops for whatever reason: told to, paused or cancelled by somebody else, or the run's lease lost. */
  readonly #halt = new AbortController();
  readonly #signals: StopSignals;
  #feeds: LaneFeed[] = [];
  readonly #progress: ProgressTeller;
  readonly #indexing: KeyIndexing;

  constructor(facts: StartFacts) {
    this.#facts = facts;
    const { services } = facts;
    this.#indexing = new KeyIndexing(services.ledger, facts.opened.run.id);
    this.#progress = new ProgressTeller(services.ports, this.#tallies, services.progress?.bind(services));
    this.#signals = {
      stop: AbortSignal.any([facts.signals.stop, facts.signals.abort, this.#halt.signal, facts.lease.lost]),
      abort: facts.signals.abort,
    };
  }

  async go(): Promise<RunSummary> {
    try {
      return await this.#go();
    } finally {
      await this.#progress.close();
    }
  }

  async #go(): Promise<RunSummary> {
    const { job, opened, services } = this.#facts;
    const balances = await services.ledger.read.balance(opened.run.id);
    for (const lane of job.lanes) this.#tallies.set(lane.name, new LaneTally(balances.get(lane.name) ?? EMPTY_BALANCE));
    const reading = this.#reading();
    const settled = [...balances.values()].every((balance) => balance.pending === 0 && balance.inDoubt === 0);
    if (opened.run.paused || (!reading.reads && settled)) return await this.#summary([], !opened.run.paused);
    const orders = watchForOrders(services, opened.run.id, this.#halt, this.#signals.stop);
    let deliveries: readonly LaneDelivery[] = [];
    try {
      deliveries = await this.#work(reading);
    } finally {
      // Last, when nothing is to be sent any more: a step of it would hold up intents and answers.
      await this.#indexing.close(!this.#signals.stop.aborted);
      this.#halt.abort();
      await orders;
    }
    return await this.#summary(deliveries, false);
  }

  #reading(): Reading {
    const { ask, opened, job } = this.#facts;
    if (ask.only !== undefined) return { reads: false, why: 'only the batches that were named are sent' };
    return decideReading(opened.generation, {
      refresh: ask.refresh ?? false,
      resendAll: ask.resendAll !== undefined,
      resumable: job.source.source.resumable,
    });
  }

  async #work(reading: Reading): Promise<readonly LaneDelivery[]> {
    if (!reading.reads) return await this.#deliver(false);
    // Before anything is claimed: what an interrupted extraction left may have to go.
    const under = await this.#generation(reading);
    if (this.#facts.job.deliver === 'after-read') {
      await this.#extract(under);
      return this.#signals.stop.aborted ? [] : await this.#deliver(false);
    }
    const delivering = this.#deliver(true);
    try {
      await this.#extract(under);
    } finally {
      for (const feed of this.#feeds) feed.sealed(false);
      await Promise.allSettled([delivering]);
    }
    return await delivering;
  }

  async #extract({ generation, kind, goesOn }: ReadUnder): Promise<void> {
    const { job, services, opened } = this.#facts;
    const claim = { run: opened.run.id, fence: opened.fence };
    this.#progress.expected = await this.#expected();
    const at = { claim, generation, rows: goesOn?.rows ?? 0 };
    const extraction = new Extraction(job, services, at, {
      read: (rows) => {
        this.#progress.read = rows;
      },
      sealed: (decided) => this.#sealed(decided),
    });
    try {
      await extraction.run(kind, goesOn, this.#signals.stop);
    } catch (error) {
      if (this.#signals.stop.aborted) return;
      const failure =
        error instanceof WaybillError ? error : new WaybillError('SOURCE_FAILED', String(error), { cause: error });
      await services.ledger.failRun({ ...claim, code: failure.code, message: failure.message });
      throw failure;
    }
    await this.#tellComparison(kind);
  }

  /** The generation to read under. What an interrupted extraction left is gone on with, dropped, or compared with. */
  async #generation(reading: Reading & { reads: true }): Promise<ReadUnder> {
    const { services, opened, ask } = this.#facts;
    const claim = { run: opened.run.id, fence: opened.fence };
    if (reading.goesOn !== undefined) {
      return { generation: reading.goesOn.generation, kind: reading.kind, goesOn: reading.goesOn };
    }
    let kind: ReadUnder['kind'] = reading.kind;
    if (reading.abandon !== undefined) {
      const { generation } = reading.abandon;
      if (!(await this.#abandoned(generation))) {
        await services.ledger.closeGeneration({ ...claim, generation, vanished: [] });
        kind = 'again';
      }
    }
    const reason = ask.resendAll === undefined ? reading.why : `${ask.resendAll.who}: ${ask.resendAll.reason}`;
    const { generation } = await services.ledger.startGeneration({ ...claim, kind, reason });
    return { generation, kind };
  }

  /** False when something of it was sent already: then it cannot be forgotten. */
  async #abandoned(generation: number): Promise<boolean> {
    const { services, opened } = this.#facts;
    try {
      const claim = { run: opened.run.id, fence: opened.fence };
      await services.ledger.abandonGeneration({ ...claim, generation, reason: 'interrupted before anything was sent' });
      for (const tally of this.#tallies.values()) tally.reset(EMPTY_BALANCE);
      const balances = await services.ledger.read.balance(opened.run.id);
      for (const [lane, balance] of balances) this.#tallies.get(lane)?.reset(balance);
      return true;
    } catch (error) {
      if (error instanceof WaybillError && error.code === 'MOVE_FORBIDDEN') return false;
      throw error;
    }
  }

  async #expected(): Promise<number | undefined> {
    const { source } = this.#facts.job.source;
    if (source.remaining === undefined) return undefined;
    const { window, parameters } = this.#facts.job;
    return (await source.remaining({ window, parameters }, this.#signals.stop)).records;
  }

  #sealed(decided: readonly Decided[]): void {
    for (const { batches, unbatched, counts } of decided) {
      const tally = this.#tallies.get(counts.lane)!;
      const records = batches.reduce((sum, batch) => sum + batch.records, 0);
      tally.move(records, 'pending');
      this.#indexing.sealed(records);
      for (const one of unbatched) tally.move(1, one.state);
    }
    for (const feed of this.#feeds) feed.sealed(true);
  }

  async #deliver(reading: boolean): Promise<readonly LaneDelivery[]> {
    const { services, opened } = this.#facts;
    this.#progress.stage = 'DELIVER';
    const generations = await services.ledger.read.generations(opened.run.id);
    const deliveries = this.#facts.job.lanes.map((lane) => this.#lane(lane, generations, reading));
    const results = await Promise.allSettled(deliveries.map((delivery) => delivery.run()));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    return deliveries;
  }

  #lane(lane: LaneJob, generations: readonly GenerationRow[], reading: boolean): LaneDelivery {
    const { opened, ask, services, fits } = this.#facts;
    const fit = fits.get(lane.name)!;
    const row = opened.lanes.find((one) => one.lane === lane.name);
    const runtime: LaneRuntime = laneRuntime(lane, {
      guarantee: fit.guarantee,
      ordered: orderOf(fit.ordered, lane.name, generations, reading),
      run: { run: opened.run.id, fence: opened.fence },
      owner: ask.owner,
      leaseMs: ask.leaseMs,
      services,
      tally: this.#tallies.get(lane.name)!,
      correlationId: opened.run.correlationId,
      position: row?.position,
    });
    const options = {
      run: opened.run.id,
      lane: lane.name,
      owner: ask.owner,
      leaseMs: ask.leaseMs,
      ordered: runtime.ordered,
      ...(ask.only === undefined ? {} : { only: ask.only }),
    };
    const feed = new LaneFeed(services.ledger, services.ports, options, reading);
    this.#feeds.push(feed);
    return new LaneDelivery(runtime, feed, this.#signals);
  }

  async #tellComparison(kind: GenerationRow['kind']): Promise<void> {
    const { services, opened } = this.#facts;
    const generation = (await services.ledger.read.generations(opened.run.id)).at(-1);
    for (const lane of generation?.lanes ?? []) {
      if (lane.duplicates > 0) {
        const message = `${lane.duplicates} records of lane ${lane.lane} have a key that came before in this reading`;
        services.notice({ level: 'warning', kind: 'duplicate-keys', message, ids: { lane: lane.lane } });
      }
      if (kind === 'first' || kind === 'resend') continue;
      const fresh = lane.read - lane.same - lane.changed;
      const figures = `${lane.same} same, ${fresh} new, ${lane.changed} changed, ${lane.vanished} vanished`;
      const message = `compared with what was there: ${figures}`;
      services.notice({ level: 'info', kind: 'generation-compared', message, ids: { lane: lane.lane } });
    }
  }

  async #summary(deliveries: readonly LaneDelivery[], nothingToDo: boolean): Promise<RunSummary> {
    const { job, services, opened, signals, lease } = this.#facts;
    if (lease.lost.aborted)
      throw new WaybillError('FENCED', `another process has taken over ${showRun(opened.run.id)}`);
    const { ledger } = services;
    await this.#progress.close();
    const generation = (await ledger.read.generations(opened.run.id)).at(-1);
    if (generation === undefined) {
      throw new WaybillError('RUN_UNKNOWN', `${showRun(opened.run.id)} has read nothing yet, so it has no batches`);
    }
    // A window that was not read to its end is not complete, however little of it there is.
    const concluded = !nothingToDo && generation.state === 'closed';
    if (concluded) await ledger.concludeRun({ run: opened.run.id, fence: opened.fence });
    const run = await ledger.read.run(opened.run.id);
    const balances = await ledger.read.balance(run.id);
    const lanes = await ledger.read.lanes(run.id);
    return {
      run,
      generation,
      nothingToDo,
      interrupted: signals.stop.aborted || signals.abort.aborted,
      paused: run.paused || lanes.some((lane) => lane.paused),
      stalled: deliveries.flatMap((one) =>
        one.stalled === undefined ? [] : [{ lane: one.lane, reason: one.stalled }],
      ),
      lanes: job.lanes.map((lane) => this.#laneSummary(lane, balances.get(lane.name) ?? EMPTY_BALANCE, generation)),
      elapsedMs: this.#progress.elapsedMs,
    };
  }

  #laneSummary(lane: LaneJob, balance: LaneSummary['balance'], generation: GenerationRow): LaneSummary {
    const tally = this.#tallies.get(lane.name)!;
    return {
      lane: lane.name,
      guarantee: this.#facts.fits.get(lane.name)!.guarantee,
      balance,
      attempts: tally.attempts,
      batches: generation.lanes.find((one) => one.lane === lane.name)?.batches ?? 0,
      answers: tally.answers,
    };
  }
}

/** Batches keep their order when the sink needs it, and when two versions of one record could overtake each other. */
function orderOf(
  ordered: (Fit & { fits: true })['ordered'],
  lane: string,
  generations: readonly GenerationRow[],
  reading: boolean,
): boolean {
  if (ordered !== 'repeats') return ordered === 'always';
  const repeated = generations.some((one) =>
    one.lanes.some((row) => row.lane === lane && row.duplicates + row.changed > 0),
  );
  return reading || repeated;
}
