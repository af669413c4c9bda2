import type { Param, Table } from '../books/store.ts';
import type { Cell, RowDigest } from '../row-digest.ts';
import { toParam } from './cells.ts';

export interface Statement {
  readonly sql: string;
  readonly values: readonly unknown[];
}

type Kind = 'insert' | 'update' | 'remove' | 'removeAll';

/** Writes of one kind to one table, one after the other with nothing in between. */
interface Stretch {
  readonly kind: Kind;
  /** By key where a key can come twice: the last write counts. */
  readonly rows: Map<string, readonly Cell[]>;
}

/** What PostgreSQL keeps in a column, by `table.column`. */
export type ColumnTypes = ReadonlyMap<string, string>;

/**
 * Writes that wait to be sent. They go out table by table, each stretch of one kind as one statement whatever the
 * number of its rows: within a table in the order in which they were made, and between tables no order matters.
 */
export class Pending {
  readonly #digest: RowDigest;
  readonly #types: ColumnTypes;
  readonly #tables = new Map<Table, Stretch[]>();
  readonly #writings = new Map<Table, Writing>();

  constructor(digest: RowDigest, types: ColumnTypes) {
    this.#digest = digest;
    this.#types = types;
  }

  insert(into: Table, cells: readonly Cell[]): void {
    const row = into.signed ? [...cells, this.#sign(into, cells)] : cells;
    this.#add(into, 'insert', this.#key(into, cells), row);
  }

  update(of: Table, cells: readonly Cell[]): void {
    this.#add(of, 'update', this.#key(of, cells), [...cells, this.#sign(of, cells)]);
  }

  remove(from: Table, keys: readonly Param[]): void {
    this.#add(from, 'remove', JSON.stringify(keys), keys);
  }

  removeAll(from: Table, key: Param): void {
    this.#add(from, 'removeAll', JSON.stringify([key]), [key]);
  }

  clear(): void {
    this.#tables.clear();
  }

  take(): Statement[] {
    const statements = [...this.#tables].flatMap(([table, stretches]) =>
      stretches.flatMap(({ kind, rows }) => this.#writing(table).statements(kind, [...rows.values()])),
    );
    this.#tables.clear();
    return statements;
  }

  #writing(table: Table): Writing {
    let writing = this.#writings.get(table);
    if (writing === undefined) {
      writing = new Writing(table, this.#types);
      this.#writings.set(table, writing);
    }
    return writing;
  }

  #sign(of: Table, cells: readonly Cell[]): number {
    return this.#digest.of(of.tag, cells, of.columns.length);
  }

  #key(of: Table, cells: readonly Cell[]): string {
    return of.keys === 1 ? String(cells[0]) : JSON.stringify(cells.slice(0, of.keys));
  }

  #add(table: Table, kind: Kind, key: string, row: readonly Cell[]): void {
    let stretches = this.#tables.get(table);
    if (stretches === undefined) {
      stretches = [];
      this.#tables.set(table, stretches);
    }
    let last = stretches[stretches.length - 1];
    if (last?.kind !== kind) {
      last = { kind, rows: new Map() };
      stretches.push(last);
    }
    last.rows.set(key, row);
  }
}

const list = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');
const storedOf = (table: Table): readonly string[] => [...table.columns, ...(table.signed ? ['chk'] : [])];

/** Rows as one array for each of their columns. */
const columnsOf = (rows: readonly (readonly Cell[])[], count: number): unknown[] =>
  Array.from({ length: count }, (_, nth) => rows.map((row) => toParam(row[nth] as Cell)));

/** Ids that were removed are never given out again. */
const REMEMBER =
  'INSERT INTO removed (name, id) VALUES ($1, $2) ' +
  'ON CONFLICT (name) DO UPDATE SET id = greatest(removed.id, excluded.id)';

/** Makes statements for one table; their texts depend on nothing else, so each is prepared only once. */
class Writing {
  readonly #table: Table;
  readonly #types: ColumnTypes;
  readonly #texts = new Map<Kind, string>();

  constructor(table: Table, types: ColumnTypes) {
    this.#table = table;
    this.#types = types;
  }

  statements(kind: Kind, rows: readonly (readonly Cell[])[]): Statement[] {
    const { fixed, keys, name, once } = this.#table;
    const sql = this.#text(kind);
    switch (kind) {
      case 'insert':
        return [{ sql, values: columnsOf(rows, storedOf(this.#table).length) }];
      case 'update': {
        const picked = rows.map((row) => [...row.slice(0, keys), ...row.slice(fixed)]);
        return [{ sql, values: [...columnsOf(picked, picked[0]?.length ?? 0), rows.length] }];
      }
      case 'remove': {
        const largest = Math.max(...rows.map(([id]) => Number(id)));
        const remember = once ? [{ sql: REMEMBER, values: [name, largest] }] : [];
        return [{ sql, values: columnsOf(rows, keys) }, ...remember];
      }
      case 'removeAll':
        return [{ sql, values: columnsOf(rows, 1) }];
    }
  }

  #text(kind: Kind): string {
    let text = this.#texts.get(kind);
    if (text === undefined) {
      text = this.#make(kind);
      this.#texts.set(kind, text);
    }
    return text;
  }

  #make(kind: Kind): string {
    switch (kind) {
      case 'insert': {
        const stored = storedOf(this.#table);
        return `INSERT INTO ${this.#table.name} (${list(stored)}) SELECT * FROM ${this.#unnest(stored)}`;
      }
      case 'update':
        return this.#updating();
      case 'remove':
        return this.#deleting(this.#table.columns.slice(0, this.#table.keys));
      case 'removeAll':
        return this.#deleting(this.#table.columns.slice(0, 1));
    }
  }

  #updating(): string {
    const { name, columns, keys, fixed } = this.#table;
    const [byKey, changed] = [columns.slice(0, keys), storedOf(this.#table).slice(fixed)];
    const sets = changed.map((column) => `"${column}" = u."${column}"`).join(', ');
    const used = [...byKey, ...changed];
    return (
      `WITH done AS (UPDATE ${name} t SET ${sets} FROM ${this.#unnest(used)} AS u(${list(used)}) ` +
      `WHERE ${same(byKey)} RETURNING 1) ` +
      `SELECT must((SELECT count(*) FROM done), $${used.length + 1}::bigint, '${name}')`
    );
  }

  #deleting(keys: readonly string[]): string {
    return `DELETE FROM ${this.#table.name} t USING ${this.#unnest(keys)} AS u(${list(keys)}) WHERE ${same(keys)}`;
  }

  #unnest(columns: readonly string[]): string {
    const types = columns.map((column) => this.#types.get(`${this.#table.name}.${column}`) ?? 'text');
    return `unnest(${types.map((type, nth) => `$${nth + 1}::${type}[]`).join(', ')})`;
  }
}

const same = (keys: readonly string[]): string => keys.map((key) => `t."${key}" = u."${key}"`).join(' AND ');
