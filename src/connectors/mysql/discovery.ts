import { type CatalogColumn, tablesOf } from '../../cursors/discovery.ts';
import type { Discovered } from '../connector.ts';
import type { MysqlConnection } from './connection.ts';
import { Reading } from './reading.ts';

/** Types that a cursor can have, as the catalog calls them. */
const GROWING = /^(tinyint|smallint|mediumint|int|bigint|decimal|date|datetime|timestamp)$/;

const COLUMNS = `select if(c.table_schema = database(), c.table_name, concat(c.table_schema, '.', c.table_name)),
    c.column_name, c.column_type, c.data_type, c.is_nullable = 'YES', k.ordinal_position
  from information_schema.columns c
  left join information_schema.key_column_usage k on k.constraint_name = 'PRIMARY'
    and k.table_schema = c.table_schema and k.table_name = c.table_name and k.column_name = c.column_name
  where c.table_schema not in ('mysql', 'information_schema', 'performance_schema', 'sys')
  order by c.table_schema = database() desc, c.table_schema, c.table_name, c.ordinal_position`;

/** Tables and views that the user of the connection may see; those of its own database without that one's name. */
export async function discoverTables(
  connection: () => MysqlConnection,
  signal: AbortSignal,
): Promise<readonly Discovered[]> {
  const reading = await Reading.begin(connection, signal);
  try {
    const { rows } = await reading.ask({ text: COLUMNS, values: [] });
    return tablesOf(rows.map(columnOf));
  } finally {
    await reading.end();
  }
}

function columnOf([table, name, type, word, nullable, place]: readonly unknown[]): CatalogColumn {
  return {
    table: String(table),
    name: String(name),
    type: String(type),
    nullable: Number(nullable) === 1,
    ...(place === null ? {} : { keyPlace: Number(place) }),
    cursor: GROWING.test(String(word)),
  };
}
