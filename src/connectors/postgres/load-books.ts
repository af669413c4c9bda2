import type * as Pg from 'pg';
import type { Batch } from '../../model/batch.ts';
import { RefusedError } from '../../model/errors.ts';
import type { Load, LoadStep, StepReceipt } from '../../model/load.ts';
import { DDL_LOCK, quoteTable } from './table.ts';

/** Which columns records have brought, by the number that stands in their rows. Usually there is one entry. */
export type FieldSets = ReadonlyMap<string, readonly string[]>;

export interface LoadEntry {
  /** `shown`: published, and its place is what readers see or may still ask for. */
  readonly state: 'open' | 'published' | 'shown' | 'given-up' | 'removed';
  /** What publishing has come to, when it has. */
  readonly receipt: StepReceipt | null;
  /** What opening has come to, when it has. */
  readonly opened: StepReceipt | null;
}

/** What the place of a load must hold. */
export interface Brought {
  readonly batches: number;
  readonly records: number;
  readonly sets: FieldSets;
}

/**
 * What the sink remembers of loads in the database itself: a row for each, with what its publishing came to, and while
 * it is open a row for each batch in its place. Everything here happens in the transactions that write the rows.
 */
export class LoadBooks {
  readonly schema: string;
  readonly #schema: string;
  readonly #loads: string;
  readonly #batches: string;
  #made = false;

  constructor(schema: string) {
    this.schema = schema;
    this.#schema = quoteTable([schema]);
    this.#loads = quoteTable([schema, 'waybill_load']);
    this.#batches = quoteTable([schema, 'waybill_load_batch']);
  }

  /** Makes the tables where they are missing. Outside of any transaction. */
  async prepare(client: Pg.Client): Promise<void> {
    if (this.#made) return;
    const { rows } = await client.query<{ missing: boolean }>(
      'select bool_or(to_regclass(name) is null) as missing from unnest($1::text[]) name',
      [LOAD_TABLES.map((name) => quoteTable([this.schema, name]))],
    );
    if (rows[0]?.missing === true) await client.query(`begin; ${DDL_LOCK}; ${loadTables(this.#schema)}; commit`);
    this.#made = true;
  }

  /** A row for the load, as open, where there is none. Answers how it stands, and keeps others from changing that. */
  async open(client: Pg.Client, { id, family, flow, lane, window, generation }: Load): Promise<LoadEntry> {
    await client.query(
      `insert into ${this.#loads} (load, family, flow, lane, "window", generation) values ($1, $2, $3, $4, $5, $6)
        on conflict do nothing`,
      [id, family, flow, lane, window.name, generation],
    );
    return (await this.take(client, id))!;
  }

  async keepOpened(client: Pg.Client, load: string, receipt: StepReceipt): Promise<void> {
    await client.query(`update ${this.#loads} set opened = $2 where load = $1`, [load, JSON.stringify(receipt)]);
  }

  /** Locks the row to the end of the transaction: nothing is added to the place meanwhile. */
  async take(client: Pg.Client, load: string): Promise<LoadEntry | undefined> {
    const { rows } = await client.query<LoadEntry>(
      `select state, receipt, opened from ${this.#loads} where load = $1 for update`,
      [load],
    );
    return rows[0];
  }

  /** Earlier generations that were never published. Their places are of no use any more. */
  async giveUpEarlier(client: Pg.Client, { family, generation }: Load): Promise<readonly string[]> {
    const { rows } = await client.query<{ load: string }>(
      `update ${this.#loads} set state = 'given-up' where family = $1 and generation < $2 and state = 'open'
        returning load`,
      [family, generation],
    );
    const loads = rows.map(({ load }) => load);
    if (loads.length > 0) await client.query(`delete from ${this.#batches} where load = any($1)`, [loads]);
    return loads;
  }

  /**
   * Keeps the load from being published or given up to the end of the transaction, and puts the marker of a batch that
   * is to be added to it, in one round trip. Throws RefusedError for the marker of other bytes.
   */
  async enter(client: Pg.Client, load: string, batch: Batch): Promise<Entered> {
    const { idempotencyKey, digest, records } = batch;
    const [of, key, print] = [load, idempotencyKey, digest].map(client.escapeLiteral);
    const results = (await client.query(
      `select state, receipt, opened from ${this.#loads} where load = ${of} for share;
      insert into ${this.#batches} (load, batch, digest, records)
        select ${of}, ${key}, ${print}, ${records}
          where exists (select from ${this.#loads} where load = ${of} and state = 'open')
        on conflict do nothing;
      select digest from ${this.#batches} where load = ${of} and batch = ${key}`,
    )) as unknown as Pg.QueryResult[];
    const [entry = UNKNOWN_LOAD] = (results[0] as Pg.QueryResult<LoadEntry>).rows;
    if (entry.state === 'open' && results[2]!.rows[0]?.digest !== digest) {
      throw new RefusedError('the marker of this batch has another digest', { reason: 'marker', about: 'request' });
    }
    return { entry, isNew: results[1]!.rowCount === 1 };
  }

  /** The statement that keeps which columns some records have brought. `set`: what their rows are marked with. */
  setText({ escapeLiteral }: Pg.Client, load: string, batch: Batch, set: string, columns: readonly string[]): string {
    return `update ${this.#batches} set fields = fields || ${escapeLiteral(JSON.stringify({ [set]: columns }))}::jsonb
      where load = ${escapeLiteral(load)} and batch = ${escapeLiteral(batch.idempotencyKey)}`;
  }

  async brought(client: Pg.Client, load: string): Promise<Brought> {
    const { rows } = await client.query<{ batches: number; records: number }>(
      `select count(*)::float8 as batches, coalesce(sum(records), 0)::float8 as records
        from ${this.#batches} where load = $1`,
      [load],
    );
    const fields = await client.query<{ id: string; columns: string[] }>(
      `select distinct s.key as id, s.value as columns from ${this.#batches} b, jsonb_each(b.fields) s
        where b.load = $1`,
      [load],
    );
    const sets = new Map(fields.rows.map(({ id, columns }) => [id, columns]));
    return { ...rows[0]!, sets };
  }

  /** `nth` orders the loads of a target by when they were published. The markers are not needed any more. */
  async finish(client: Pg.Client, step: LoadStep, done: Finished): Promise<void> {
    const { target, state, place, receipt } = done;
    await client.query(
      `update ${this.#loads} set state = $2, target = $3, place = $4, receipt = $5, published_at = now(),
        nth = (select coalesce(max(nth), 0) + 1 from ${this.#loads} where target = $3) where load = $1`,
      [step.load.id, state, target, place ?? null, JSON.stringify(receipt)],
    );
    await client.query(`delete from ${this.#batches} where load = $1`, [step.load.id]);
  }

  /** Loads whose places are kept for readers, the newest first. */
  async shown(client: Pg.Client, target: string): Promise<readonly ShownLoad[]> {
    const { rows } = await client.query<ShownLoad>(
      `select load, place from ${this.#loads} where target = $1 and state = 'shown' order by nth desc`,
      [target],
    );
    return rows;
  }

  async removed(client: Pg.Client, load: string): Promise<void> {
    await client.query(`update ${this.#loads} set state = 'removed' where load = $1`, [load]);
  }
}

export const UNKNOWN_LOAD: LoadEntry = { state: 'removed', receipt: null, opened: null };

export interface Entered {
  readonly entry: LoadEntry;
  /** Whether the marker was not there yet. */
  readonly isNew: boolean;
}

export interface Finished {
  readonly target: string;
  readonly state: 'published' | 'shown';
  readonly receipt: StepReceipt;
  /** The table that the load stays in, as SQL writes it. */
  readonly place?: string;
}

export interface ShownLoad {
  readonly load: string;
  readonly place: string;
}

const LOAD_TABLES = ['waybill_load', 'waybill_load_batch', 'waybill_period', 'waybill_history'] as const;

/** What an administrator runs where the sink's own user may not create tables. */
export const loadTables = (schema: string): string => `create table if not exists ${schema}.waybill_load (
  load text primary key, family text not null, flow text not null, lane text not null, "window" text not null,
  generation bigint not null, state text not null default 'open', target text, nth bigint, place text,
  opened jsonb, receipt jsonb, at timestamptz not null default now(), published_at timestamptz);
create index if not exists waybill_load_family on ${schema}.waybill_load (family);
create index if not exists waybill_load_target on ${schema}.waybill_load (target, nth);
create table if not exists ${schema}.waybill_load_batch (
  load text, batch text, digest text not null, records bigint not null, fields jsonb not null default '{}',
  at timestamptz not null default now(), primary key (load, batch));
create table if not exists ${schema}.waybill_period (
  target text, period text, first_day date not null, last_day date not null, place text not null,
  frozen boolean not null default false, primary key (target, period));
create table if not exists ${schema}.waybill_history (
  target text, load text, at timestamptz not null, fields jsonb not null, primary key (target, load));
create or replace function ${schema}.waybill_write_once() returns trigger language plpgsql as $body$
  begin
    raise exception 'the table % holds a published load and is never changed again', tg_table_name
      using errcode = '42501';
  end $body$`;
