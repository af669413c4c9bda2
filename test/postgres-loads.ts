import type { Sink } from '../src/connectors/connector.ts';
import type { LoadAbility, LoadFixture, LoadRecord, LoadSubject } from '../src/testing/suites/load-subject.ts';
import { Poller } from './postgres-load-bench.ts';
import type { Places } from './postgres-place.ts';

const COLUMNS = { n: 'int', version: 'int', day: 'date', gone: 'boolean' };

/** Every row in one text, so that a reader gets all of it by one statement. */
const SEEN = (table: string): string =>
  `select coalesce(json_agg(json_build_object('n', n, 'version', version, 'day', day, 'gone', gone)), '[]')
    from ${table}`;

/** A name in PostgreSQL that takes loads: a table, or nothing yet where publishing makes a view. */
export function postgresLoads(places: () => Places): LoadSubject {
  return {
    name: 'a PostgreSQL table',
    abilities: ['load', 'appendLoad', 'replace', 'merge', 'mergeAt', 'addToPeriod', 'publish'],
    open: (about) => fixture(places(), about),
  };
}

async function fixture(places: Places, about: LoadAbility): Promise<LoadFixture> {
  const { client } = places;
  const table = places.name();
  const markerSchema = `books_${table}`;
  const viewed = about === 'publish' || about === 'addToPeriod';
  const columns = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`);
  if (!viewed) await client.query(`create table ${table} (${columns.join(', ')})`);
  const settings = { table, markerSchema, lockTimeoutSeconds: 5, ...(viewed ? { create: COLUMNS } : {}) };
  const open = (): Sink => {
    const whole = places.open(settings);
    const can = Object.fromEntries(Object.entries(whole.can).filter(([name]) => !SENDING.has(name)));
    return { ...whole, can };
  };
  return {
    sink: open(),
    another: open,
    seen: async () => {
      const { rows } = await client.query('select to_regclass($1) as there', [table]);
      if (rows[0]?.there === null) return [];
      return (await client.query({ text: SEEN(table), rowMode: 'array' })).rows[0]![0] as LoadRecord[];
    },
    places: async () =>
      (
        await client.query<{ name: string }>(
          `select c.relname as name from pg_class c join pg_namespace s on s.oid = c.relnamespace
            where c.relkind = 'r' and c.relname ~ '^wb_suite_d\\d+_\\d+$' and s.nspname in ('public', $1)`,
          [markerSchema],
        )
      ).rows.map(({ name }) => name),
    refused: { record: { n: 99, version: 'none', day: '2026-11-16', gone: false } },
    breakOff: async (call) => {
      const other = await places.server.client();
      // The call waits for this lock in its own transaction, and is ended there.
      await other.query(`begin; lock table ${markerSchema}.waybill_load in access exclusive mode`);
      const running = call();
      // Heard below, when it has been ended.
      running.catch(() => undefined);
      const waiting = `select pid from pg_stat_activity
        where application_name like 'waybill%' and wait_event_type = 'Lock'`;
      for (let asked = 0; (await client.query(waiting)).rowCount === 0; asked++) {
        if (asked > 1000) throw new Error('the call does not wait for the lock');
      }
      await client.query(`select pg_terminate_backend(pid) from (${waiting}) w`);
      try {
        return await running;
      } finally {
        await other.query('rollback');
        await other.end();
      }
    },
    watch: async () => {
      const poller = await Poller.start<LoadRecord[]>(places, SEEN(table));
      return { stop: () => poller.stop() };
    },
    tamper: async ({ id }) => await client.query(`update public.${id} set version = 77`),
    close: async () => {
      await client.query(`drop schema if exists ${markerSchema} cascade`);
      const left = `select format('drop table if exists public.%I cascade', tablename) as text from pg_tables
        where schemaname = 'public' and (tablename like 'wb\\_suite%' or tablename like '${table}\\_%')`;
      for (const { text } of (await client.query<{ text: string }>(left)).rows) await client.query(text);
    },
  };
}

const SENDING: ReadonlySet<string> = new Set(['append', 'commitOnce', 'marked', 'put', 'find', 'fence']);
