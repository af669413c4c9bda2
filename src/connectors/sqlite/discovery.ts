import { type CatalogColumn, tablesOf } from '../../cursors/discovery.ts';
import type { Discovered } from '../connector.ts';
import { openDatabase } from './database.ts';
import { readError } from './reading.ts';

/** Declared types of numbers and times; a text may be a cursor as well, but few are meant to be. */
const GROWING = /int|num|dec|real|doub|floa|date|time/i;

const COLUMNS = `select t.name, c.name, c.type, c."notnull", c.pk
  from pragma_table_list as t join pragma_table_info(t.name, t.schema) as c
  where t.schema = 'main' and t.type in ('table', 'view', 'virtual') and t.name not like 'sqlite\\_%' escape '\\'
  order by t.name, c.cid`;

/** Tables and views of the file. */
export function discoverTables(folder: string, file: string): readonly Discovered[] {
  const database = openDatabase(folder, file, { readonly: true });
  try {
    const rows = database.prepare<[], readonly unknown[]>(COLUMNS).raw(true).all();
    return tablesOf(rows.map(columnOf));
  } catch (error) {
    throw readError(error, { folder, file, count: false }, true);
  } finally {
    database.close();
  }
}

function columnOf([table, name, declared, notNull, pk]: readonly unknown[]): CatalogColumn {
  const [type, keyPlace] = [String(declared), Number(pk)];
  return {
    table: String(table),
    name: String(name),
    type: type === '' ? 'any' : type,
    // The key of a table with row ids holds no null when it is an integer; else SQLite lets one in.
    nullable: Number(notNull) === 0 && !(keyPlace > 0 && /^integer$/i.test(type)),
    ...(keyPlace > 0 ? { keyPlace } : {}),
    cursor: GROWING.test(type),
  };
}
