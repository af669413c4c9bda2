import { Buffer } from 'node:buffer';
import type * as Pg from 'pg';
import { columnTypeOfOid } from '../../formats/pgcopy/oids.ts';
import type { Chunk } from '../../model/chunk.ts';
import type { Column, Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import type { ReadRange, Source } from '../connector.ts';
import { breakOf, connect, type PostgresConnection, quoteName, sqlState } from './connection.ts';
import { JsonCollector, RowCollector } from './copy-collectors.ts';
import { CopyOut } from './copy-out.ts';
import { LinePacker } from './line-packer.ts';
import { type BoundQuery, bindQuery } from './parameters.ts';

export interface PostgresSourceOptions {
  readonly query?: string;
  /** A name, or a schema and a name. */
  readonly table?: readonly string[];
  readonly mode: 'copy' | 'cursor';
  readonly timeZone: string;
  /** Asks for the number of records first, so that progress has a total. */
  readonly count: boolean;
}

/** Rows that one FETCH of a cursor brings. */
const FETCH_ROWS = 2000;

/**
 * Reads a query or a table in one read-only transaction that sees one state of the database. Where every lane takes
 * rows of COPY, and the type of each column is known, they are handed on as they come. Else the server writes each row
 * as JSON (`row_to_json`), so a numeric keeps its digits, a bigint all of its 64 bits, bytea is `\x…` in hex, arrays
 * and composites are JSON, timestamps are ISO 8601; NaN and infinities, which JSON does not have, are texts.
 */
export function postgresSource(connection: () => PostgresConnection, options: PostgresSourceOptions): Source {
  return {
    emits: options.mode === 'copy' ? ['pgcopy', 'ndjson'] : ['ndjson'],
    resumable: false,
    read: (range, signal) => read(connection, options, range, signal),
    ...(options.count
      ? {
          remaining: async (range: ReadRange, signal: AbortSignal) => ({
            records: await count(connection, options, range, signal),
          }),
        }
      : {}),
  };
}

async function* read(
  connection: () => PostgresConnection,
  options: PostgresSourceOptions,
  range: ReadRange,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  const by = options.mode === 'copy' ? 'settings' : 'placeholders';
  const query = boundQuery(options, range, by);
  const session = await begin(connection, options, signal);
  try {
    const fields = await fieldsOf(session.client, query, by);
    const columns = range.takes?.includes('pgcopy') === true ? columnsOf(fields) : undefined;
    const select = asJson(query, by, fields);
    const chunks =
      options.mode === 'cursor'
        ? byCursor(session.client, select)
        : session.client.query(copyOf(query, select, columns)).chunks();
    for await (const chunk of chunks) {
      signal.throwIfAborted();
      yield chunk;
    }
    await session.client.query('commit');
  } catch (error) {
    throw signal.aborted ? signal.reason : readError(breakOf(session.client) ?? error);
  } finally {
    await session.end();
  }
}

interface Session {
  readonly client: Pg.Client;
  end(): Promise<void>;
}

async function begin(
  connection: () => PostgresConnection,
  options: PostgresSourceOptions,
  signal: AbortSignal,
): Promise<Session> {
  signal.throwIfAborted();
  const client = await connect(connection());
  let ending: Promise<void> | undefined;
  // Ending while a query is under way closes the socket, which fails the query: nobody waits for a slow server.
  const stop = (): void => {
    ending ??= client.end();
  };
  signal.addEventListener('abort', stop, { once: true });
  const end = async (): Promise<void> => {
    signal.removeEventListener('abort', stop);
    stop();
    await ending;
  };
  try {
    await client.query('begin isolation level repeatable read read only');
    await client.query(SETTINGS, [options.timeZone]);
    return { client, end };
  } catch (error) {
    await end();
    throw signal.aborted ? signal.reason : readError(breakOf(client) ?? error);
  }
}

// How values are written must not depend on how the server, the database or the role is set up.
const SETTINGS = `select set_config('TimeZone', $1, true), set_config('IntervalStyle', 'iso_8601', true),
  set_config('DateStyle', 'ISO', true), set_config('bytea_output', 'hex', true),
  set_config('extra_float_digits', '1', true), set_config('standard_conforming_strings', 'on', true)`;

function boundQuery(
  { query, table }: PostgresSourceOptions,
  range: ReadRange,
  by: 'placeholders' | 'settings',
): BoundQuery {
  const text = query ?? `select * from ${(table ?? []).map(quoteName).join('.')}`;
  return bindQuery(text.replace(/[;\s]*$/, ''), range.parameters, by);
}

/** The columns of the query. Asks the server for them first, and reads no row. */
async function fieldsOf(
  client: Pg.Client,
  query: BoundQuery,
  by: 'placeholders' | 'settings',
): Promise<readonly Pg.FieldDef[]> {
  for (const [at, value] of query.values.entries()) {
    if (by === 'settings') await client.query('select set_config($1, $2, true)', [`waybill.p${at + 1}`, value]);
  }
  const values = by === 'settings' ? [] : query.values;
  const { fields } = await client.query(`select * from (\n${query.text}\n) as waybill_row limit 0`, [...values]);
  const names = fields.map((field) => field.name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice === undefined) return fields;
  throw new WaybillError(
    'SOURCE_INVALID',
    `the query gives two columns the name ${JSON.stringify(twice)}: rename one with \`as\``,
  );
}

/** Undefined where a column is of a type that only PostgreSQL knows. */
function columnsOf(fields: readonly Pg.FieldDef[]): Columns | undefined {
  const columns: Column[] = [];
  for (const { name, dataTypeID, dataTypeModifier } of fields) {
    const type = columnTypeOfOid(dataTypeID, dataTypeModifier);
    if (type === undefined) return undefined;
    columns.push({ name, type, nullable: true });
  }
  return columns.length === 0 ? undefined : columns;
}

/** The query with each of its rows as one JSON object. */
function asJson(query: BoundQuery, by: 'placeholders' | 'settings', fields: readonly Pg.FieldDef[]): BoundQuery {
  // A column of the same name would be taken for the row.
  let row = 'waybill_row';
  while (fields.some(({ name }) => name === row)) row += '_';
  const text = `select row_to_json(${row})::text from (\n${query.text}\n) as ${row}`;
  return { text, values: by === 'settings' ? [] : query.values };
}

function copyOf(query: BoundQuery, json: BoundQuery, columns: Columns | undefined): CopyOut {
  if (columns === undefined) return new CopyOut(json.text, new JsonCollector());
  return new CopyOut(`select * from (\n${query.text}\n) as waybill_row`, new RowCollector(columns));
}

/** For servers and poolers that do not let COPY through. */
async function* byCursor(client: Pg.Client, select: BoundQuery): AsyncGenerator<Chunk> {
  await client.query(`declare waybill_cursor no scroll cursor for ${select.text}`, [...select.values]);
  const packer = new LinePacker();
  for (;;) {
    const { rows } = await client.query<[string]>({
      text: `fetch ${FETCH_ROWS} from waybill_cursor`,
      rowMode: 'array',
    });
    for (const [text] of rows) {
      const bytes = Buffer.from(text);
      const full = packer.add(bytes, 0, bytes.length);
      if (full !== undefined) yield full;
    }
    if (rows.length === 0) break;
  }
  const last = packer.flush();
  if (last !== undefined) yield last;
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

/**
 * The server's error without the values that it quotes: those of data errors are content of records. Its other fields
 * (detail, where) may hold content as well, so the error itself is not kept as the cause.
 */
function readError(error: unknown): unknown {
  if (error instanceof WaybillError) return error;
  const state = sqlState(error);
  if (state === undefined)
    return new WaybillError('SOURCE_FAILED', 'the connection to PostgreSQL broke off', { cause: error });
  const said = String((error as Error).message);
  const message = /^2[23]/.test(state) ? said.replace(/"[^"]*"/g, '"…"') : said;
  const { position } = error as { readonly position?: string };
  const ids = { sqlState: state, ...(position === undefined ? {} : { position }) };
  // 42: the query cannot be understood. 25006: it would change something. Reading it again changes neither.
  if (state.startsWith('42') || state === '25006')
    return new WaybillError('SOURCE_INVALID', `PostgreSQL refuses the query (${state}): ${message}`, { ids });
  return new WaybillError('SOURCE_FAILED', `the query failed in PostgreSQL (${state}): ${message}`, { ids });
}
