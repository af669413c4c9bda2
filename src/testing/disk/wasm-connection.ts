import { Buffer } from 'node:buffer';
import type { Connection, Driver, Prepared } from '../../ledger/sqlite/connection.ts';
import type { SimDisk } from './sim-disk.ts';
import type { SqliteModule, WasmSqlite } from './wasm-sqlite.ts';

const ROW = 100;
const DONE = 101;
const OPEN_FLAGS = 0x2 | 0x4 | 0x0200_0000;
/** SQLite makes a copy of its own. */
const TRANSIENT = -1;
const CELL = { integer: 1, float: 2, text: 3, blob: 4 } as const;

/** Primary codes that the ledger tells apart, and those of errors of the disk. */
const CODES: Readonly<Record<number, string>> = {
  1: 'SQLITE_ERROR',
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  7: 'SQLITE_NOMEM',
  8: 'SQLITE_READONLY',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  15: 'SQLITE_PROTOCOL',
  17: 'SQLITE_SCHEMA',
  18: 'SQLITE_TOOBIG',
  19: 'SQLITE_CONSTRAINT',
  20: 'SQLITE_MISMATCH',
  21: 'SQLITE_MISUSE',
  26: 'SQLITE_NOTADB',
  266: 'SQLITE_IOERR_READ',
  522: 'SQLITE_IOERR_SHORT_READ',
  778: 'SQLITE_IOERR_WRITE',
  1034: 'SQLITE_IOERR_FSYNC',
  1290: 'SQLITE_IOERR_DIR_FSYNC',
  1546: 'SQLITE_IOERR_TRUNCATE',
};

type Value = number | string | Uint8Array | null;

/** Opens ledgers on a simulated disk. One connection at a time may have a ledger open. */
export function wasmDriver(sqlite: WasmSqlite, disk: SimDisk, pragma = (text: string): string => text): Driver {
  return { disk, connect: (path) => new WasmConnection(sqlite, disk, { path, pragma }) };
}

/** As much of a connection as the ledger uses, on SQLite in WebAssembly. */
export class WasmConnection implements Connection {
  readonly name: string;
  readonly #sqlite: WasmSqlite;
  readonly #module: SqliteModule;
  readonly #statements = new Set<WasmStatement>();
  readonly #db: number;
  readonly #pragma: (text: string) => string;
  #open = true;

  constructor(sqlite: WasmSqlite, disk: SimDisk, at: { path: string; pragma: (text: string) => string }) {
    const { path } = at;
    this.name = path;
    this.#pragma = at.pragma;
    this.#sqlite = sqlite;
    this.#module = sqlite.module;
    const out = this.#module._sqlite3_malloc(8);
    const name = this.#text(sqlite.pathOn(disk, path));
    const code = this.#module._sqlite3_open_v2(name, out, OPEN_FLAGS, 0);
    this.#db = this.#module.HEAP32[out >> 2] as number;
    this.#module._sqlite3_free(name);
    this.#module._sqlite3_free(out);
    this.#expect(code);
    if (isInWal(disk, path)) this.#holdAlone();
  }

  get open(): boolean {
    return this.#open;
  }

  get inTransaction(): boolean {
    return this.#open && this.#module._sqlite3_get_autocommit(this.#db) === 0;
  }

  prepare<P extends unknown[], R>(sql: string): Prepared<P, R> {
    return this.#prepare(sql).statement as unknown as Prepared<P, R>;
  }

  pragma(text: string, options: { readonly simple?: boolean } = {}): unknown {
    if (/^journal_mode = WAL$/i.test(text)) this.#holdAlone();
    const rows = this.#once(`PRAGMA ${this.#pragma(text)}`);
    return options.simple === true ? rows[0]?.[0] : rows;
  }

  exec(sql: string): void {
    for (let rest = sql; rest.trim() !== ''; ) {
      const prepared = this.#prepare(rest);
      prepared.statement?.raw(true).all();
      prepared.statement?.finalize();
      rest = prepared.rest;
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const statement of [...this.#statements]) statement.finalize();
    this.#module._sqlite3_close(this.#db);
  }

  forget(statement: WasmStatement): void {
    this.#statements.delete(statement);
  }

  expectOpen(): void {
    if (!this.#open) throw new SqliteError('the connection has been closed', 'SQLITE_MISUSE');
  }

  /** Throws as `better-sqlite3` does: a `SqliteError` with the name of the code. */
  fail(code: number): never {
    const message = this.#module.UTF8ToString(this.#module._sqlite3_errmsg(this.#db));
    throw new SqliteError(message, CODES[code] ?? CODES[code & 0xff] ?? `SQLITE_${code}`);
  }

  /** Without shared memory SQLite keeps its map of the log to itself, which it does when nobody else may come in. */
  #holdAlone(): void {
    this.#once('PRAGMA locking_mode = EXCLUSIVE');
  }

  #once(sql: string): Value[][] {
    const { statement } = this.#prepare(sql);
    try {
      return (statement?.raw(true).all() ?? []) as Value[][];
    } finally {
      statement?.finalize();
    }
  }

  #prepare(sql: string): { statement: WasmStatement | undefined; rest: string } {
    this.expectOpen();
    const module = this.#module;
    const text = this.#text(sql);
    const out = module._sqlite3_malloc(8);
    const code = module._sqlite3_prepare_v2(this.#db, text, -1, out, out + 4);
    const [pointer = 0, end = 0] = module.HEAP32.subarray(out >> 2, (out >> 2) + 2);
    const rest = Buffer.from(sql, 'utf8')
      .subarray(end - text)
      .toString('utf8');
    module._sqlite3_free(out);
    module._sqlite3_free(text);
    this.#expect(code);
    if (pointer === 0) return { statement: undefined, rest };
    const statement = new WasmStatement(this, this.#sqlite.module, { db: this.#db, pointer });
    this.#statements.add(statement);
    return { statement, rest };
  }

  #expect(code: number): void {
    if (code !== 0) this.fail(code);
  }

  #text(text: string): number {
    const bytes = Buffer.from(`${text}\0`, 'utf8');
    const pointer = this.#module._sqlite3_malloc(bytes.length);
    this.#module.HEAPU8.set(bytes, pointer);
    return pointer;
  }
}

export class SqliteError extends Error {
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.name = 'SqliteError';
    this.code = code;
  }
}

class WasmStatement implements Prepared<Value[], unknown> {
  readonly #connection: WasmConnection;
  readonly #module: SqliteModule;
  readonly #at: { readonly db: number; readonly pointer: number };
  #plucked = false;

  constructor(connection: WasmConnection, module: SqliteModule, at: { db: number; pointer: number }) {
    this.#connection = connection;
    this.#module = module;
    this.#at = at;
  }

  /** Rows are always arrays of cells here. */
  raw(_on: boolean): this {
    return this;
  }

  pluck(): this {
    this.#plucked = true;
    return this;
  }

  get(...params: Value[]): unknown {
    for (const row of this.iterate(...params)) return row;
    return undefined;
  }

  all(...params: Value[]): unknown[] {
    return [...this.iterate(...params)];
  }

  run(...params: Value[]): { readonly changes: number } {
    this.all(...params);
    return { changes: this.#module._sqlite3_changes(this.#at.db) };
  }

  *iterate(...params: Value[]): Generator<unknown> {
    const { pointer } = this.#at;
    this.#connection.expectOpen();
    params.forEach((value, nth) => {
      this.#bind(nth + 1, value);
    });
    try {
      for (;;) {
        const code = this.#module._sqlite3_step(pointer);
        if (code === DONE) return;
        if (code !== ROW) this.#connection.fail(code);
        yield this.#row();
      }
    } finally {
      if (this.#connection.open) this.#module._sqlite3_reset(pointer);
    }
  }

  finalize(): void {
    this.#connection.forget(this);
    this.#module._sqlite3_finalize(this.#at.pointer);
  }

  #row(): unknown {
    const cells: Value[] = [];
    const count = this.#plucked ? 1 : this.#module._sqlite3_column_count(this.#at.pointer);
    for (let column = 0; column < count; column++) cells.push(this.#cell(column));
    return this.#plucked ? cells[0] : cells;
  }

  /** Numbers up to 2^53 come as they are; the ledger has no larger ones. */
  #cell(column: number): Value {
    const module = this.#module;
    const { pointer } = this.#at;
    const type = module._sqlite3_column_type(pointer, column);
    if (type === CELL.integer || type === CELL.float) return module._sqlite3_column_double(pointer, column);
    if (type !== CELL.text && type !== CELL.blob) return null;
    const isText = type === CELL.text;
    const from = isText ? module._sqlite3_column_text(pointer, column) : module._sqlite3_column_blob(pointer, column);
    const bytes = Buffer.from(module.HEAPU8.slice(from, from + module._sqlite3_column_bytes(pointer, column)));
    return isText ? bytes.toString('utf8') : bytes;
  }

  #bind(at: number, value: Value): void {
    const code = this.#bound(at, value);
    if (code !== 0) this.#connection.fail(code);
  }

  #bound(at: number, value: Value): number {
    const module = this.#module;
    const { pointer } = this.#at;
    if (value === null) return module._sqlite3_bind_null(pointer, at);
    if (typeof value === 'number')
      return value === (value | 0)
        ? module._sqlite3_bind_int(pointer, at, value)
        : module._sqlite3_bind_double(pointer, at, value);
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
    // Nothing is null to SQLite, which is not the same as an empty blob.
    const copy = module._sqlite3_malloc(Math.max(1, bytes.length));
    module.HEAPU8.set(bytes, copy);
    try {
      return typeof value === 'string'
        ? module._sqlite3_bind_text(pointer, at, copy, bytes.length, TRANSIENT)
        : module._sqlite3_bind_blob(pointer, at, copy, bytes.length, TRANSIENT);
    } finally {
      module._sqlite3_free(copy);
    }
  }
}

/** As the header of the file says; anything else can be asked only after the log is in use. */
function isInWal(disk: SimDisk, path: string): boolean {
  const header = new Uint8Array(20);
  return disk.find(path)?.read(header, 0) === 20 && header[18] === 2 && header[19] === 2;
}
