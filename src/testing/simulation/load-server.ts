import { MemoryLoads } from '../../connectors/memory/loads.ts';
import type { DataRecord } from '../../model/chunk.ts';
import { RefusedError } from '../../model/errors.ts';
import type { Load, LoadStep, StepReceipt } from '../../model/load.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { LoadScenario } from './load-scenario.ts';
import type { SinkEffect, SinkRequest } from './sink-request.ts';
import type { World } from './world.ts';

/** A step of a load as it left its process, with what was true at that moment. */
export interface StepRequest {
  readonly ability: string;
  readonly step: LoadStep;
  readonly sender: string;
  /** The ledger had this step as begun, by this very start of the run. */
  readonly intended: boolean;
}

/** A step that has changed something. */
export interface StepEffect {
  readonly atMs: number;
  readonly request: StepRequest;
  /** What the place of the load held at that moment. */
  readonly place: readonly SinkEffect[];
}

/** What a reader saw at some moment, sorted, and how many steps had had an effect by then. */
export interface LoadLook {
  readonly steps: number;
  readonly texts: readonly string[];
}

/** A batch as it reached the place of its load. */
export type AddRequest = SinkRequest & { readonly load: Load };

/**
 * What the simulated sink knows of loads: the reference of the memory connector, with a note of everything that had an
 * effect. Somebody reads all the time: after each effect, and at moments of his own.
 */
export class LoadServer {
  readonly memory = new MemoryLoads();
  readonly effects: StepEffect[] = [];
  readonly looks: LoadLook[] = [];
  readonly #world: World;
  readonly #scenario: LoadScenario;
  /** Which record of which batch a row is, for as long as it is the same row. */
  readonly #origins = new Map<DataRecord, SinkEffect>();
  readonly #keep: (request: SinkRequest, index: number) => SinkEffect;
  #seen: unknown;
  #restored: string | undefined;

  constructor(world: World, scenario: LoadScenario, keep: (request: SinkRequest, index: number) => SinkEffect) {
    this.#world = world;
    this.#scenario = scenario;
    this.#keep = keep;
  }

  /** Takes a batch into the place of its load; throws RefusedError. `count`: it dies when so many of it are there. */
  add(request: AddRequest, count = request.texts.length): Verdict | 'already' {
    const bad = request.texts.findIndex((text) => text.includes('"bad"'));
    if (bad !== -1) throw new RefusedError(`record ${bad + 1} of the batch is bad`, { reason: 'E_BAD' });
    if (this.#holds(request)) {
      this.#world.mark('the place of a load knew a batch');
      return 'already';
    }
    const { load, batch } = request;
    const rows = this.#rowsOf(request, count);
    if (count === request.texts.length) this.memory.add(load, batch, rows);
    else this.memory.places.get(load.id)!.rows.push(...rows);
    return applied(batch.records, { summary: `${batch.records} records collected` });
  }

  /** Carries out a step, once; throws RefusedError. */
  step(request: StepRequest, work: (loads: MemoryLoads) => StepReceipt): StepReceipt {
    const { load } = request.step;
    const [told, shown] = [this.memory.told.size, this.memory.rows];
    const place = (this.memory.places.get(load.id)?.rows ?? []).map((row) => this.#origins.get(row)!);
    let receipt: StepReceipt;
    try {
      receipt = work(this.memory);
    } catch (error) {
      this.#tellRefusal(error);
      throw error;
    }
    const changed = this.memory.told.size > told || this.memory.rows !== shown;
    this.#tell(request, changed, receipt);
    if (changed) this.effects.push({ atMs: this.#world.nowMs, request, place });
    this.look();
    return receipt;
  }

  /** Somebody reads. */
  look(): void {
    if (this.memory.rows === this.#seen) return;
    this.#seen = this.memory.rows;
    this.looks.push({ steps: this.effects.length, texts: this.texts });
  }

  /** What readers see, in no order of its own. */
  get texts(): readonly string[] {
    return this.memory.rows.map((row) => this.#origins.get(row)?.text ?? 'a row that nobody sent').sort();
  }

  #holds({ load, batch }: AddRequest): boolean {
    try {
      return this.memory.holds(load, batch);
    } catch (error) {
      this.#world.mark('a batch came for a load that is not collected any more');
      throw error;
    }
  }

  /** A place that knows no batches knows rows: those that a half of this batch has left are there already. */
  #rowsOf(request: AddRequest, count: number): readonly DataRecord[] {
    const there = new Set<number>();
    if (this.#scenario.addedBy === 'put') {
      for (const row of this.memory.places.get(request.load.id)!.rows) {
        const origin = this.#origins.get(row)!;
        if (origin.request.batch.id === request.batch.id) there.add(origin.index);
      }
    }
    if (there.size > 0) this.#world.mark('a half of a batch was made whole');
    return request.texts.slice(0, count).flatMap((text, index) => {
      if (there.has(index)) return [];
      const row = JSON.parse(text) as DataRecord;
      this.#origins.set(row, this.#keep(request, index));
      return [row];
    });
  }

  #tellRefusal(error: unknown): void {
    if (!(error instanceof RefusedError)) return;
    if (error.reason === 'fenced') this.#world.mark('a step of a load was refused: its fence was older');
    if (error.reason === 'load-closed') this.#world.mark('a step was refused: its load is not collected any more');
  }

  #tell({ ability, step }: StepRequest, changed: boolean, { facts }: StepReceipt): void {
    const { load } = step;
    if (ability === 'versions.restore') {
      if (!changed && this.memory.places.get(load.id)?.state === 'published') {
        this.#world.mark('going back was asked for again after the load was merged');
      } else if (this.#restored === load.id) this.#world.mark('a start ended between going back and merging');
      this.#restored = load.id;
      return;
    }
    if (ability === 'load.open') {
      if (!changed) this.#world.mark('a place was opened once more');
      else if (Number(facts?.removed) > 0) this.#world.mark('the place of an earlier generation was removed');
    } else if (!changed) this.#world.mark('a published load was published once more');
    if (ability !== 'load.open') this.#restored = undefined;
  }
}
