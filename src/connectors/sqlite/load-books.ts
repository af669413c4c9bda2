import type { Batch } from '../../model/batch.ts';
import { RefusedError } from '../../model/errors.ts';
import type { Load, LoadStep, StepReceipt } from '../../model/load.ts';
import { type Handle, quoteName } from './database.ts';

/**
 * What the database remembers of loads, in tables beside the data and in the same transactions: which places there
 * are, which batches each holds, which steps were done and what came of them, and how old a step may be.
 */
const TABLES = `
create table if not exists waybill_load (
  load text primary key, family text not null, generation integer not null, target text not null,
  state text not null check (state in ('open', 'published', 'removed')),
  -- The table that still holds the load, and the columns that its records have named.
  place text, named text not null default '[]',
  -- Where its records have not all named the same columns: each list of them. Rows say which by its place.
  sets text not null default '[]',
  -- When it was published among the loads of this database; the time that a load of a history was meant for.
  nth integer, at text, at_ms integer, flow text
);
create table if not exists waybill_load_step (
  load text not null, step text not null, told text not null, fence integer not null, at integer not null,
  primary key (load, step)
);
create table if not exists waybill_load_batch (
  load text not null, batch_key text not null, digest text not null, at integer not null,
  primary key (load, batch_key)
) without rowid;
create table if not exists waybill_load_fence (family text primary key, fence integer not null);
create table if not exists waybill_load_view (
  target text not null, part text not null, place text not null, kind text not null, primary key (target, part)
)`;

export function openBooks(database: Handle): void {
  database.exec(TABLES);
  // Books of earlier versions did not say whose each load is, and which columns each of its records has named.
  const told = database.prepare(`select name from pragma_table_info('waybill_load')`).pluck().all();
  if (!told.includes('flow')) database.exec('alter table waybill_load add column flow text');
  if (!told.includes('sets')) database.exec(`alter table waybill_load add column sets text not null default '[]'`);
}

export interface PlaceRow {
  readonly load: string;
  readonly family: string;
  /** Null of loads of an earlier version, which did not say. */
  readonly flow: string | null;
  readonly generation: bigint;
  readonly state: 'open' | 'published' | 'removed';
  readonly place: string | null;
  readonly named: readonly string[];
  /** The lists of columns that single records have named; none where all of them have named the same. */
  readonly sets: readonly (readonly string[])[];
}

/** One whose load is still collected. */
export type OpenPlace = PlaceRow & { readonly place: string };

/** What came of publishing. `keeps`: the place is part of what is there now. */
export interface Done {
  readonly receipt: StepReceipt;
  readonly keeps?: boolean;
}

type StoredPlace = Omit<PlaceRow, 'named' | 'sets'> & { readonly named: string; readonly sets: string };

const PLACE = 'select load, family, flow, generation, state, place, named, sets from waybill_load';
const read = (row: StoredPlace): PlaceRow => ({
  ...row,
  named: JSON.parse(row.named) as string[],
  sets: JSON.parse(row.sets) as string[][],
});

export function placeOf(database: Handle, load: string): PlaceRow | undefined {
  const row = database.prepare<[string], StoredPlace>(`${PLACE} where load = ?`).get(load);
  return row === undefined ? undefined : read(row);
}

/** The place of a load that is still collected. */
export function openPlace(database: Handle, { id }: Load): OpenPlace {
  const row = placeOf(database, id);
  if (row?.state === 'open' && row.place !== null) return { ...row, place: row.place };
  const what = row === undefined ? 'was never opened' : row.state === 'open' ? 'has lost its place' : `is ${row.state}`;
  throw new RefusedError(`the load ${id} ${what}, so nothing is collected for it`, {
    reason: 'load-closed',
    about: 'request',
    ids: { load: id },
    hint: 'A later generation has taken its place, or it was published before; start the window again.',
  });
}

export function addPlace(database: Handle, load: Load, target: string, place: string): void {
  database
    .prepare(
      `insert into waybill_load (load, family, flow, generation, target, state, place)
       values (?, ?, ?, ?, ?, 'open', ?)`,
    )
    .run(load.id, load.family, load.flow, BigInt(load.generation), target, place);
}

/** Places of the same family that were never published, of generations before this one. */
export function unpublishedBefore(database: Handle, { family, generation }: Load): readonly PlaceRow[] {
  return database
    .prepare<[string, bigint], StoredPlace>(`${PLACE} where family = ? and generation < ? and state = 'open'`)
    .all(family, BigInt(generation))
    .map(read);
}

/** Rows whose records have named other columns than the first of the load. Usually there is no such table. */
export const fieldsAside = (place: string): string => quoteName(`${place}_fields`);

/** Once a load is published nobody asks for it any more. */
export function dropFields(database: Handle, place: string): void {
  database.exec(`drop table if exists ${fieldsAside(place)}`);
}

/** Takes the place away; what the load was stays in the books. */
export function removePlace(database: Handle, { load, place }: Pick<PlaceRow, 'load' | 'place'>): void {
  if (place !== null) {
    database.exec(`drop table if exists ${quoteName(place)}`);
    dropFields(database, place);
  }
  database.prepare(`update waybill_load set place = null where load = ?`).run(load);
}

export function giveUp(database: Handle, row: PlaceRow): void {
  removePlace(database, row);
  database.prepare(`update waybill_load set state = 'removed' where load = ?`).run(row.load);
  database.prepare('delete from waybill_load_batch where load = ?').run(row.load);
}

export function markPublished(database: Handle, load: string): void {
  database
    .prepare(
      `update waybill_load set state = 'published', nth = (select coalesce(max(nth), 0) + 1 from waybill_load)
       where load = ?`,
    )
    .run(load);
}

/** Loads of the target that were published and whose places are still there, the newest first. */
export function publishedPlaces(database: Handle, target: string): readonly PlaceRow[] {
  return database
    .prepare<[string], StoredPlace>(
      `${PLACE} where target = ? and state = 'published' and place is not null order by nth desc`,
    )
    .all(target)
    .map(read);
}

/**
 * What another flow has brought is not this one's to take out: nobody would bring it again. `which` says what is about
 * to be taken out, of the loads of the target.
 */
export function surelyOwn(database: Handle, { target, flow }: Own, { sql, value }: Which): void {
  const other = database
    .prepare<[string, string | null, string | bigint], { flow: string }>(
      `select flow from waybill_load where target = ? and flow <> ? and ${sql} order by nth desc limit 1`,
    )
    .get(target, flow, value)?.flow;
  if (other === undefined) return;
  throw new RefusedError(
    `${JSON.stringify(target)} holds loads of the flow ${other}, and this load would take them out`,
    {
      reason: 'flow-foreign',
      about: 'request',
      ids: { table: target, other },
      hint:
        `Give each flow a table of its own. If ${other} is called ${flow} now, say so in the books of the sink: ` +
        `update waybill_load set flow = '${flow}' where flow = '${other}'`,
    },
  );
}

interface Own {
  readonly target: string;
  readonly flow: string | null;
}

/** A condition on a load, with one value. */
interface Which {
  readonly sql: string;
  readonly value: string | bigint;
}

/** Who comes with an older fence than somebody before was stalled meanwhile, and must not do anything any more. */
export function raiseFence(database: Handle, { load, fence }: LoadStep): void {
  const known = database
    .prepare<[string], { fence: bigint }>('select fence from waybill_load_fence where family = ?')
    .get(load.family)?.fence;
  if (known !== undefined && BigInt(fence) < known) {
    throw new RefusedError(`the fence ${fence} of this step is older than ${known}, which has been here`, {
      reason: 'fenced',
      about: 'request',
      ids: { load: load.id, fence, known: Number(known) },
    });
  }
  database
    .prepare('insert into waybill_load_fence values (?, ?) on conflict (family) do update set fence = excluded.fence')
    .run(load.family, BigInt(fence));
}

/** What this step of the load has come to before, if it was done. */
export function toldOf(database: Handle, load: string, step: string): StepReceipt | undefined {
  const row = database
    .prepare<[string, string], { told: string }>('select told from waybill_load_step where load = ? and step = ?')
    .get(load, step);
  return row === undefined ? undefined : (JSON.parse(row.told) as StepReceipt);
}

export interface Told {
  readonly name: string;
  readonly receipt: StepReceipt;
  readonly wallMs: number;
}

export function keepTold(database: Handle, step: LoadStep, { name, receipt, wallMs }: Told): void {
  database
    .prepare('insert into waybill_load_step (load, step, told, fence, at) values (?, ?, ?, ?, ?)')
    .run(step.load.id, name, JSON.stringify(receipt), BigInt(step.fence), BigInt(Math.trunc(wallMs)));
}

/** Whether the load holds the batch already. Throws RefusedError when it holds another one under the same name. */
export function holdsBatch(database: Handle, load: string, { idempotencyKey, digest }: Batch): boolean {
  const row = database
    .prepare<[string, string], { digest: string }>(
      'select digest from waybill_load_batch where load = ? and batch_key = ?',
    )
    .get(load, idempotencyKey);
  if (row !== undefined && row.digest !== digest) {
    throw new RefusedError('the marker of this batch has another digest', { reason: 'marker' });
  }
  return row !== undefined;
}

export interface KeptBatch {
  readonly batch: Batch;
  /** The lists of columns that records of the load have named so far. */
  readonly sets: PlaceRow['sets'];
  readonly wallMs: number;
}

export function keepBatch(database: Handle, place: PlaceRow, { batch, sets, wallMs }: KeptBatch): void {
  const { load } = place;
  database
    .prepare('insert into waybill_load_batch (load, batch_key, digest, at) values (?, ?, ?, ?)')
    .run(load, batch.idempotencyKey, batch.digest, BigInt(Math.trunc(wallMs)));
  if (sets.length === place.sets.length) return;
  const named = [...new Set([...place.named, ...sets.flat()])];
  database
    .prepare('update waybill_load set named = ?, sets = ? where load = ?')
    .run(JSON.stringify(named), JSON.stringify(sets), load);
}
