import { sourceOf } from '../../cursors/source.ts';
import { type Chunk, columnsChunk } from '../../model/chunk.ts';
import type { ReadRange, Source } from '../connector.ts';
import type { MysqlConnection } from './connection.ts';
import { mysqlCursor } from './cursor.ts';
import { describe } from './describe.ts';
import { boundQuery, fieldsOf, type MysqlSourceOptions, Reading, tableOf } from './reading.ts';

/**
 * Reads a query or a table of MySQL or MariaDB in one read-only transaction that sees one state of the database, as far
 * as the tables are InnoDB's. Without a cursor it has no positions: the same query may give other rows the next time.
 */
export function mysqlSource(connection: () => MysqlConnection, options: MysqlSourceOptions): Source {
  const cursor = options.cursor === undefined ? undefined : mysqlCursor(connection, options, options.cursor);
  return sourceOf(cursor, {
    emits: ['ndjson'],
    read: (range, signal) => read(connection, options, range, signal),
    ...(options.count
      ? { count: (range: ReadRange, signal: AbortSignal) => count(connection, options, range, signal) }
      : {}),
  });
}

async function* read(
  connection: () => MysqlConnection,
  options: MysqlSourceOptions,
  range: ReadRange,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  const query = boundQuery(options, range);
  const reading = await Reading.begin(connection, signal);
  try {
    const fields = await fieldsOf(reading, query);
    let empty = true;
    for await (const chunk of reading.chunks(query, fields)) {
      signal.throwIfAborted();
      empty = false;
      yield chunk;
    }
    if (empty) yield columnsChunk(describe(fields));
  } finally {
    await reading.end();
  }
}

async function count(
  connection: () => MysqlConnection,
  options: MysqlSourceOptions,
  range: ReadRange,
  signal: AbortSignal,
): Promise<number> {
  const query = boundQuery(options, range);
  const reading = await Reading.begin(connection, signal);
  try {
    const { rows } = await reading.ask({ text: `select count(*) from ${tableOf(query)}`, values: query.values });
    return Number(rows[0]![0]);
  } finally {
    await reading.end();
  }
}
