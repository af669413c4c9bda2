import { sourceOf } from '../../cursors/source.ts';
import type { Chunk } from '../../model/chunk.ts';
import type { ReadRange, Source } from '../connector.ts';
import type { MysqlConnection } from './connection.ts';
import { mysqlCursor } from './cursor.ts';
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
    for await (const chunk of reading.chunks(query, await fieldsOf(reading, query))) {
      signal.throwIfAborted();
      yield chunk;
    }
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
