import { deliveryOf } from '../../model/delivery.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { LoadStep, StepReceipt } from '../../model/load.ts';
import type { Clock } from '../../model/ports.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { LoadAbilities, Permit } from '../connector.ts';
import { columnsOfTable, type Handle } from './database.ts';
import {
  addPlace,
  type Done,
  dropFields,
  giveUp,
  holdsBatch,
  keepBatch,
  keepTold,
  markPublished,
  type OpenPlace,
  openBooks,
  openPlace,
  placeOf,
  raiseFence,
  removePlace,
  toldOf,
  unpublishedBefore,
} from './load-books.ts';
import { FieldKeeper } from './load-fields.ts';
import { mergeAtTime } from './load-history.ts';
import { mergePlace } from './load-merge.ts';
import { makePlace, type Target } from './load-place.ts';
import { addAll, replaceScope } from './load-rows.ts';
import { joinPeriod, showNewest } from './load-views.ts';
import { declaredOf, type RecordWriter } from './records.ts';
import type { SqliteSession } from './session.ts';

export interface LoadOptions {
  /** What is said of columns may grow. */
  readonly options: Target & { readonly clock: Clock };
  readonly session: SqliteSession;
  readonly records: RecordWriter;
}

/** What one way to publish does with a place, inside the transaction. `keeps`: the place is part of what is there. */
type Publishing = (database: Handle, place: OpenPlace, target: Target) => Done;
/**
 * Loads in the same database file: a table of its own for each, and every step one transaction together with the marker
 * that it was done. So a reader sees what was before or what is after, whatever the step consists of.
 */
export function loadAbilities(options: LoadOptions): Omit<LoadAbilities, 'versions'> {
  const loads = new SqliteLoads(options);
  return {
    load: { open: async (step) => loads.open(step), add: (permit) => loads.add(permit) },
    appendLoad: async (step) =>
      loads.publish(step, 'appendLoad', (database, place, target) =>
        addAll(database, { place, target, delivery: deliveryOf(step.load), atMs: options.options.clock.wallMs() }),
      ),
    replace: async (step, scope) =>
      loads.publish(step, 'replace', (database, place, target) => replaceScope(database, { place, target, scope })),
    merge: async (step, by) =>
      loads.publish(step, 'merge', (database, place, target) => mergePlace(database, { place, target, by })),
    mergeAt: async (step, by, at) =>
      loads.publish(step, 'mergeAt', (database, place, target) => mergeAtTime(database, { place, target, by, at })),
    addToPeriod: async (step, period, fresh) =>
      loads.publish(step, 'addToPeriod', (database, place, { table }) =>
        joinPeriod(database, { place, table, period, fresh }),
      ),
    publish: async (step, keep) =>
      loads.publish(step, 'publish', (database, place, { table }) => showNewest(database, { place, table, keep })),
  };
}

class SqliteLoads {
  readonly #options: LoadOptions;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  open(step: LoadStep): StepReceipt {
    return this.#step(step, 'open', (database) => {
      const { load } = step;
      if (placeOf(database, load.id) !== undefined) throw withdrawn(load.id);
      const before = unpublishedBefore(database, load);
      for (const row of before) giveUp(database, row);
      makePlace(database, this.#options.options, load.id);
      addPlace(database, load, this.#options.options.table, load.id);
      const summary =
        before.length === 0
          ? `collects in the table ${load.id}`
          : `collects in the table ${load.id}; ${before.length} places that were never published are removed`;
      return { summary, facts: { place: load.id, removed: before.length } };
    });
  }

  async add(permit: Permit): Promise<Verdict | 'already'> {
    const { load, batch } = permit;
    if (load === undefined) throw new RefusedError('the batch belongs to no load', { reason: 'no-load' });
    if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
    const payload = await permit.payload();
    const { session, records, options } = this.#options;
    return session.transaction<Verdict | 'already'>((database) => {
      openBooks(database);
      if (holdsBatch(database, load.id, batch)) return 'already';
      const row = openPlace(database, load);
      const columns = columnsOfTable(database, row.place) ?? [];
      const into = { table: row.place, ...declaredOf(columns) };
      const fields = new FieldKeeper(database, row);
      records.insertAll(database, payload, { ...into, written: (names, nth) => fields.keep(names, nth) });
      keepBatch(database, row, { batch, sets: fields.sets, wallMs: options.clock.wallMs() });
      return applied(batch.records, {
        summary: `${batch.records} rows and their marker in one transaction`,
        reference: batch.idempotencyKey,
      });
    });
  }

  publish(step: LoadStep, name: string, work: Publishing): StepReceipt {
    return this.#step(step, name, (database) => {
      const place = openPlace(database, step.load);
      markPublished(database, step.load.id);
      const { receipt, keeps = false } = work(database, place, this.#options.options);
      if (keeps) dropFields(database, place.place);
      else removePlace(database, place);
      return receipt;
    });
  }

  #step(step: LoadStep, name: string, work: (database: Handle) => StepReceipt): StepReceipt {
    if (step.signal.aborted) throw new NotAppliedError('the step was given up before it began');
    const { session, options, records } = this.#options;
    // A prepared statement would hold on to a table that is removed or altered here.
    records.forget();
    return session.transaction((database) => {
      openBooks(database);
      raiseFence(database, step);
      const told = toldOf(database, step.load.id, name);
      if (told !== undefined) return told;
      const receipt = work(database);
      keepTold(database, step, { name, receipt, wallMs: options.clock.wallMs() });
      return receipt;
    });
  }
}

/** A place that is gone is not opened again: what it held is lost, and the engine would not know. */
function withdrawn(load: string): RefusedError {
  return new RefusedError(`the load ${load} was opened before and is not any more`, {
    reason: 'load-closed',
    about: 'request',
    ids: { load },
  });
}
