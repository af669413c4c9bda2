import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { SimDisk } from './sim-disk.ts';
import { SimVfs } from './sim-vfs.ts';

/** What is used of SQLite as compiled to WebAssembly: the functions of its C interface, with pointers as numbers. */
export interface SqliteModule {
  readonly HEAPU8: Uint8Array;
  readonly HEAP32: Int32Array;
  readonly HEAPF64: Float64Array;
  _malloc(bytes: number): number;
  _sqlite3_malloc(bytes: number): number;
  _sqlite3_free(pointer: number): void;
  _sqlite3_open_v2(name: number, db: number, flags: number, vfs: number): number;
  _sqlite3_close(db: number): number;
  _sqlite3_errmsg(db: number): number;
  _sqlite3_get_autocommit(db: number): number;
  _sqlite3_changes(db: number): number;
  _sqlite3_prepare_v2(db: number, sql: number, bytes: number, statement: number, rest: number): number;
  _sqlite3_finalize(statement: number): number;
  _sqlite3_reset(statement: number): number;
  _sqlite3_step(statement: number): number;
  _sqlite3_bind_null(statement: number, at: number): number;
  _sqlite3_bind_int(statement: number, at: number, value: number): number;
  _sqlite3_bind_double(statement: number, at: number, value: number): number;
  _sqlite3_bind_text(statement: number, at: number, text: number, bytes: number, free: number): number;
  _sqlite3_bind_blob(statement: number, at: number, blob: number, bytes: number, free: number): number;
  _sqlite3_column_count(statement: number): number;
  _sqlite3_column_type(statement: number, column: number): number;
  _sqlite3_column_double(statement: number, column: number): number;
  _sqlite3_column_text(statement: number, column: number): number;
  _sqlite3_column_blob(statement: number, column: number): number;
  _sqlite3_column_bytes(statement: number, column: number): number;
  registerVFS(vfs: object, makeDefault: boolean): number;
  UTF8ToString(pointer: number): string;
}

type Imports = Readonly<Record<string, unknown>>;
interface Instance {
  readonly exports: object;
}

/** Node's types have no WebAssembly of their own. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: Imports) => Instance;
};

/**
 * SQLite 3.44 in WebAssembly, in the process, on simulated disks. Real in everything that decides about durability:
 * journal, log, checkpoints, recovery. What differs from production: the version (better-sqlite3 brings a newer one),
 * and that there is no shared memory, so the log can only be used by one connection that holds the file for itself.
 */
export class WasmSqlite {
  readonly module: SqliteModule;
  readonly #vfs: SimVfs;

  private constructor(module: SqliteModule) {
    this.module = module;
    this.#vfs = new SimVfs();
    module.registerVFS(this.#vfs, true);
  }

  static async load(): Promise<WasmSqlite> {
    const { resolve } = createRequire(import.meta.url);
    // @ts-expect-error the package says nothing of the types of this file
    const loaded: unknown = await import('wa-sqlite/dist/wa-sqlite.mjs');
    const { default: factory } = loaded as { default: (options: object) => Promise<SqliteModule> };
    const compiled = new WebAssembly.Module(readFileSync(resolve('wa-sqlite/dist/wa-sqlite.wasm')));
    const instantiateWasm = (imports: Imports, done: (instance: Instance, module: object) => void): object => {
      const instance = new WebAssembly.Instance(compiled, imports);
      done(instance, compiled);
      return instance.exports;
    };
    return new WasmSqlite(await factory({ instantiateWasm }));
  }

  /** What SQLite has to call a file of a disk. */
  pathOn(disk: SimDisk, path: string): string {
    return this.#vfs.pathOn(disk, path);
  }

  /** Nothing is asked of this disk any more. */
  forget(disk: SimDisk): void {
    this.#vfs.forget(disk);
  }
}
