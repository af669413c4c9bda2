import type { Batch } from '../../model/batch.ts';
import type { DataRecord } from '../../model/chunk.ts';
import { RefusedError } from '../../model/errors.ts';
import type { Load, LoadStep, MergeBy, Period, Scope, StepReceipt } from '../../model/load.ts';
import { isWithin, mergeRows, oneRowAKey, type Rows, surelyInside } from './merge-rows.ts';

/** What one load has collected, and what became of it. */
export interface MemoryPlace {
  readonly load: Load;
  readonly rows: DataRecord[];
  /** The digests of the batches that it holds, by their keys. */
  readonly batches: Map<string, string>;
  state: 'open' | 'published' | 'removed';
  /** It can still be read, or added to. */
  there: boolean;
}

interface Version {
  readonly name: string;
  readonly rows: Rows;
}

interface KeptLoad {
  readonly at: string;
  readonly rows: Rows;
}

/**
 * Everything that the loads of one table consist of. Each step computes what is to be there first and puts it there
 * in one assignment, so whoever reads `rows` between two calls sees all of a load or nothing.
 */
export class MemoryLoads {
  /** What readers see. */
  rows: Rows = [];
  readonly places = new Map<string, MemoryPlace>();
  /** By family, the newest fence that has been here. */
  readonly fences = new Map<string, number>();
  /** What each step of each load has come to. */
  readonly told = new Map<string, StepReceipt>();
  /** Every content that there was and that was not cleaned away, oldest first. */
  #versions: readonly Version[] = [{ name: '0', rows: [] }];
  #current = '0';
  #made = 0;
  #history: readonly KeptLoad[] = [];
  /** What was there before the first load of the history. */
  #base: Rows = [];
  readonly #periods = new Map<string, Rows>();
  #published: readonly MemoryPlace[] = [];

  open(step: LoadStep): StepReceipt {
    return this.#once(step, 'open', () => {
      const { load } = step;
      if (this.places.has(load.id)) throw closed(load, 'was opened before and is not any more');
      const before = [...this.places.values()].filter(
        (place) =>
          place.load.family === load.family && place.state === 'open' && place.load.generation < load.generation,
      );
      for (const place of before) this.#remove(place, 'removed');
      this.places.set(load.id, { load, rows: [], batches: new Map(), state: 'open', there: true });
      return { summary: `collects ${load.id}`, facts: { place: load.id, removed: before.length } };
    });
  }

  /** Whether the load holds the batch already. Throws RefusedError where nothing is collected for the load. */
  holds(load: Load, { idempotencyKey, digest }: Batch): boolean {
    const place = this.places.get(load.id);
    const known = place?.state === 'removed' ? undefined : place?.batches.get(idempotencyKey);
    if (known !== undefined && known !== digest) {
      throw new RefusedError('the marker of this batch has another digest', { reason: 'marker' });
    }
    if (known === undefined) this.#opened(load);
    return known !== undefined;
  }

  add(load: Load, { idempotencyKey, digest }: Batch, rows: Rows): void {
    const place = this.#opened(load);
    place.rows.push(...rows);
    place.batches.set(idempotencyKey, digest);
  }

  appendLoad(step: LoadStep): StepReceipt {
    return this.#publish(step, 'appendLoad', ({ rows }) => {
      this.#show([...this.rows, ...rows]);
      return { summary: `${rows.length} rows added`, facts: { inserted: rows.length } };
    });
  }

  replace(step: LoadStep, scope: Scope): StepReceipt {
    return this.#publish(step, 'replace', ({ rows }) => {
      surelyInside(rows, scope, this.rows);
      const rest = this.rows.filter((row) => !isWithin(row, scope));
      const deleted = this.rows.length - rest.length;
      this.#show([...rest, ...rows]);
      return { summary: `${rows.length} rows took the place of ${deleted}`, facts: { inserted: rows.length, deleted } };
    });
  }

  merge(step: LoadStep, by: MergeBy): StepReceipt {
    return this.#publish(step, 'merge', (place) => {
      const { rows, counts } = mergeRows(this.rows, oneRowAKey(place.rows, by, this.rows), by);
      this.#show(rows);
      return { summary: spell(counts), facts: { ...counts } };
    });
  }

  mergeAt(step: LoadStep, by: MergeBy, at: string): StepReceipt {
    return this.#publish(step, 'mergeAt', (place) => {
      const load = oneRowAKey(place.rows, by, this.rows);
      const earlier = this.#history.filter((kept) => Date.parse(kept.at) < Date.parse(at));
      const takenOut = this.#history.length - earlier.length;
      if (this.#history.length === 0) this.#base = this.rows;
      const rebuilt = (): Rows => earlier.reduce((there, kept) => mergeRows(there, kept.rows, by).rows, this.#base);
      const before = takenOut === 0 ? this.rows : rebuilt();
      const { rows, counts } = mergeRows(before, load, by);
      this.#history = [...earlier, { at, rows: load }];
      this.#show(rows);
      return { summary: `${takenOut} loads taken out; ${spell(counts)}`, facts: { ...counts, takenOut } };
    });
  }

  addToPeriod(step: LoadStep, period: Period, fresh: boolean): StepReceipt {
    return this.#publish(step, 'addToPeriod', ({ rows }) => {
      const there = fresh ? [] : (this.#periods.get(period.name) ?? []);
      this.#periods.set(period.name, [...there, ...rows]);
      this.#show([...this.#periods.values()].flat());
      return { summary: `${rows.length} rows in the period ${period.name}`, facts: { inserted: rows.length } };
    });
  }

  publish(step: LoadStep, keep: number): StepReceipt {
    return this.#publish(
      step,
      'publish',
      (place) => {
        this.#show(Object.freeze(place.rows));
        const all = [place, ...this.#published];
        for (const old of all.slice(keep + 1)) this.#remove(old, 'published');
        this.#published = all.slice(0, keep + 1);
        const kept = this.#published.length - 1;
        return { summary: `${place.rows.length} rows are shown`, facts: { inserted: place.rows.length, kept } };
      },
      true,
    );
  }

  get current(): string {
    return this.#current;
  }

  get kept(): readonly string[] {
    return this.#versions.map(({ name }) => name);
  }

  restore(step: LoadStep, version: string | null): StepReceipt {
    this.#fence(step);
    // The load has been merged: going back now would lose it, and it cannot be merged again.
    if (this.places.get(step.load.id)?.state === 'published') return { summary: 'the load is published already' };
    const found = this.#versions.find(({ name }) => name === (version ?? '0'));
    if (version === null) this.#show([]);
    else if (found === undefined) throw new RefusedError(`there is no version ${version}`, { reason: 'version-gone' });
    else {
      this.rows = found.rows;
      this.#current = found.name;
    }
    return {
      summary: version === null ? 'emptied' : `went back to version ${version}`,
      facts: { version: this.#current },
    };
  }

  /** Forgets all but the last versions, as a store does whose past is cleaned away. */
  vacuum(keep: number): void {
    this.#versions = this.#versions.slice(-keep);
  }

  #publish(step: LoadStep, name: string, work: (place: MemoryPlace) => StepReceipt, keeps = false): StepReceipt {
    return this.#once(step, name, () => {
      const place = this.#opened(step.load);
      const receipt = work(place);
      place.state = 'published';
      // What it holds is part of what is there now.
      if (!keeps) place.there = false;
      return receipt;
    });
  }

  #once(step: LoadStep, name: string, work: () => StepReceipt): StepReceipt {
    this.#fence(step);
    const key = `${step.load.id} ${name}`;
    const known = this.told.get(key);
    if (known !== undefined) return known;
    const receipt = work();
    this.told.set(key, receipt);
    return receipt;
  }

  #fence({ load, fence }: LoadStep): void {
    const known = this.fences.get(load.family) ?? 0;
    if (fence < known) {
      throw new RefusedError(`the fence ${fence} of this step is older than ${known}`, { reason: 'fenced' });
    }
    this.fences.set(load.family, fence);
  }

  #opened(load: Load): MemoryPlace {
    const place = this.places.get(load.id);
    if (place?.state === 'open') return place;
    throw closed(load, place === undefined ? 'was never opened' : `is ${place.state}`);
  }

  #show(rows: Rows): void {
    this.#made += 1;
    this.#current = String(this.#made);
    this.#versions = [...this.#versions, { name: this.#current, rows }];
    this.rows = rows;
  }

  #remove(place: MemoryPlace, state: MemoryPlace['state']): void {
    place.state = state;
    place.there = false;
  }
}

const spell = ({ inserted, updated, deleted }: { inserted: number; updated: number; deleted: number }): string =>
  `${inserted} rows inserted, ${updated} changed, ${deleted} removed`;

const closed = ({ id }: Load, what: string): RefusedError =>
  new RefusedError(`the load ${id} ${what}, so nothing is collected for it`, {
    reason: 'load-closed',
    about: 'request',
  });
