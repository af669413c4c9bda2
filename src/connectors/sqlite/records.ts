import { Buffer } from 'node:buffer';
import type BetterSqlite from 'better-sqlite3';
import { exactType } from '../../formats/columns/sqlite-types.ts';
import { sqliteValue } from '../../formats/columns/sqlite-values.ts';
import { inColumn } from '../../formats/columns/unfit.ts';
import { readJsonValue } from '../../formats/columns/values.ts';
import { encodeJson } from '../../formats/encode.ts';
import { rawMembers } from '../../formats/json-members.ts';
import { parseObject } from '../../formats/rows.ts';
import type { Payload } from '../../model/batch.ts';
import type { DataRecord } from '../../model/chunk.ts';
import type { ColumnType } from '../../model/columns.ts';
import { describeError, RefusedError, WaybillError } from '../../model/errors.ts';
import { type Affinity, affinityOf, surelyKept } from './affinity.ts';
import { type Column, type Handle, kindOf, quoteName, sqliteCode } from './database.ts';
import { orAbort } from './left-out.ts';

/** Where records are written to, and how. */
export interface Into {
  readonly table: string;
  readonly columns: ReadonlySet<string>;
  /** Columns that say exactly what their values are; those of others are taken as JSON spells them. */
  readonly exact: ReadonlyMap<string, ColumnType>;
  /** What SQLite makes of the values of the others. */
  readonly affinities: ReadonlyMap<string, Affinity>;
  /** Columns with a unique index: a record under a key that is there changes that row. */
  readonly key?: readonly string[];
  /** Is told of each record which columns it has named, and the number of the row that it has become. */
  written?(names: readonly string[], row: number | bigint): void;
}

/** Writes the records of batches as rows. Knows the statements that it has prepared, for one database at a time. */
export class RecordWriter {
  readonly #base64: ReadonlySet<string>;
  readonly #inserts = new Map<string, BetterSqlite.Statement<unknown[]>>();
  #database: Handle | undefined;

  /** `base64`: columns whose texts are base64 and are stored as bytes. */
  constructor(base64: readonly string[]) {
    this.#base64 = new Set(base64);
  }

  /**
   * Throws RefusedError for a record that does not fit. Answers how many rows they are: what the table takes for one
   * key may be spelled differently.
   */
  insertAll(database: Handle, payload: Payload, into: Into): number {
    const keys = new Set<string>();
    let rows = 0;
    const buffer = Buffer.from(payload.bytes.buffer, payload.bytes.byteOffset, payload.bytes.byteLength);
    for (let at = 0; at < payload.spans.length / 2; at++) {
      const text = buffer.toString('utf8', payload.spans[at * 2], payload.spans[at * 2 + 1]);
      try {
        const record = into.exact.size === 0 ? parseObject(text) : exactRecord(text, into.exact);
        const key = this.#insert(database, record, into);
        if (key === undefined) rows++;
        else keys.add(key);
      } catch (error) {
        throw recordError(error, at);
      }
    }
    return rows + keys.size;
  }

  /** Of tables that are to be removed or changed, and of a database that is closed. */
  forget(): void {
    this.#inserts.clear();
  }

  /** Answers the key of the row that the record is in now, where it was written under one. */
  #insert(database: Handle, record: DataRecord, into: Into): string | undefined {
    const names = Object.keys(record);
    const unknown = names.find((name) => !into.columns.has(name));
    if (unknown !== undefined) throw unfit('column-unknown', `the table has no column ${JSON.stringify(unknown)}`);
    const missing = into.key?.find((name) => record[name] == null);
    if (missing !== undefined) throw unfit('key-missing', `the key column ${JSON.stringify(missing)} is missing`);
    const statement = this.#statement(database, names, into);
    const values = names.map((name) => (into.exact.has(name) ? record[name] : this.#bound(name, record[name], into)));
    if (into.key !== undefined) {
      const key = statement.get(...values);
      if (key === undefined && !(isKeyAlone(names, into.key) && isThere(database, { into, names, values })))
        expectWritten(database, into.table);
      return key === undefined ? undefined : keyText(key as readonly unknown[]);
    }
    const { changes, lastInsertRowid } = statement.run(...values);
    if (changes === 0) expectWritten(database, into.table);
    into.written?.(names, lastInsertRowid);
    return undefined;
  }

  #bound(name: string, value: unknown, { affinities }: Into): unknown {
    const base64 = this.#base64.has(name);
    const affinity = affinities.get(name) ?? 'none';
    if (!base64) surelyKept(name, affinity, value);
    // No whole number is too long for a text.
    return affinity === 'text' && typeof value === 'bigint' ? String(value) : boundValue(value, base64);
  }

  #statement(database: Handle, names: readonly string[], into: Into): BetterSqlite.Statement<unknown[]> {
    if (database !== this.#database) this.forget();
    this.#database = database;
    const shape = JSON.stringify([into.table, into.key, names]);
    const known = this.#inserts.get(shape);
    if (known !== undefined) return known;
    const insert = orAbort(database, 'insert', into.table);
    const statement = database.prepare<unknown[]>(insertSql(insert, names, into));
    if (into.key !== undefined) statement.raw(true).safeIntegers(true);
    this.#inserts.set(shape, statement);
    return statement;
  }
}

/** One text for each key that a row can have. */
const keyText = (values: readonly unknown[]): string =>
  JSON.stringify(
    values.map((value) => (Buffer.isBuffer(value) ? value.toString('hex') : `${typeof value} ${String(value)}`)),
  );

/** The values of exact columns as SQLite is to store them; no digit of them passes a double. */
function exactRecord(text: string, exact: Into['exact']): DataRecord {
  const record = parseObject(text);
  for (const [name, raw] of rawMembers(text)) {
    const type = exact.get(name);
    if (type === undefined) continue;
    try {
      record[name] = sqliteValue(type, readJsonValue(type, raw));
    } catch (error) {
      throw inColumn(error, { name, type, nullable: true });
    }
  }
  return record;
}

/** What the declarations of columns say of their values. */
export function declaredOf(columns: readonly Column[]): Pick<Into, 'columns' | 'exact' | 'affinities'> {
  const exact = columns.flatMap(({ name, type }) => {
    const one = exactType(type);
    return one === undefined ? [] : [[name, one] as const];
  });
  return {
    columns: new Set(columns.map(({ name }) => name)),
    exact: new Map(exact),
    affinities: new Map(columns.map(({ name, type }) => [name, affinityOf(type)])),
  };
}

/** A record that is nothing but its key changes no row that is there. */
const isKeyAlone = (names: readonly string[], key: readonly string[]): boolean =>
  names.every((name) => key.includes(name));

/** Of a record that is nothing but its key. */
function isThere(
  database: Handle,
  { into, names, values }: { readonly into: Into; readonly names: readonly string[]; readonly values: unknown[] },
): boolean {
  const by = names.map((name) => `${quoteName(name)} = ?`).join(' and ');
  return database.prepare<unknown[]>(`select 1 from ${quoteName(into.table)} where ${by}`).get(...values) !== undefined;
}

/** A trigger or a clause of the table can leave a row out without an error: it would be lost without a word. */
function expectWritten(database: Handle, table: string): void {
  // What a trigger of a view writes elsewhere is not counted.
  if (kindOf(database, table) !== 'table') return;
  throw unfit('rows-left-out', 'the table did not take the row: a trigger or `on conflict ignore` left it out');
}

function insertSql(verb: string, names: readonly string[], { table, key }: Into): string {
  const into = `${verb} into ${quoteName(table)}`;
  if (names.length === 0) return `${into} default values`;
  const places = names.map(() => '?').join(', ');
  const insert = `${into} (${names.map(quoteName).join(', ')}) values (${places})`;
  if (key === undefined) return insert;
  const rest = names.filter((name) => !key.includes(name));
  const change = rest.map((name) => `${quoteName(name)} = excluded.${quoteName(name)}`).join(', ');
  const update = change === '' ? 'nothing' : `update set ${change}`;
  const keys = key.map(quoteName).join(', ');
  return `${insert} on conflict (${keys}) do ${update} returning ${keys}`;
}

/** A JSON value as SQLite stores it: whole numbers as integers, decimals by their digits, the rest as JSON. */
export function boundValue(value: unknown, base64 = false): unknown {
  switch (typeof value) {
    case 'string':
      return base64 ? bytesOf(value) : wholeText(value);
    case 'boolean':
      return value ? 1n : 0n;
    case 'number':
      // A whole number beyond that came as an exponent (`1e20`): a double, as SQLite reads it, too.
      return Number.isSafeInteger(value) ? BigInt(value) : value;
    case 'bigint':
      if (BigInt.asIntN(64, value) !== value) throw unfit('out-of-range', 'a whole number needs more than 64 bits');
      return value;
    default:
      return value === null ? null : encodeJson(value);
  }
}

/** Either alphabet, on lines or on one, padded or not. */
const BASE64 = /^[A-Za-z0-9+/_\s-]*(?:=\s*){0,2}$/;

/** What is no base64 would be read without the characters that are none, as other bytes. */
function bytesOf(text: string): Buffer {
  const lone = BASE64.test(text) ? text.replaceAll(/[\s=]/g, '').length % 4 === 1 : true;
  if (lone) throw unfit('base64-unfit', 'a text is no base64');
  return Buffer.from(text, 'base64');
}

/** Half a surrogate pair would be stored as three bytes that are no UTF-8, which others cannot read. */
function wholeText(text: string): string {
  if (/\p{Surrogate}/u.test(text)) throw unfit('text-unfit', 'a text holds half a surrogate pair');
  return text;
}

const unfit = (reason: string, message: string): RefusedError => new RefusedError(message, { reason });

/** Which record it was, without a word of its content. */
function recordError(error: unknown, at: number): unknown {
  const code = sqliteCode(error);
  const about = error instanceof RefusedError || error instanceof WaybillError;
  if (!about && !(code?.startsWith('SQLITE_CONSTRAINT') || code === 'SQLITE_MISMATCH' || code === 'SQLITE_TOOBIG'))
    return error;
  const reason = error instanceof RefusedError ? error.reason : (code ?? (error as WaybillError).code);
  return new RefusedError(`record ${at + 1} of the batch: ${describeError(error)}`, { reason, cause: error });
}
