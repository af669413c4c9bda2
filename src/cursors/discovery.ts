import type { Discovered } from '../connectors/connector.ts';

/** One column of the catalog of a database. */
export interface CatalogColumn {
  /** As a flow names it. */
  readonly table: string;
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
  /** Its place in the key of the table; undefined where it is not in it. */
  readonly keyPlace?: number | undefined;
  /** Its type is one that a cursor can have. */
  readonly cursor: boolean;
}

/** Columns, those of one table behind one another, as what can be read. */
export function tablesOf(columns: readonly CatalogColumn[]): readonly Discovered[] {
  const tables = new Map<string, CatalogColumn[]>();
  for (const column of columns) {
    const own = tables.get(column.table);
    if (own === undefined) tables.set(column.table, [column]);
    else own.push(column);
  }
  return [...tables].map(([name, own]) => ({
    name,
    columns: own.map((column) => ({ name: column.name, type: column.type, nullable: column.nullable })),
    key: own
      .filter(({ keyPlace }) => keyPlace !== undefined)
      .sort((a, b) => a.keyPlace! - b.keyPlace!)
      .map((column) => column.name),
    // A row without a value in the cursor belongs to no pull.
    cursors: own
      .filter(({ cursor }) => cursor)
      .sort((a, b) => Number(a.nullable) - Number(b.nullable))
      .map((column) => column.name),
  }));
}
