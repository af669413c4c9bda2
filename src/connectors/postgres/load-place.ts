import { createHash } from 'node:crypto';
import type * as Pg from 'pg';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Load, LoadStep, StepReceipt } from '../../model/load.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { Permit } from '../connector.ts';
import type { Books } from './books.ts';
import { quoteName } from './connection.ts';
import { copyBatch } from './copy-batch.ts';
import type { FieldSets, LoadBooks, LoadEntry } from './load-books.ts';
import { nameBeside, type Place, placeOf, readShape, readTarget, type Shape, type Target } from './shape.ts';
import { columnList, readTable, type Table, type TableOptions } from './table.ts';
import type { Transactions } from './transactions.ts';

/** In every row of a place: which columns its record brought. What none brought is not the load's to change. */
export const FIELDS = 'waybill_fields';
/** Says it for the rows that a statement inserts. */
export const FIELDS_SETTING = 'waybill.fields';
/** The columns that the records of a COPY do not bring, as a JSON list. */
export const LACKS_SETTING = 'waybill.lacks';

export interface LoadPlaceOptions extends TableOptions {
  readonly markerSchema: string;
  /**
   * `durable`: the place is written to the server's log, so it outlives a crash. `fast`: it is not, which saves half of
   * what is written; a crash of the server empties it, and then the load is refused and has to be read again.
   */
  readonly places: 'durable' | 'fast';
  /** How long one step of a load may take. */
  readonly stepTimeoutMs: number;
  /** How long it may wait for a lock of somebody who is no load. */
  readonly lockTimeoutMs: number;
  /** With so many tables under one view, whoever adds another one is warned. */
  readonly periodTablesMax: number;
}

export interface LoadParts {
  readonly options: LoadPlaceOptions;
  readonly transactions: Transactions;
  readonly books: Books;
  readonly loads: LoadBooks;
}

/** The claims of a run's steps are counted apart from those of its shards. */
export const shardOf = ({ family }: Load): string => `load ${family}`;

/**
 * A table for each load, beside the sink's own books: readers have no business there. Its columns are those of the
 * target with their checks, so a record that does not fit is refused with its batch, before anything is published.
 * Uniqueness is the target's matter.
 */
export class LoadPlaces {
  readonly #parts: LoadParts;
  readonly #known = new Map<string, Table>();

  constructor(parts: LoadParts) {
    this.#parts = parts;
  }

  async open(step: LoadStep): Promise<StepReceipt> {
    const { books, loads, transactions } = this.#parts;
    if (step.signal.aborted) throw new NotAppliedError('the step was given up before it began');
    const receipt = await transactions.inSession<StepReceipt>({ signal: step.signal }, async (session) => {
      const { client } = session;
      const claim = { shard: shardOf(step.load), fence: step.fence };
      await books.prepare(client, claim);
      await loads.prepare(client);
      await books.begin(session, claim);
      const entry = await loads.open(client, step.load);
      const opened = (await this.#alreadyOpen(client, entry, step.load)) ? entry.opened : null;
      const told = opened ?? (await this.#make(client, step.load));
      await session.commit();
      return told;
    });
    return receipt!;
  }

  async add(permit: Permit): Promise<Verdict | 'already'> {
    const { load, batch, signal } = permit;
    if (signal.aborted) throw new NotAppliedError('the send was given up before it began');
    if (load === undefined) {
      throw new RefusedError('the batch belongs to no load', { reason: 'load-missing', about: 'request' });
    }
    const { books, loads, transactions } = this.#parts;
    const verdict = await transactions.inSession<Verdict>({ signal }, async (session, at) => {
      const { client } = session;
      await books.prepare(client, permit);
      await loads.prepare(client);
      await books.begin(session, permit);
      const { entry, isNew } = await loads.enter(client, load.id, batch);
      expectOpen(entry, load.id);
      if (!isNew) return undefined;
      const table = await this.#table(client, load.id);
      const kept = new Set<string>();
      const before = (columns: readonly string[]): readonly string[] => {
        const set = setOf(columns);
        const lacks = [...table.columns.keys()].filter((name) => !columns.includes(name));
        const settings = { [FIELDS_SETTING]: set, [LACKS_SETTING]: JSON.stringify(lacks) };
        const given = Object.entries(settings).map(
          ([name, value]) => `set_config('${name}', ${client.escapeLiteral(value)}, true)`,
        );
        const keep = kept.has(set) ? [] : [loads.setText(client, load.id, batch, set, columns)];
        kept.add(set);
        return [`select ${given.join(', ')}`, ...keep];
      };
      await copyBatch({ session, table, payload: await permit.payload(), at, together: 'fields', before });
      await session.commit();
      return applied(batch.records, {
        summary: `${batch.records} rows and their marker in the place of the load`,
        reference: batch.idempotencyKey,
      });
    });
    return verdict ?? 'already';
  }

  /** The columns of places may be others now. */
  forget(): void {
    this.#known.clear();
  }

  /** True when there is nothing to be made. Throws RefusedError for a load that is not to be filled any more. */
  async #alreadyOpen(client: Pg.Client, entry: LoadEntry, { id }: Load): Promise<boolean> {
    if (entry.state === 'published' || entry.state === 'shown') return true;
    expectOpen(entry, id);
    if (entry.opened === null) return false;
    if ((await readShape(client, placeOfLoad(this.#parts.options, id).quoted)) === undefined) {
      throw lost(id, 'its table is gone');
    }
    return true;
  }

  async #make(client: Pg.Client, load: Load): Promise<StepReceipt> {
    const { options, loads } = this.#parts;
    const given = await loads.giveUpEarlier(client, load);
    for (const one of given) await client.query(`drop table if exists ${placeOfLoad(options, one).quoted}`);
    const place = placeOfLoad(options, load.id);
    await makePlace(client, place, await readTarget(client, options.table), options);
    const removed = given.length === 0 ? '' : `; ${given.length} places that were never published are removed`;
    const receipt = {
      summary: `collects in ${place.quoted}${removed}`,
      facts: { place: load.id, removed: given.length },
    };
    await loads.keepOpened(client, load.id, receipt);
    return receipt;
  }

  async #table(client: Pg.Client, load: string): Promise<Table> {
    const known = this.#known.get(load);
    if (known !== undefined) return known;
    const place = placeOfLoad(this.#parts.options, load);
    if ((await readShape(client, place.quoted)) === undefined) throw lost(load, 'its table is gone');
    const table = await readTable(client, { table: [place.schema, place.name] });
    const columns = new Map([...table.columns].filter(([name]) => name !== FIELDS));
    const own = { ...table, columns };
    this.#known.set(load, own);
    return own;
  }
}

export const placeOfLoad = ({ markerSchema }: Pick<LoadPlaceOptions, 'markerSchema'>, load: string): Place =>
  placeOf(markerSchema, load);

/** Throws RefusedError unless the load is being collected. */
export function expectOpen({ state }: Pick<LoadEntry, 'state'>, load: string): void {
  if (state === 'open') return;
  if (state === 'removed') throw lost(load, 'nothing is known of it');
  const why =
    state === 'given-up' ? 'was given up: a later generation of its window began' : 'has been published already';
  throw new RefusedError(`the load ${load} ${why}`, {
    reason: `load-${state}`,
    about: 'request',
    ids: { load },
    hint: 'Nothing needs to be done: whoever has taken the window over goes on.',
  });
}

export const lost = (load: string, why: string): RefusedError =>
  new RefusedError(`the load ${load} cannot be published: ${why}`, {
    reason: 'load-lost',
    about: 'request',
    ids: { load },
    hint: 'What readers see is untouched. Read the window again: `waybill run FLOW --for WINDOW --refresh`.',
  });

/** The same columns have the same number, in any order and any process. */
function setOf(columns: readonly string[]): string {
  const digest = createHash('sha256').update(JSON.stringify([...columns].sort()));
  return String(digest.digest().readBigInt64BE(0));
}

/** All columns that any record of the load has brought. */
export const columnsOf = (sets: FieldSets): ReadonlySet<string> => new Set([...sets.values()].flat());

/**
 * Where the target is a table its columns are the model, with defaults and checks. A view has none of these, so there
 * `create` says what rows look like, and the view itself where it does not.
 */
export async function makePlace(
  client: Pg.Client,
  place: Place,
  target: Target,
  options: LoadPlaceOptions,
): Promise<void> {
  const kind = options.places === 'fast' ? 'unlogged table' : 'table';
  const { shape } = target;
  const like =
    shape?.kind === 'table' || (shape !== undefined && options.create === undefined)
      ? `like ${target.quoted} including defaults including constraints including generated including storage`
      : undefined;
  if (like === undefined && options.create === undefined) throw nothingToFollow(target);
  await client.query(`create ${kind} ${place.quoted} (${like ?? columnList(options.create ?? {})})`);
  if (like !== undefined) await shareIdentities(client, place, target);
  if (shape?.kind === 'table') {
    await checkWhatIsBrought(client, place);
    await requireWhatIsBrought(client, place, shape);
  }
  await client.query(
    `alter table ${place.quoted} add column ${quoteName(FIELDS)} bigint
      default nullif(current_setting('${FIELDS_SETTING}', true), '')::bigint`,
  );
}

/** An identity is not copied with the rest, as it would count on its own: the place asks the target's for numbers. */
async function shareIdentities(client: Pg.Client, place: Place, { quoted, shape }: Target): Promise<void> {
  for (const { name, identity } of shape?.columns ?? []) {
    if (identity === '') continue;
    const { rows } = await client.query<{ text: string | null }>(
      `select format('alter table %s alter column %I set default nextval(%L)', $1::text, $2::text, s) as text
        from pg_get_serial_sequence($3, $2) s where s is not null`,
      [place.quoted, name, quoted],
    );
    if (rows[0]?.text != null) await client.query(rows[0].text);
  }
}

const LACKS = `coalesce(nullif(current_setting('${LACKS_SETTING}', true), ''), '[]')::jsonb`;

/**
 * A deletion may bring no more than its key, and a change no more than what changed. So a check that asks for columns
 * of which a record lacks one says nothing here; the table asks it of the whole row.
 */
async function checkWhatIsBrought(client: Pg.Client, { quoted }: Place): Promise<void> {
  const { rows } = await client.query<{ parts: string | null }>(
    `select string_agg(format('drop constraint %1$I, add constraint %1$I check ((%2$s) or %3$s ?| %4$L::text[])',
        conname, pg_get_expr(conbin, conrelid), $2::text, names), ', ') as parts
      from pg_catalog.pg_constraint cross join lateral (
        select array_agg(attname::text) as names from pg_catalog.pg_attribute
        where attrelid = conrelid and attnum > 0 and (attnum = any(conkey) or 0 = any(conkey))) of
      where conrelid = to_regclass($1) and contype = 'c' and names is not null
        and pg_get_constraintdef(oid) not like '%NOT ENFORCED'`,
    [quoted, LACKS],
  );
  if (rows[0]?.parts != null) await client.query(`alter table ${quoted} ${rows[0].parts}`);
}

/** So a required column may be missing as well; one that is brought without a value is refused as in the table. */
async function requireWhatIsBrought(client: Pg.Client, place: Place, shape: Shape): Promise<void> {
  for (const { name, identity, generated } of shape.columns.filter(({ required }) => required)) {
    if (identity !== '' || generated) continue;
    const column = quoteName(name);
    // The checks of the table have come along, and one of them may well be called `name_required`.
    const { rows } = await client.query<{ text: string }>('select quote_literal($1) as text', [name]);
    await client.query(
      `alter table ${place.quoted} alter column ${column} drop not null,
        add constraint ${quoteName(nameBeside(`waybill_${name}`, 'required'))}
          check (${column} is not null or ${LACKS} ? ${rows[0]!.text})`,
    );
  }
}

const nothingToFollow = ({ quoted }: Target): RefusedError =>
  new RefusedError(`there is no table ${quoted} that this user can see`, {
    reason: 'table-missing',
    about: 'request',
    hint: 'Create it, or say its columns and types in `create`; without a schema it is sought in the search_path.',
  });

/** The target as a table: made after `create` where there is none yet. */
export async function madeTarget(client: Pg.Client, { table, create, key }: TableOptions): Promise<Target> {
  const target = await readTarget(client, table);
  if (target.shape !== undefined || create === undefined) return target;
  await client.query(`create table ${target.quoted} (${columnList(create, key)})`);
  return await readTarget(client, [target.schema, target.name]);
}
