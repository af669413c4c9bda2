import type * as Lance from '@lancedb/lancedb';
import { describeError, RefusedError, WaybillError } from '../../model/errors.ts';
import type { LoadStep, MergeBy, Scope, StepReceipt } from '../../model/load.ts';
import type { TableColumn } from './batch-rows.ts';
import type { LoadNote } from './books.ts';
import { type Collected, collect, emptyTable, keyColumns, presentKeys, rowTexts } from './collected.ts';
import type { Opened } from './database.ts';
import { expectAsked, within, writeError } from './driver.ts';
import { gone } from './place.ts';
import { inScope, withKeys } from './predicate.ts';
import type { Target } from './target.ts';

/** What a load does to the table, in one commit. */
export interface Work {
  readonly name: 'appendLoad' | 'merge' | 'replace';
  readonly by?: MergeBy;
  readonly scope?: Scope;
}

/** A load that is ready to be published. */
interface Ready extends Collected {
  readonly opened: Opened;
  readonly table: Lance.Table;
  readonly columns: readonly TableColumn[];
  readonly on: readonly TableColumn[];
  /** What is deleted of what the load does not bring: the rows of a filter, or all; undefined: nothing. */
  readonly without?: string | 'all';
  readonly scope?: string | 'all';
}

/** So many versions are looked through for what a load may have left there. */
const VERSIONS_SEARCHED = 200;

/**
 * A load becomes one commit of the table. The intent stands in the books before, with the version that the table had;
 * so after a lost answer or a crash the versions since then say whether it was done: one of them holds all of it.
 */
export class Publisher {
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  async publish(step: LoadStep, work: Work): Promise<StepReceipt> {
    const { books } = this.#target;
    const { id } = step.load;
    expectAsked(step);
    await books.shutOut(step);
    const note = await books.get('load', id);
    if (note === undefined || note.state === 'gone') throw gone(id);
    if (note.state === 'published') return note.receipt!;
    const ready = await this.#ready(id, work);
    if (ready === undefined) return await this.#finish(id, note, { summary: 'the load is empty and so is the table' });
    const done = note.state === 'publishing' ? await this.#doneSince(ready, note.base ?? 0) : undefined;
    if (done !== undefined) {
      const facts = { rows: ready.rows.numRows, tableVersion: done };
      return await this.#finish(id, note, { summary: `published before, as version ${done} of the table`, facts });
    }
    if (ready.scope !== undefined && ready.scope !== 'all') await expectNoneOutside(ready, ready.scope);
    const base = await ready.table.version();
    const intended = { ...note, state: 'publishing', step: work.name, base } as const;
    const stands = await books.putUnlessPublished(id, intended);
    if (stands.receipt !== undefined) return stands.receipt;
    return await this.#finish(id, intended, await commit(step, work, ready));
  }

  async #finish(id: string, note: LoadNote, receipt: StepReceipt): Promise<StepReceipt> {
    const { books, database } = this.#target;
    try {
      const told = await books.putUnlessPublished(id, { ...note, state: 'published', receipt });
      // Where versions are gone back to, a crash may ask for the load again: then its place goes with the next one.
      const watched = note.base !== undefined && (await books.get('version', String(note.base))) !== undefined;
      if (!watched) await (await database.open()).drop(id);
      return told.receipt ?? receipt;
    } catch (cause) {
      // By now it is part of the table: that a later request did nothing does not prove the contrary.
      throw new WaybillError('SINK_FAILED', `${id} is published, but what follows failed: ${describeError(cause)}`, {
        cause,
      });
    }
  }

  /** What is wrong with the load itself is refused here, before anything is changed. Undefined: there is nothing. */
  async #ready(id: string, work: Work): Promise<Ready | undefined> {
    const { database, options } = this.#target;
    const opened = await database.open();
    this.#expectKey(work.by);
    const place = await opened.find(id);
    const before = await this.#target.find();
    // A place is made with the first batch where only records say which columns there are.
    if (place === undefined && options.columns === undefined && before === undefined) return undefined;
    if (place === undefined) throw gone(id);
    const rowNamed = options.key === undefined;
    const columns = (await opened.columnsOf(place)).filter(({ name }) => rowNamed || name !== options.rowColumn);
    expectColumns(columns, work.by);
    const table =
      before ??
      (await this.#target.make(
        opened,
        columns.filter(({ name }) => name !== options.rowColumn),
      ));
    const scope =
      work.scope === undefined ? undefined : (inScope(opened.arrow, await table.schema(), work.scope) ?? 'all');
    await expectInside(place, scope);
    const ask = { columns, on: this.#target.on, rowColumn: options.rowColumn, target: table };
    const collected = await collect(opened, place, work.by === undefined ? ask : { ...ask, by: work.by });
    const on = keyColumns(ask);
    const ready = { ...collected, opened, table, columns, on };
    if (scope !== undefined) return { ...ready, scope, without: scope };
    return collected.removed.length === 0 ? ready : { ...ready, without: withKeys(on, collected.removed) };
  }

  #expectKey(by: MergeBy | undefined): void {
    const { key, table } = this.#target.options;
    if (by === undefined || (key !== undefined && [...key].sort().join('\0') === [...by.key].sort().join('\0'))) return;
    throw new RefusedError(`the key of the flow is not the \`key\` of the sink for ${table}`, {
      reason: 'key',
      about: 'request',
      hint: 'Two merges at the same time are kept apart by the key of the table, so both must be the same columns.',
    });
  }

  /** The version that shows the load as it was meant, among those since its intent. */
  async #doneSince(ready: Ready, base: number): Promise<number | undefined> {
    const { opened } = ready;
    const stable = await this.#target.isStable();
    const table = await opened.find(this.#target.options.table);
    const versions = (await table!.listVersions()).map(({ version }) => version).filter((version) => version > base);
    for (const version of versions.sort((a, b) => a - b).slice(0, VERSIONS_SEARCHED)) {
      await table!.checkout(version);
      if (await shows(ready, table!, stable ? base : undefined)) return version;
    }
    return undefined;
  }
}

/** Whether the table, as it is checked out, holds what the load brings and nothing of what it takes out. */
async function shows({ opened, rows, columns, on, removed, scope }: Ready, table: Lance.Table, base?: number) {
  if (scope !== undefined && (await table.countRows(scope === 'all' ? undefined : scope)) !== rows.numRows)
    return false;
  if (removed.length > 0 && (await presentKeys(opened, table, on, removed)).size > 0) return false;
  const query = table.query().select(columns.map(({ name }) => name));
  // Rows that the load wrote were changed after its intent: the rest need not be looked at.
  const changed = base === undefined ? query : query.where(`_row_last_updated_at_version > ${base}`);
  const there = new Set(rowTexts(opened.arrow, await changed.toArrow(), columns));
  return rowTexts(opened.arrow, rows, columns).every((text) => there.has(text));
}

async function commit(step: LoadStep, work: Work, ready: Ready): Promise<StepReceipt> {
  const { opened, rows, columns, on, table, without } = ready;
  if (rows.numRows === 0 && without === undefined) return { summary: 'the load is empty', facts: { rows: 0 } };
  const insert = table.mergeInsert(on.map(({ name }) => name)).whenNotMatchedInsertAll();
  const merge = work.name === 'appendLoad' ? insert : insert.whenMatchedUpdateAll();
  const whole =
    without === undefined
      ? merge
      : merge.whenNotMatchedBySourceDelete(without === 'all' ? undefined : { where: without });
  const data = rows.numRows === 0 ? emptyTable(opened.arrow, columns) : rows;
  const result = await within(step.signal, whole.execute(data)).catch((error: unknown) => {
    throw writeError(error, `publishing ${step.load.id}`);
  });
  const { numInsertedRows: inserted, numUpdatedRows: updated, numDeletedRows: deleted, version } = result;
  const parts = [`${inserted} rows inserted`, `${updated} changed`, `${deleted} removed`];
  const old = updated + deleted === 0 ? '' : '; what they were stays in earlier versions until those are cleaned up';
  return {
    summary: `${parts.join(', ')}, in version ${version}${old}`,
    facts: { inserted, updated, deleted, tableVersion: version },
  };
}

function expectColumns(columns: readonly TableColumn[], by: MergeBy | undefined): void {
  for (const name of [by?.deleted?.column, by?.latestBy]) {
    if (name === undefined || columns.some((column) => column.name === name)) continue;
    throw new RefusedError(`the load has no column ${JSON.stringify(name)}`, { reason: 'column', about: 'request' });
  }
}

async function expectInside(place: Lance.Table, scope: string | undefined): Promise<void> {
  if (scope === undefined || scope === 'all') return;
  const outside = await place.countRows(`(${scope}) is not true`);
  if (outside === 0) return;
  throw new RefusedError(`${outside} rows of the load lie outside of what it takes the place of`, {
    reason: 'outside-scope',
    hint: 'Correct the query, or the column of `load: { scope }`.',
  });
}

/** A row of the same key elsewhere would be changed, though what lies outside is to be left alone. */
async function expectNoneOutside({ opened, table, on, rows }: Ready, scope: string): Promise<void> {
  const keys = rowTexts(opened.arrow, rows, on).map((text) => JSON.parse(text) as string[]);
  const others = await presentKeys(opened, table, on, keys, `(${scope}) is not true`);
  if (others.size === 0) return;
  throw new RefusedError(`${others.size} keys of the load are in the table outside of what it takes the place of`, {
    reason: 'key-elsewhere',
    hint: 'A key is one row of the table: make the column of the scope part of it, or merge.',
  });
}
