import { RefusedError } from '../../model/errors.ts';
import type { LoadStep, StepReceipt } from '../../model/load.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { Permit } from '../connector.ts';
import { encoded, fieldsOf, recordsOf } from './batch-rows.ts';
import { expectAsked, within, writeError } from './driver.ts';
import { holdsBatch, rowNames } from './row-names.ts';
import type { Target } from './target.ts';

/** A table for each load, of the same columns as the target, and one that says where each row came from. */
export class Places {
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  async open(step: LoadStep): Promise<StepReceipt> {
    const { books, database } = this.#target;
    const { id, family, generation, flow } = step.load;
    expectAsked(step);
    await books.shutOut(step);
    const known = await books.get('load', id);
    if (known?.state === 'published') return { summary: 'the load has been published already', facts: { place: id } };
    if (known?.state === 'gone') throw gone(id);
    await this.#clear(step);
    const opened = await database.open();
    const table = await this.#target.find();
    const columns = await this.#target.columns(opened, table);
    if (columns !== undefined)
      await opened.make(id, [...columns.map(({ field }) => field), this.#target.rowField(opened)]);
    if (known === undefined) await books.put('load', id, { state: 'open', family, generation, flow });
    return { summary: `the table ${id} takes what the load brings`, facts: { place: id } };
  }

  async add(permit: Permit): Promise<Verdict | 'already'> {
    const { books, database, options } = this.#target;
    const id = permit.load?.id ?? '';
    const records = await recordsOf(permit);
    // The place of a load that was published is not made again, whoever wakes up late.
    const state = (await books.get('load', id))?.state;
    if (state !== 'open' && state !== 'publishing' && state !== 'void') throw gone(id);
    const opened = await database.open();
    const columns = await this.#target.columnsFor(
      opened,
      (await opened.find(id)) ?? (await this.#target.find()),
      records,
    );
    const rowField = this.#target.rowField(opened);
    const place = (await opened.find(id)) ?? (await opened.make(id, [...columns.map(({ field }) => field), rowField]));
    if (await holdsBatch(place, options.rowColumn, permit.batch)) return 'already';
    const own = (await opened.columnsOf(place)).filter(({ name }) => name !== options.rowColumn);
    const rows = encoded(opened.arrow, own, fieldsOf(records, own), [
      { field: rowField, texts: rowNames(permit.batch) },
    ]);
    // One that was given up may arrive later, after it was repeated: rows of the same name count as one.
    const { version } = await within(permit.signal, place.add(rows)).catch((error: unknown) => {
      throw writeError(error, `adding to ${id}`);
    });
    return applied(records.length, {
      summary: `${records.length} rows in the place of the load`,
      reference: `v${version}`,
    });
  }

  /** Places of earlier generations that nobody has seen; and those that were kept only until the next load. */
  async #clear({ load }: LoadStep): Promise<void> {
    const { books, database } = this.#target;
    const opened = await database.open();
    const there = new Set(await opened.connection.tableNames());
    for (const [id, note] of await books.all('load')) {
      const published = note.state === 'published' && id !== load.id;
      const earlier = note.family === load.family && note.generation < load.generation && note.state !== 'gone';
      if (!published && !earlier) continue;
      if (there.has(id)) await opened.drop(id);
      if (!published) await books.put('load', id, { ...note, state: 'gone' });
    }
  }
}

export function gone(id: string): RefusedError {
  return new RefusedError(`there is no place for the load ${id} any more`, { reason: 'load-gone', about: 'request' });
}
