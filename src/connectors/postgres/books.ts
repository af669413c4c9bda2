import { createHash } from 'node:crypto';
import type * as Pg from 'pg';
import type { Batch } from '../../model/batch.ts';
import { RefusedError } from '../../model/errors.ts';
import type { Permit } from '../connector.ts';
import { Deliveries, deliveryTable } from './deliveries.ts';
import type { Session } from './session.ts';
import { DDL_LOCK, quoteTable } from './table.ts';

/** Whose turn it is to write for a shard. */
type Claim = Pick<Permit, 'shard' | 'fence'>;

/**
 * What the sink remembers in the database itself: which batches were committed, and the newest claim of each shard that
 * has written here. Both are read and written in the transactions that write records.
 */
export class Books {
  readonly #schema: string;
  readonly #markers: string;
  readonly #fences: string;
  readonly deliveries: Deliveries;
  #made = false;
  /** By shard: the fence that this process knows to be raised. */
  readonly #raised = new Map<string, number>();

  constructor(schema: string) {
    this.#schema = quoteTable([schema]);
    this.#markers = quoteTable([schema, 'waybill_marker']);
    this.#fences = quoteTable([schema, 'waybill_fence']);
    this.deliveries = new Deliveries(schema);
  }

  /** Makes the tables where they are missing, and raises the fence of the shard. Outside of any transaction. */
  async prepare(client: Pg.Client, { shard, fence }: Claim): Promise<void> {
    await this.#make(client);
    if ((this.#raised.get(shard) ?? 0) >= fence) return;
    if (fence > 1) await client.query(END_ELDERS, [`${nameOf(shard)} `, fence]);
    // Waits for what older claims still have under way; if it is committed, it was in time.
    await client.query(
      `insert into ${this.#fences} as f (shard, fence) values ($1, $2)
        on conflict (shard) do update set fence = excluded.fence, at = now() where f.fence < excluded.fence`,
      [shard, fence],
    );
    this.#raised.set(shard, fence);
  }

  /**
   * Begins a transaction under the fence of the shard, in one round trip. Throws RefusedError when it was claimed again
   * since. The row of the fence stays locked against raising to the end of the transaction, so no older claim commits
   * behind a newer one; transactions of one claim do not wait for one another.
   */
  async begin(session: Session, claim: Claim): Promise<void> {
    const [fence] = await session.begin([this.#fenceText(session.client, claim)]);
    this.#expectNewest(claim, fence);
  }

  /**
   * The same with the marker of the batch in it; false when that is there already. Whoever puts the same one at the
   * same time waits here for the other's commit or rollback. Throws RefusedError for the marker of other bytes as well.
   * `note`: goes with the marker.
   */
  async beginMarked(session: Session, ask: Claim & Pick<Permit, 'batch'>, note?: string): Promise<boolean> {
    const { client } = session;
    const asked = [this.#fenceText(client, ask), this.#markText(client, ask), ...(note === undefined ? [] : [note])];
    const [fence, marked] = await session.begin(asked);
    this.#expectNewest(ask, fence);
    if (marked?.rowCount === 1) return true;
    await this.#expectSame(client, ask.batch);
    return false;
  }

  #fenceText({ escapeLiteral }: Pg.Client, { shard, fence }: Claim): string {
    const name = escapeLiteral(`${nameOf(shard)} ${fence}`);
    return `select fence, set_config('application_name', ${name}, true) from ${this.#fences}
      where shard = ${escapeLiteral(shard)} for share`;
  }

  /** Nothing waits for the marker of a claim that is not the newest one. */
  #markText({ escapeLiteral }: Pg.Client, { batch, shard, fence }: Claim & Pick<Permit, 'batch'>): string {
    const { idempotencyKey, flow, window, lane, digest, records } = batch;
    const texts = [idempotencyKey, flow, window, lane, digest].map(escapeLiteral);
    return `insert into ${this.#markers} (batch, flow, "window", lane, digest, records, fence)
      select ${texts.join(', ')}, ${records}, ${fence}
        where not exists (select from ${this.#fences} where shard = ${escapeLiteral(shard)} and fence > ${fence})
      on conflict do nothing`;
  }

  #expectNewest({ shard, fence }: Claim, found: Pg.QueryResult | undefined): void {
    const raised = Number(found?.rows[0]?.fence ?? 0);
    if (raised <= fence) return;
    this.#raised.set(shard, raised);
    throw new RefusedError(`the shard was claimed again: fence ${fence} is older than ${raised}`, {
      reason: 'fenced',
      about: 'request',
      hint: 'Nothing needs to be done: whoever has claimed it goes on.',
    });
  }

  async #expectSame(client: Pg.Client, { idempotencyKey, digest }: Batch): Promise<void> {
    const { rows } = await client.query<{ digest: string }>(`select digest from ${this.#markers} where batch = $1`, [
      idempotencyKey,
    ]);
    if (rows[0]?.digest === digest) return;
    throw new RefusedError('the marker of this batch has another digest', { reason: 'marker', about: 'request' });
  }

  async #make(client: Pg.Client): Promise<void> {
    if (this.#made) return;
    const { rows } = await client.query<{ missing: boolean; homeless: boolean }>(
      `select to_regclass($1) is null or to_regclass($2) is null as missing, to_regnamespace($3) is null as homeless`,
      [this.#markers, this.#fences, this.#schema],
    );
    // Even with `if not exists` the server asks for the right to make schemas, which not every user has.
    const home = rows[0]?.homeless === true ? `create schema if not exists ${this.#schema}; ` : '';
    // Two that make them at once would stand in each other's way even with `if not exists`.
    if (rows[0]?.missing === true) await client.query(`begin; ${DDL_LOCK}; ${home}${tablesIn(this.#schema)}; commit`);
    this.#made = true;
  }
}

/** How a session is called while it writes for a shard; its fence follows. The server cuts names at 63 bytes. */
const nameOf = (shard: string): string => `waybill ${createHash('sha256').update(shard).digest('hex').slice(0, 24)}`;

/**
 * Ends the sessions of older claims that are in the middle of a transaction. One whose process stands still would keep
 * its locks for ever: while the server waits for the data of a COPY, none of its own time limits counts.
 */
const END_ELDERS = `select pg_terminate_backend(pid) from pg_stat_activity
  where starts_with(application_name, $1) and usename = current_user and pid <> pg_backend_pid()
    and substr(application_name, length($1) + 1) ~ '^[0-9]+$'
    and substr(application_name, length($1) + 1)::bigint < $2`;

/** What an administrator runs where the sink's own user may not create tables. */
export const bookTables = (schema: string): string =>
  `create schema if not exists ${schema};${tablesIn(schema)};\n${deliveryTable(schema)}`;

const tablesIn = (schema: string): string => `
create table if not exists ${schema}.waybill_marker (
  batch text primary key, flow text not null, "window" text not null, lane text not null, digest text not null,
  records bigint not null, fence bigint not null, at timestamptz not null default now());
create table if not exists ${schema}.waybill_fence (
  shard text primary key, fence bigint not null, at timestamptz not null default now())`;
