import type { LedgerBench } from './ledger-bench.ts';
import type { Scenario } from './scenario.ts';
import { type Case, replay } from './schedule.ts';

/** What a smaller case must still break: the same invariant. */
export interface Shrinking {
  readonly invariant: string;
  /** What all tries together may cost: a schedule has some hundred events, one that goes round in circles 200,000. */
  readonly eventsMax: number;
}

/**
 * Makes a failing case smaller while it fails in the same way: faults are switched off one by one, the flow is made
 * plainer, the tape is cut off at its end and choices are set to zero, in ever smaller blocks. Zero is the dullest
 * choice, so what is left are the choices that matter.
 */
export async function shrink(failing: Case, bench: LedgerBench, how: Shrinking): Promise<Case> {
  const shrinker = new Shrinker(failing, bench, how);
  await shrinker.plainerScenario();
  await shrinker.shorterTape();
  await shrinker.dullerTape();
  await shrinker.plainerScenario();
  await shrinker.shorterTape();
  return shrinker.best;
}

class Shrinker {
  best: Case;
  readonly #bench: LedgerBench;
  readonly #how: Shrinking;
  #events = 0;

  constructor(failing: Case, bench: LedgerBench, how: Shrinking) {
    this.best = failing;
    this.#bench = bench;
    this.#how = how;
  }

  async plainerScenario(): Promise<void> {
    for (const scenario of plainer(this.best.scenario)) {
      const merged = { ...this.best.scenario, ...scenario };
      await this.#try({ scenario: merged, tape: this.best.tape });
    }
    for (const kind of Object.keys(this.best.scenario.swarm)) {
      const swarm = Object.fromEntries(Object.entries(this.best.scenario.swarm).filter(([name]) => name !== kind));
      await this.#try({ scenario: { ...this.best.scenario, swarm }, tape: this.best.tape });
    }
  }

  async shorterTape(): Promise<void> {
    for (let size = this.best.tape.length >> 1; size >= 1; size >>= 1) {
      while (await this.#try({ ...this.best, tape: this.best.tape.slice(0, -size) })) if (this.#spent) return;
    }
  }

  async dullerTape(): Promise<void> {
    for (let size = 64; size >= 1; size >>= 2) {
      for (let at = 0; at < this.best.tape.length; at += size) {
        if (this.#spent) return;
        const { tape } = this.best;
        if (tape.slice(at, at + size).every((value) => value === 0)) continue;
        await this.#try({ ...this.best, tape: tape.map((value, nth) => (nth >= at && nth < at + size ? 0 : value)) });
      }
    }
  }

  get #spent(): boolean {
    return this.#events >= this.#how.eventsMax;
  }

  async #try(smaller: Case): Promise<boolean> {
    if (this.#spent || smaller.tape.length === 0) return false;
    const { violations, events } = await replay(smaller, this.#bench);
    this.#events += events;
    if (!violations.some((one) => one.invariant === this.#how.invariant)) return false;
    this.best = smaller;
    return true;
  }
}

function plainerLoads(load: Scenario['load']): readonly Partial<Scenario>[] {
  if (load === undefined) return [];
  const steps: readonly Partial<typeof load>[] = [
    { readAgain: null },
    { deletions: 'none' },
    { latestBy: false },
    { onRefused: 'hold' },
    { addedBy: 'marker' },
  ];
  return steps.map((step) => ({ load: { ...load, ...step } }));
}

/** Single steps towards the dullest flow. */
function plainer(scenario: Scenario): readonly Partial<Scenario>[] {
  const steps: Partial<Scenario>[] = [
    { lanes: 1 },
    { windows: 1 },
    { repeats: false },
    { intendAhead: 0 },
    { deliver: 'after-read' },
    { onDoubt: 'hold' },
    { onChanged: 'hold' },
    { localLedger: true },
    { provesDeath: true },
    { rejectsAtomically: false },
    { inFlight: 1 },
    { rows: 3 },
    // Not into what `withoutKnown` leaves out.
    ...(scenario.rung === 'put' ? [] : [{ recordsPerBatch: 2 }]),
    { chunkRecords: 20 },
    ...plainerLoads(scenario.load),
  ];
  return steps.filter((step) =>
    Object.entries(step).some(([name, value]) => scenario[name as keyof Scenario] !== value),
  );
}
