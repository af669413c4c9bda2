import type * as Pg from 'pg';
import type { Top } from '../../cursors/cursor.ts';
import type { Lag } from '../../cursors/settings.ts';
import { WaybillError } from '../../model/errors.ts';
import type { CursorType } from './cursor-types.ts';

/** What ran on the server before the state of a transaction was taken. */
export interface Activity {
  readonly at: string;
  /** When the oldest transaction began that may still write. */
  readonly oldest: string | null;
  readonly held: boolean;
  /** Sessions that this role may not look at. */
  readonly hidden: number;
  readonly prepared: number;
  readonly standby: boolean;
}

// What writes no rows of anybody is left out: vacuums run for hours. Sessions of other databases cannot write here.
const ACTIVITY = `select clock_timestamp()::text as at, min(xact_start)::text as oldest,
    coalesce(min(xact_start) < clock_timestamp() - interval '1 minute', false) as held,
    count(*) filter (where query = '<insufficient privilege>')::int as hidden,
    (select count(*)::int from pg_prepared_xacts where database = current_database()) as prepared,
    pg_is_in_recovery() as standby
  from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() and backend_type is distinct from 'autovacuum worker'
    and backend_type is distinct from 'walsender'`;

export async function lookAtActivity(client: Pg.Client): Promise<Activity> {
  const { rows } = await client.query<Activity>(ACTIVITY);
  return rows[0]!;
}

/**
 * How far a pull may read, as far as the clock and the transactions of the server say.
 *
 * `auto` for a time: a transaction that is not in this one's state ran when `activity` was taken, or began later. What
 * it writes carries the time at which it began or a later one, as `now()` and `clock_timestamp()` do; so nothing that
 * comes later lies before the oldest start. A second is left for a session that begins and has not said so yet.
 *
 * For the number of a transaction (xid8) no clock is needed: what is not in this state has a number that is not below
 * the lowest that was open when the state was taken.
 */
export async function boundBehind(
  client: Pg.Client,
  type: CursorType,
  lag: Lag | 'auto' | undefined,
  activity: Activity | undefined,
): Promise<Omit<Top, 'newest'>> {
  if (type.is === 'transaction') {
    const value = await oneText(client, 'select pg_snapshot_xmin(pg_current_snapshot())::text', []);
    return { bound: { value, included: false } };
  }
  if (type.is !== 'time') return {};
  if (lag === 'auto') return await behindTransactions(client, type, activity);
  const ms = lag !== undefined && 'ms' in lag ? lag.ms : 0;
  const now = await oneText(client, `select clock_timestamp()::${type.cast}::text`, []);
  const bound = `select (clock_timestamp() - make_interval(secs => $1::float8))::${type.cast}::text`;
  return { bound: { value: await oneText(client, bound, [String(ms / 1000)]), included: true }, now };
}

async function behindTransactions(
  client: Pg.Client,
  type: CursorType,
  activity: Activity | undefined,
): Promise<Omit<Top, 'newest'>> {
  if (activity === undefined) return {};
  expectSeen(activity);
  const value = await oneText(
    client,
    `select (least($1::timestamptz, $2::timestamptz) - interval '1 second')::${type.cast}::text`,
    [activity.at, activity.oldest ?? activity.at],
  );
  const bound = { value, included: false };
  if (!activity.held) return { bound };
  const message =
    `a transaction that began at ${activity.oldest} still runs: rows with this time or a later one are read when it ` +
    'has ended';
  return { bound, notices: [{ kind: 'cursor-held-back', message }] };
}

/** What may come later is known only when all that runs can be seen. */
function expectSeen({ hidden, prepared, standby }: Activity): void {
  if (standby) {
    throw new WaybillError('SOURCE_INVALID', '`lag: auto` by a time cannot be had from a standby', {
      hint: 'What runs on its primary cannot be seen there: read from the primary, or set `lag` to a duration.',
    });
  }
  if (hidden > 0) {
    throw new WaybillError('SOURCE_INVALID', '`lag: auto` needs to see the sessions of other roles', {
      hint: 'Grant it: `grant pg_read_all_stats to …`, or set `lag` to a duration.',
    });
  }
  if (prepared === 0) return;
  throw new WaybillError('SOURCE_FAILED', 'a prepared transaction is open, and nobody knows when it began', {
    hint: 'Nothing was read. Commit it or roll it back (`select * from pg_prepared_xacts`), then run the same again.',
  });
}

async function oneText(client: Pg.Client, text: string, values: readonly string[]): Promise<string> {
  const { rows } = await client.query<[string]>({ text, values: [...values], rowMode: 'array' });
  return rows[0]![0];
}
