import type { OpenedRun } from '../ledger/ledger.ts';
import { EMPTY_BALANCE } from '../model/states.ts';
import type { Job, RunSummary, Services, StopSignals } from './engine.ts';
import type { LeaseKeeper } from './lease.ts';
import { LaneLoad } from './load.ts';

interface Facts {
  readonly job: Job;
  readonly services: Services;
  readonly opened: OpenedRun;
  readonly lease: LeaseKeeper;
}

/** The loads of one start: those of its lanes that collect what the window brings before anybody sees it. */
export class RunLoads {
  readonly #facts: Facts;
  readonly #lanes = new Map<string, LaneLoad>();
  #unpublished: RunSummary['stalled'] = [];

  constructor(facts: Facts, signals: StopSignals) {
    this.#facts = facts;
    const { job, services, opened, lease } = facts;
    const about = {
      flow: job.flow,
      window: job.window,
      claim: { run: opened.run.id, fence: opened.fence },
      correlationId: opened.run.correlationId,
      services,
      abort: AbortSignal.any([signals.abort, lease.lost]),
      stop: signals.stop,
    };
    for (const lane of job.lanes) {
      if (lane.strategy.load !== undefined) this.#lanes.set(lane.name, new LaneLoad({ ...about, lane }));
    }
  }

  get none(): boolean {
    return this.#lanes.size === 0;
  }

  of(lane: string): LaneLoad | undefined {
    return this.#lanes.get(lane);
  }

  /** Lanes whose load readers do not see after this start, and why. */
  get unpublished(): RunSummary['stalled'] {
    return this.#unpublished;
  }

  /** A later load has taken out what this window had brought. */
  async undone(): Promise<boolean> {
    return (await this.#latest()).some((load) => load?.state === 'replaced');
  }

  /** Nothing is left to be published. A lane that never had a load has delivered in another way. */
  async published(): Promise<boolean> {
    return (await this.#latest()).every((load) => load === undefined || load.state === 'published');
  }

  /** Whether readers see the last load must be known before the next one is begun. */
  async findOut(): Promise<void> {
    for (const load of this.#lanes.values()) await load.findOut();
  }

  /** Generation 0: nothing was ever read, so there is nothing to collect. */
  async open(generation: number): Promise<void> {
    if (generation === 0) return;
    for (const load of this.#lanes.values()) await load.open(generation);
  }

  /** What every batch of has been decided is published; the rest is told. One lane holds up no other. */
  async publish(): Promise<void> {
    const { ledger } = this.#facts.services;
    const { id } = this.#facts.opened.run;
    const generation = (await ledger.read.generations(id)).at(-1);
    if (generation?.state !== 'closed') return;
    const balances = await ledger.read.balance(id);
    const publishing = [...this.#lanes].map(async ([lane, load]) => {
      const reason = await load.publish(generation.generation, balances.get(lane) ?? EMPTY_BALANCE);
      return reason === undefined ? [] : [{ lane, reason }];
    });
    const results = await Promise.allSettled(publishing);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    this.#unpublished = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  }

  async #latest() {
    return await Promise.all([...this.#lanes.values()].map((load) => load.latest()));
  }
}
