import { sourceOf } from '../../cursors/source.ts';
import { type Chunk, columnsChunk } from '../../model/chunk.ts';
import type { ReadRange, Source } from '../connector.ts';
import { breakOf, type PostgresConnection } from './connection.ts';
import { postgresCursor } from './cursor.ts';
import { describe } from './describe.ts';
import { begin, bindBy, boundQuery, columnsOf, fieldsOf, type PostgresSourceOptions, readError } from './reading.ts';
import { rowsOf } from './rows.ts';

/**
 * Reads a query or a table in one read-only transaction that sees one state of the database. Where every lane takes
 * rows of COPY, and the type of each column is known, they are handed on as they come. Else the server writes each row
 * as JSON (`row_to_json`), so a numeric keeps its digits, a bigint all of its 64 bits, bytea is `\x…` in hex, arrays
 * and composites are JSON, timestamps are ISO 8601; NaN and infinities, which JSON does not have, are texts.
 */
export function postgresSource(connection: () => PostgresConnection, options: PostgresSourceOptions): Source {
  const cursor = options.cursor === undefined ? undefined : postgresCursor(connection, options, options.cursor);
  return sourceOf(cursor, {
    emits: options.mode === 'copy' ? ['pgcopy', 'ndjson'] : ['ndjson'],
    read: (range, signal) => read(connection, options, range, signal),
    ...(options.count
      ? { count: (range: ReadRange, signal: AbortSignal) => count(connection, options, range, signal) }
      : {}),
  });
}

async function* read(
  connection: () => PostgresConnection,
  options: PostgresSourceOptions,
  range: ReadRange,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  const by = bindBy(options);
  const query = boundQuery(options, range, by);
  const session = await begin(connection, options, signal);
  try {
    const fields = await fieldsOf(session.client, query, by);
    const known = columnsOf(fields);
    const columns = range.takes?.includes('pgcopy') === true ? known : undefined;
    const described = known ?? (await describe(session.client, fields));
    const shape = { fields, columns, reuses: range.letsGo === true };
    let empty = true;
    for await (const chunk of rowsOf(session.client, query, by, shape)) {
      signal.throwIfAborted();
      empty = false;
      yield chunk.types === undefined ? { ...chunk, described } : chunk;
    }
    await session.client.query('commit');
    if (empty) yield columnsChunk(described);
  } catch (error) {
    throw signal.aborted ? signal.reason : readError(breakOf(session.client) ?? error);
  } finally {
    await session.end();
  }
}

async function count(
  connection: () => PostgresConnection,
  options: PostgresSourceOptions,
  range: ReadRange,
  signal: AbortSignal,
): Promise<number> {
  const query = boundQuery(options, range, 'placeholders');
  const session = await begin(connection, options, signal);
  try {
    const { rows } = await session.client.query<{ n: string }>(
      `select count(*) as n from (\n${query.text}\n) as waybill_row`,
      [...query.values],
    );
    return Number(rows[0]?.n);
  } catch (error) {
    throw signal.aborted ? signal.reason : readError(breakOf(session.client) ?? error);
  } finally {
    await session.end();
  }
}
