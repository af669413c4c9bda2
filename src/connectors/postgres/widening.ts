import type * as Pg from 'pg';
import { sqlType } from '../../formats/pgcopy/oids.ts';
import { wideningOf } from '../../model/schema.ts';
import { quoteName } from './connection.ts';
import { columnsOf } from './schema.ts';
import type { Place } from './shape.ts';

/** A column that holds less than it is to hold, and the type that it has to have, as SQL writes it. */
export interface Narrow {
  readonly name: string;
  readonly to: string;
}

/** Columns of a table in which not every value of another table would fit, though a wider type takes both. */
export async function narrowerThan(client: Pg.Client, table: Place, other: Place): Promise<readonly Narrow[]> {
  const brings = new Map((await columnsOf(client, other.quoted)).map(({ name, type }) => [name, type]));
  return (await columnsOf(client, table.quoted)).flatMap(({ name, type }) => {
    const brought = brings.get(name);
    const to = type === undefined || brought === undefined ? undefined : wideningOf(type, brought);
    return to === undefined ? [] : [{ name, to: sqlType(to) }];
  });
}

export async function widenColumns(client: Pg.Client, table: Place, columns: readonly Narrow[]): Promise<void> {
  if (columns.length === 0) return;
  const parts = columns.map(({ name, to }) => `alter column ${quoteName(name)} type ${to}`);
  await client.query(`alter table ${table.quoted} ${parts.join(', ')}`);
}
