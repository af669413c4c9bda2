import type * as Pg from 'pg';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { LoadStep, StepReceipt } from '../../model/load.ts';
import { quoteName } from './connection.ts';
import { type Brought, UNKNOWN_LOAD } from './load-books.ts';
import {
  columnsOf,
  expectOpen,
  type LoadParts,
  type LoadPlaceOptions,
  lost,
  placeOfLoad,
  shardOf,
} from './load-place.ts';
import { type Place, readShape, readTarget, type Shape, type Target } from './shape.ts';
import { quoteTable } from './table.ts';

/** What publishing has to do with: one transaction in which nobody else publishes to the same name. */
export interface Publishing extends Brought {
  readonly client: Pg.Client;
  readonly step: LoadStep;
  readonly options: LoadPlaceOptions;
  /** The table of the load. */
  readonly place: Shape;
  /** The columns that records have brought, in the order of the place. */
  readonly columns: readonly string[];
  readonly target: Target;
}

export interface Done {
  readonly receipt: StepReceipt;
  /** Where the table of the load is from now on, when readers are to see it. It is removed otherwise. */
  readonly stays?: Place;
}

/**
 * Publishes loads. Each step is one transaction: what it does, the row that says that it is done, and the end of the
 * load's place. Asked again, it finds that row. Everything is done by the server; no row passes this process.
 */
export class LoadSteps {
  readonly #parts: LoadParts;

  constructor(parts: LoadParts) {
    this.#parts = parts;
  }

  async run(step: LoadStep, work: (publishing: Publishing) => Promise<Done>): Promise<StepReceipt> {
    if (step.signal.aborted) throw new NotAppliedError('the step was given up before it began');
    const { books, loads, transactions, options } = this.#parts;
    const ask = { signal: step.signal, timeoutMs: options.stepTimeoutMs };
    let reached = false;
    const stepped = transactions.inSession<StepReceipt>(ask, async (session) => {
      const { client } = session;
      const claim = { shard: shardOf(step.load), fence: step.fence };
      await books.prepare(client, claim);
      await loads.prepare(client);
      await books.deliveries.prepare(client);
      reached = true;
      await books.begin(session, claim);
      await this.#giveTime(client);
      const entry = (await loads.take(client, step.load.id)) ?? UNKNOWN_LOAD;
      if (entry.receipt !== null) return await committed(session, entry.receipt);
      expectOpen(entry, step.load.id);
      const done = await this.#publish(client, step, work);
      return await committed(session, done);
    });
    const receipt = await stepped.catch((error: unknown) => {
      if (reached || !(error instanceof RefusedError)) throw error;
      // A password that is wrong by now says nothing of an earlier try: nobody has looked what that has come to.
      throw new NotAppliedError(error.message, { cause: error, hint: error.hint, ids: error.ids });
    });
    return receipt!;
  }

  async #publish(client: Pg.Client, step: LoadStep, work: (one: Publishing) => Promise<Done>): Promise<StepReceipt> {
    const { loads, options } = this.#parts;
    const name = await readTarget(client, options.table);
    await this.#waitInTurn(client, name);
    const place = await this.#whole(client, step);
    // Whoever published before may have made it: only now does it stay as it is.
    const target = await readTarget(client, [name.schema, name.name]);
    const done = await work({ ...place, client, step, options, target });
    const { receipt, stays } = done;
    if (stays === undefined) await client.query(`drop table ${place.place.quoted}`);
    const state = stays === undefined ? 'published' : 'shown';
    const kept = stays === undefined ? {} : { place: stays.quoted };
    await loads.finish(client, step, { target: target.quoted, state, receipt, ...kept });
    return receipt;
  }

  /**
   * One load after the other. The one before may take as long as any step: waiting for it no longer than for a stranger
   * would use up the tries of windows that are loaded side by side.
   */
  async #waitInTurn(client: Pg.Client, { quoted }: Place): Promise<void> {
    const { stepTimeoutMs, lockTimeoutMs } = this.#parts.options;
    const limit = "select set_config('lock_timeout', $1, true)";
    await client.query(limit, [String(stepTimeoutMs)]);
    await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`waybill ${quoted}`]);
    await client.query(limit, [String(lockTimeoutMs)]);
  }

  /** The place with all that was added to it. Throws RefusedError when something of that is not there any more. */
  async #whole(client: Pg.Client, { load }: LoadStep): Promise<Brought & Pick<Publishing, 'place' | 'columns'>> {
    const { loads, options } = this.#parts;
    const { quoted } = placeOfLoad(options, load.id);
    const place = await readShape(client, quoted);
    if (place === undefined) throw lost(load.id, 'its table is gone');
    const brought = await loads.brought(client, load.id);
    const { rows } = await client.query<{ held: number }>(`select count(*)::float8 as held from ${quoted}`);
    const held = rows[0]!.held;
    if (held !== brought.records) {
      throw lost(load.id, `its table holds ${held} of ${brought.records} rows; the server may have crashed`);
    }
    const named = columnsOf(brought.sets);
    const columns = place.columns.map(({ name }) => name).filter((name) => named.has(name));
    return { ...brought, place, columns };
  }

  /** A step may take longer than a request: it moves all that the window has brought. */
  async #giveTime(client: Pg.Client): Promise<void> {
    await client.query(
      `select set_config('statement_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $1, true)`,
      [String(this.#parts.options.stepTimeoutMs)],
    );
  }
}

async function committed(session: { commit(): Promise<void> }, receipt: StepReceipt): Promise<StepReceipt> {
  await session.commit();
  return receipt;
}

/**
 * The columns of the load, once it is sure that the table has them all. Throws RefusedError for those that have gone
 * since the load was opened: their values would be lost without a word.
 */
export function columnsFor({ columns, place }: Publishing, table: Shape): readonly string[] {
  const there = new Set(table.columns.filter(({ generated }) => !generated).map(({ name }) => name));
  const gone = columns.filter((name) => !there.has(name));
  if (gone.length === 0) return columns;
  throw new RefusedError(
    `the table ${table.quoted} has no column ${gone.map((name) => JSON.stringify(name)).join(', ')} any more, and ` +
      `${place.quoted} brings values for it`,
    {
      reason: 'column-gone',
      about: 'request',
      ids: { column: gone[0] },
      hint: 'Add the column again, or read the window again without it.',
    },
  );
}

/** What another flow has brought is not this one's to take out: nobody would bring it again. */
export const ofAnotherFlow = (
  what: string,
  other: string,
  { step: { load }, options }: Pick<Publishing, 'step' | 'options'>,
): RefusedError => {
  const { flow } = load;
  const books = quoteTable([options.markerSchema, 'waybill_load']);
  return new RefusedError(`${what} holds loads of the flow ${other}, and this load would take them out`, {
    reason: 'flow-foreign',
    about: 'request',
    ids: { flow, other },
    hint:
      `Give each flow a table of its own. If ${other} is called ${flow} now, say so in the books of the sink: ` +
      `update ${books} set flow = '${flow}' where flow = '${other}'`,
  });
};

/** All columns of the place that a table has too and that can be written, with defaults where records had nothing. */
export function columnsInBoth(publishing: Publishing, table: Shape): readonly string[] {
  columnsFor(publishing, table);
  const there = new Map(table.columns.map((column) => [column.name, column]));
  return publishing.place.columns
    .filter(({ name, generated }) => !generated && there.get(name)?.generated === false)
    .map(({ name }) => name);
}

/** Nobody else writes to the table until the end of the transaction; who reads is not kept waiting. */
export async function lockForWriters(client: Pg.Client, table: Shape): Promise<void> {
  await client.query(`lock table ${table.quoted} in share row exclusive mode`);
}

export const countOf = async (client: Pg.Client, text: string, values: readonly unknown[] = []): Promise<number> =>
  (await client.query<{ count: number }>(text, [...values])).rows[0]?.count ?? 0;

export const sourceColumns = (columns: readonly string[]): string =>
  columns.map((name) => `s.${quoteName(name)}`).join(', ');
