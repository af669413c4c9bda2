import { sourceOf } from '../../cursors/source.ts';
import { type Chunk, columnsChunk } from '../../model/chunk.ts';
import type { ReadRange, Source } from '../connector.ts';
import { sqliteCursor } from './cursor.ts';
import { openDatabase } from './database.ts';
import { declaredColumns } from './describe.ts';
import { bind, prepare, queryColumns, queryOf, readChunks, readError, type SqliteSourceOptions } from './reading.ts';

/**
 * Reads a query or a table of an SQLite file, without leave to write. Integers keep all 64 bits, blobs become base64,
 * infinities texts.
 * One statement sees one state of the database, however long it takes. Without a cursor it has no positions: the same
 * query may give other rows the next time.
 */
export function sqliteSource(options: SqliteSourceOptions): Source {
  const cursor = options.cursor === undefined ? undefined : sqliteCursor(options, options.cursor);
  return sourceOf(cursor, {
    emits: ['ndjson'],
    read: (range, signal) => read(options, range, signal),
    ...(options.count ? { count: async (range: ReadRange) => count(options, range) } : {}),
  });
}

async function* read(options: SqliteSourceOptions, range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
  const database = openDatabase(options.folder, options.file, { readonly: true });
  let reading = false;
  try {
    const statement = prepare(database, options, range.parameters);
    reading = true;
    let empty = true;
    for await (const chunk of readChunks(statement, bind(range.parameters), signal)) {
      empty = false;
      yield chunk;
    }
    const declared = empty ? declaredColumns(queryColumns(statement)) : undefined;
    if (declared !== undefined) yield columnsChunk(declared);
  } catch (error) {
    throw readError(error, options, reading);
  } finally {
    database.close();
  }
}

function count(options: SqliteSourceOptions, range: ReadRange): number {
  const database = openDatabase(options.folder, options.file, { readonly: true });
  try {
    prepare(database, options, range.parameters);
    const query = queryOf(database, options).replace(/;\s*$/, '');
    const counting = database.prepare<[Record<string, unknown>], bigint>(`select count(*) from (\n${query}\n)`);
    return Number(counting.pluck().get(bind(range.parameters)));
  } catch (error) {
    throw readError(error, options);
  } finally {
    database.close();
  }
}
