import type { BatchId } from '../../model/ids.ts';
import { MemoryLoads } from './loads.ts';

/** What one call of a sending method was, in order; kept whether or not it had an effect. */
export interface MemoryCall {
  readonly ability: string;
  readonly lane: string;
  readonly batch: BatchId;
  readonly attempt: number;
  readonly fence: number;
  readonly idempotencyKey: string;
  readonly correlationId: string;
  readonly records: number;
  readonly bytes: number;
}

/** One record that the sink holds, and the call that brought it. */
export interface MemoryEffect {
  readonly call: MemoryCall;
  /** The packed key, in hex. */
  readonly key: string;
  /** The record as it was encoded. */
  readonly text: string;
  readonly atMs: number;
}

export interface MemoryMarker {
  readonly digest: string;
  readonly fence: number;
}

/** What one call of a step of a load was, in order. */
export interface MemoryStepCall {
  readonly ability: string;
  readonly lane: string;
  readonly load: string;
  readonly fence: number;
  readonly correlationId: string;
}

/** What a sink of the memory connector holds. Nothing is ever taken away, so a test sees all that happened. */
export class MemoryTable {
  /** What was collected and published as a whole; that can be replaced. */
  readonly loads = new MemoryLoads();
  /** Every step of a load, those that were refused as well. */
  readonly steps: MemoryStepCall[] = [];
  /** Every call, those that were refused as well. */
  readonly calls: MemoryCall[] = [];
  /** Every record that was applied, once for each time that it was. */
  readonly effects: MemoryEffect[] = [];
  /** By key, what `put` has left. */
  readonly byKey = new Map<string, MemoryEffect>();
  readonly markers = new Map<string, MemoryMarker>();
  /** By idempotency key: the last attempt that is let in no more, since its marker was asked for and not there. */
  readonly shutOut = new Map<string, number>();
  /** By shard: the oldest fence that is still let through. */
  readonly fences = new Map<string, number>();
  readonly jobs = new Map<string, MemoryJob>();
  readonly answers = new Map<string, MemoryAnswer>();

  /** The texts of the records, in the order in which they were applied. */
  get texts(): readonly string[] {
    return this.effects.map((effect) => effect.text);
  }

  /** The records as objects, in the same order. */
  get records(): readonly Readonly<Record<string, unknown>>[] {
    return this.effects.map((effect) => JSON.parse(effect.text) as Readonly<Record<string, unknown>>);
  }
}

export interface MemoryJob {
  readonly handle: string;
  readonly batch: BatchId;
  sent: boolean;
  polls: number;
  answer?: unknown;
}

/** What was answered to an idempotency key, verdict or refusal. */
export interface MemoryAnswer {
  readonly digest: string;
  readonly firstAtMs: number;
  readonly outcome: unknown;
}

/** Tables by name, so that a flow file and a test can speak of the same one. */
export class MemoryStore {
  readonly #tables = new Map<string, MemoryTable>();
  readonly #rows = new Map<string, readonly (object | string)[]>();

  table(name: string): MemoryTable {
    const known = this.#tables.get(name) ?? new MemoryTable();
    this.#tables.set(name, known);
    return known;
  }

  /** What a source that names this table reads. */
  fill(name: string, rows: readonly (object | string)[]): void {
    this.#rows.set(name, rows);
  }

  rows(name: string): readonly (object | string)[] | undefined {
    return this.#rows.get(name);
  }
}

const stores = new Map<string, MemoryStore>();

/** The store of this name in this process; made when it is first asked for. */
export function memoryStore(name = 'default'): MemoryStore {
  const known = stores.get(name) ?? new MemoryStore();
  stores.set(name, known);
  return known;
}
