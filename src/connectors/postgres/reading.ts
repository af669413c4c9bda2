import type * as Pg from 'pg';
import type { Lag } from '../../cursors/settings.ts';
import { columnTypeOfOid } from '../../formats/pgcopy/oids.ts';
import type { Column, Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import type { ReadRange } from '../connector.ts';
import { breakOf, connect, type PostgresConnection, quoteName, sqlState } from './connection.ts';
import { type BoundQuery, bindQuery } from './parameters.ts';

export interface PostgresSourceOptions {
  readonly query?: string;
  /** A name, or a schema and a name. */
  readonly table?: readonly string[];
  readonly mode: 'copy' | 'cursor';
  readonly timeZone: string;
  /** How long a table may be locked by somebody else. */
  readonly lockTimeoutMs: number;
  /** Reads what row level security leaves of a table. Where there is any, reading fails without it. */
  readonly rowSecurity: boolean;
  /** Asks for the number of records first, so that progress has a total. */
  readonly count: boolean;
  /** Columns that only grow: with them a pull reads what lies behind its position. */
  readonly cursor?: readonly string[];
  readonly lag?: Lag | 'auto';
}

/** How values get into a query: COPY takes none, so for it they are settings of the transaction. */
export type BindBy = 'placeholders' | 'settings';
export const bindBy = ({ mode }: Pick<PostgresSourceOptions, 'mode'>): BindBy =>
  mode === 'copy' ? 'settings' : 'placeholders';

/** One read-only transaction, which sees one state of the database from its first query on. */
export interface Reading {
  readonly client: Pg.Client;
  end(): Promise<void>;
}

/** `before`: what is asked of the server before the transaction has its state. */
export async function begin(
  connection: () => PostgresConnection,
  options: PostgresSourceOptions,
  signal: AbortSignal,
  before?: (client: Pg.Client) => Promise<void>,
): Promise<Reading> {
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
    // While it connected nobody listened.
    signal.throwIfAborted();
    await before?.(client);
    await client.query('begin isolation level repeatable read read only');
    const rowSecurity = options.rowSecurity ? 'on' : 'off';
    await client.query(SETTINGS, [options.timeZone, String(options.lockTimeoutMs), rowSecurity]);
    return { client, end };
  } catch (error) {
    await end();
    throw signal.aborted ? signal.reason : readError(breakOf(client) ?? error);
  }
}

// How values are written must not depend on how the server, the database or the role is set up. And a COPY takes as
// long as those who take its rows: limits that are meant for questions and their answers would end it each time at the
// same place. So they are lifted, as `pg_dump` does it. Not every server knows the last one. A wait for a lock ends,
// all the same: nobody would learn what is waited for. Nor would anybody learn of rows that a policy hides: like
// `pg_dump`, a reading that is not told to do without them fails.
const SETTINGS = `select set_config('TimeZone', $1, true), set_config('IntervalStyle', 'iso_8601', true),
  set_config('DateStyle', 'ISO', true), set_config('bytea_output', 'hex', true),
  set_config('extra_float_digits', '1', true), set_config('standard_conforming_strings', 'on', true),
  set_config('lc_monetary', 'C', true), set_config('statement_timeout', '0', true),
  set_config('idle_in_transaction_session_timeout', '0', true), set_config('lock_timeout', $2, true),
  set_config('row_security', $3, true),
  case when current_setting('transaction_timeout', true) <> '0'
    then set_config('transaction_timeout', '0', true) end`;

export function boundQuery({ query, table }: PostgresSourceOptions, range: ReadRange, by: BindBy): BoundQuery {
  const text = query ?? `select * from ${(table ?? []).map(quoteName).join('.')}`;
  return bindQuery(text.replace(/[;\s]*$/, ''), range.parameters, by);
}

/** The columns of the query. Asks the server for them first, and reads no row. */
export async function fieldsOf(client: Pg.Client, query: BoundQuery, by: BindBy): Promise<readonly Pg.FieldDef[]> {
  if (by === 'settings') await setValues(client, query.values, 0);
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

/** Sets the values from place `first` on, for the rest of the transaction. */
export async function setValues(client: Pg.Client, values: readonly string[], first: number): Promise<void> {
  for (const [at, value] of values.entries()) {
    if (at >= first) await client.query('select set_config($1, $2, true)', [`waybill.p${at + 1}`, value]);
  }
}

/** Undefined where a column is of a type that only PostgreSQL knows. */
export function columnsOf(fields: readonly Pg.FieldDef[]): Columns | undefined {
  const columns: Column[] = [];
  for (const { name, dataTypeID, dataTypeModifier } of fields) {
    const type = columnTypeOfOid(dataTypeID, dataTypeModifier);
    if (type === undefined) return undefined;
    columns.push({ name, type, nullable: true });
  }
  return columns.length === 0 ? undefined : columns;
}

/** The query with each of its rows as one JSON object. */
export function asJson(query: BoundQuery, by: BindBy, fields: readonly Pg.FieldDef[]): BoundQuery {
  // A column of the same name would be taken for the row.
  let row = 'waybill_row';
  while (fields.some(({ name }) => name === row)) row += '_';
  const text = `select row_to_json(${row})::text from (\n${query.text}\n) as ${row}`;
  return { text, values: by === 'settings' ? [] : query.values };
}

/**
 * The server's error without the values that it quotes: those of data errors are content of records. Its other fields
 * (detail, where) may hold content as well, so the error itself is not kept as the cause.
 */
export function readError(error: unknown): unknown {
  if (error instanceof WaybillError) return error;
  const state = sqlState(error);
  if (state === undefined)
    return new WaybillError('SOURCE_FAILED', 'the connection to PostgreSQL broke off', { cause: error });
  const said = String((error as Error).message);
  const message = /^2[23]/.test(state) ? said.replace(/"[^"]*"/g, '"…"') : said;
  const { position } = error as { readonly position?: string };
  const ids = { sqlState: state, ...(position === undefined ? {} : { position }) };
  // 42: the query cannot be understood. 25006: it would change something. Reading it again changes neither.
  if (state.startsWith('42') || state === '25006') {
    const hint = hidesRows(error) ? { hint: HIDDEN_HINT } : {};
    return new WaybillError('SOURCE_INVALID', `PostgreSQL refuses the query (${state}): ${message}`, { ids, ...hint });
  }
  const hint = state === LOCKED ? { hint: LOCKED_HINT } : {};
  return new WaybillError('SOURCE_FAILED', `the query failed in PostgreSQL (${state}): ${message}`, { ids, ...hint });
}

/** Whatever the language of the server is, it names the function that it fails in. */
const hidesRows = (error: unknown): boolean => (error as Pg.DatabaseError).routine === 'check_enable_rls';
const HIDDEN_HINT =
  'Policies of row level security hide rows of the table from this user, and nobody would see that. Read ' +
  'as a user with `bypassrls`, or say `rowSecurity: true` in the source to do without those rows.';
const LOCKED = '55P03';
const LOCKED_HINT =
  'Somebody else holds a lock on a table of the query, such as a migration: pg_locks and pg_stat_activity say who. ' +
  '`lockTimeoutSeconds` of the source says how long to wait.';
