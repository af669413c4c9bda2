import { type CatalogColumn, tablesOf } from '../../cursors/discovery.ts';
import type { Discovered } from '../connector.ts';
import type { PostgresConnection } from './connection.ts';
import { growsByType } from './cursor-types.ts';
import { begin, readError } from './reading.ts';

// Partitions are read by their table. What the user may not read is not shown.
const COLUMNS = `select case when pg_table_is_visible(c.oid) then c.relname else n.nspname || '.' || c.relname end,
    a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid::int8, not a.attnotnull,
    array_position(i.indkey::int2[], a.attnum)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_index i on i.indrelid = c.oid and i.indisprimary
  where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
    and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
    and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
  order by n.nspname, c.relname, a.attnum`;

type Row = readonly [string, string, string, unknown, boolean, number | null];

const SETTINGS = { mode: 'cursor', timeZone: 'UTC', lockTimeoutMs: 60_000, rowSecurity: false, count: false } as const;

/** Tables and views that the user of the connection may read; those of the search path without their schema. */
export async function discoverTables(
  connection: () => PostgresConnection,
  signal: AbortSignal,
): Promise<readonly Discovered[]> {
  const reading = await begin(connection, SETTINGS, signal);
  try {
    const { rows } = await reading.client.query<Row>({ text: COLUMNS, rowMode: 'array' } as never);
    return tablesOf((rows as unknown as readonly Row[]).map(columnOf));
  } catch (error) {
    signal.throwIfAborted();
    throw readError(error);
  } finally {
    await reading.end();
  }
}

function columnOf([table, name, type, oid, nullable, place]: Row): CatalogColumn {
  const keyPlace = place === null ? {} : { keyPlace: Number(place) };
  return { table, name, type, nullable, ...keyPlace, cursor: growsByType(Number(oid)) };
}
