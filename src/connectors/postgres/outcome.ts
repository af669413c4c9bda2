import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { isSettled, reasonOf, sqlState } from './connection.ts';

/** The fields of a server's error. `message`, `detail` and `where` may hold content of records, and are translated. */
interface ServerError {
  readonly message: string;
  readonly severity?: string;
  readonly column?: string;
  readonly constraint?: string;
  readonly table?: string;
  readonly dataType?: string;
  readonly where?: string;
  /** The function of the server that gave it. */
  readonly routine?: string;
}

/** What was being written when an error came: for finding the record and the column again. */
export interface Writing {
  /** The name of the table as the server has it in its messages. */
  readonly table: string;
  readonly columns: readonly string[];
  /** Places in the batch, of row after row of the COPY. Absent: every row is a record, in order. */
  readonly records?: readonly number[];
}

/** How far a piece of work has come, for whoever has to make sense of its error. */
export interface Course {
  writing?: Writing;
  /** The server was handed rows that nobody here has looked into, so nobody can say which of them it refuses. */
  unread?: true;
  /** Rows are looked into before they are handed on. */
  looks?: true;
}

/** By class or whole state: what it means before the commit was sent, when it is certain that nothing was applied. */
const AWAY = /^(?:08|53|57P0|58|25006|F0)/;
const FOR_NOW = /^(?:40|55P03|55006|57014|25P03|25P04)/;
/** The records are to blame: data, constraints, checks of views, what a trigger raises, and limits of size. */
const CONTENT = /^(?:21|22|23|44|54|P0|38|09)/;
/** Too many columns or arguments: those of tables and functions, and no record has made them so many. */
const LIMITS_OF_TABLES = /^(?:54011|54023)$/;

/** A policy refuses a row with the state of somebody who has no right to the table at all. */
const isOfContent = ({ routine }: ServerError, state: string): boolean =>
  routine === CHECKS_OF_POLICIES || (CONTENT.test(state) && !LIMITS_OF_TABLES.test(state));
const CHECKS_OF_POLICIES = 'ExecWithCheckOptions';
const SEEKS_PARTITION = 'ExecFindPartition';

/** In the words of Waybill, since the server's own quote the value. */
const WORDS: Readonly<Record<string, string>> = {
  '22001': 'the text is too long',
  '22003': 'the number is out of range',
  '22007': 'the value is no date or time',
  '22008': 'the date or time is out of range',
  '22021': 'the text holds what the encoding of the database does not have',
  '22P02': 'the value is not spelled as its type wants it',
  '22P03': 'the bytes are not those of the type',
  '22P04': 'the row cannot be read',
  '22P05': 'the text holds a character that the server cannot store',
  '22023': 'the value is not allowed',
  '22030': 'a JSON object has the same member twice',
  '23502': 'the column must not be null',
  '23503': 'the row refers to one that is not there, or others refer to it',
  '23505': 'a row with the same unique value is there already',
  '23514': 'a check refuses the row',
  '23P01': 'a row that excludes this one is there already',
  '42501': 'a policy of the table refuses the row',
  '42601': 'the value is not spelled as its type wants it',
  '42704': 'the value names what is not there',
  '42883': 'the value names what is not there',
  '42P01': 'the value names what is not there',
  '44000': 'the view would not show the row',
  '54000': 'the row is too large',
};

const NO_PARTITION = 'the table has no partition for the row';

/** Before the commit was sent every error proves that nothing was applied. */
export function beforeCommit(error: unknown, writing?: Writing): WaybillError {
  if (error instanceof NotAppliedError || error instanceof RefusedError) return error;
  if (error instanceof WaybillError) {
    // A secret, a driver or a name: no record is to blame, and the next one fares no better.
    return new RefusedError(error.message, { reason: error.code, about: 'request', hint: error.hint, cause: error });
  }
  const state = sqlState(error);
  if ((error as { code?: unknown } | null)?.code === 'ERR_STRING_TOO_LONG') {
    return new RefusedError('a value is too long to be written as text', { reason: 'value-too-long' });
  }
  if (state === undefined) {
    if (isSettled(error)) return connectionRefused(error);
    const what = 'the connection to PostgreSQL could not be made, or broke off before the commit';
    return new NotAppliedError(`${what}: ${reasonOf(error)}`, { sinkAway: true });
  }
  if (isOfContent(error as ServerError, state) || isOfValue(error as ServerError, state, writing)) {
    return contentRefused(error as ServerError, state, writing);
  }
  const ids = { sqlState: state };
  if (AWAY.test(state) || FOR_NOW.test(state)) {
    return new NotAppliedError(`nothing was written (${state}): ${(error as Error).message}`, {
      ids,
      sinkAway: AWAY.test(state),
      hint: hintOf(state),
    });
  }
  // An error of the server itself (XX) may be another one the next time.
  if (state.startsWith('XX')) return new NotAppliedError(`the server failed (${state})`, { ids });
  return new RefusedError(`PostgreSQL refuses to write (${state}): ${(error as Error).message}`, {
    reason: state,
    about: 'request',
    ids,
    hint: hintOf(state),
  });
}

const connectionRefused = (error: unknown): RefusedError =>
  new RefusedError(`the connection to PostgreSQL cannot be made as it is set: ${reasonOf(error)}`, {
    reason: 'connection-unfit',
    about: 'request',
    hint: 'Correct the password, `tls` or `caFile` of the connection.',
  });

/**
 * Once the commit was sent, only an error that the server gives for a transaction that it has ended proves anything.
 * A connection that broke off, or was ended from there, may have been committed before.
 */
export function atCommit(error: unknown): WaybillError {
  const state = sqlState(error);
  const refused = state !== undefined && (CONTENT.test(state) || /^40(?:001|002|P01)$/.test(state));
  if (refused && (error as ServerError).severity !== 'FATAL') return beforeCommit(error);
  return new WaybillError('SINK_FAILED', 'the answer to the commit was lost', {
    cause: new WaybillError('SINK_FAILED', describeError(error)),
    ids: state === undefined ? {} : { sqlState: state },
  });
}

const HINTS: Readonly<Record<string, string>> = {
  '42P10': 'Make a unique index on exactly the columns of `key`.',
  '42P01': 'Make the table, correct `table`, or have it made: `schema: evolve`.',
  '42501': 'Grant it; the guide to the PostgreSQL sink lists what the sink needs.',
  '3F000': 'Create the schema, or name one in `markerSchema` that this user may write to.',
  '25006': 'The server takes no writes: a standby, or one that is set to read only.',
  '54011':
    'A table has at most 1,600 columns, and what is written by key or in loads is collected in one that has one or ' +
    'two more than the target. Write it with `ledgered-append`, or send fewer columns.',
  '55P03':
    'Somebody else holds a lock on the table: pg_locks and pg_stat_activity say who. `lockTimeoutSeconds` says how ' +
    'long to wait.',
  '53300': 'The server, the database or the role has no connection left: end others, or lower `connections`.',
  '53100': 'The disk of the server is full: make room there.',
  '28P01': 'Correct the user or the password of the connection.',
};
const hintOf = (state: string): string =>
  HINTS[state] ?? 'Correct the connection or the table; what was not sent stays sealed.';

/**
 * Some types have their values refused as if they were SQL: tsquery, ltree and hstore, or regclass for a name. Where
 * the server names a column behind the line, it was reading a value; what a trigger does comes behind the line alone.
 */
const isOfValue = ({ where }: ServerError, state: string, writing: Writing | undefined): boolean =>
  state.startsWith('42') && /^\D*\d+, /.test(behindTable(where, writing) ?? '');

function contentRefused(error: ServerError, state: string, writing: Writing | undefined): RefusedError {
  const line = lineOf(error, writing);
  const place = line === undefined ? undefined : writing?.records === undefined ? line - 1 : writing.records[line - 1];
  const column = error.column ?? columnOf(error, writing);
  const where = [
    place === undefined ? '' : `record ${place + 1} of the batch`,
    column === undefined ? '' : `column ${JSON.stringify(column)}`,
    error.constraint === undefined ? '' : `constraint ${JSON.stringify(error.constraint)}`,
  ].filter((part) => part !== '');
  const said =
    (error.routine === SEEKS_PARTITION ? NO_PARTITION : WORDS[state]) ??
    raisedBy(error, state) ??
    'the server refuses it';
  return new RefusedError(`${where.length === 0 ? '' : `${where.join(', ')}: `}${said} (${state})`, {
    reason: state,
    ids: {
      sqlState: state,
      ...(place === undefined ? {} : { record: place + 1 }),
      ...(column === undefined ? {} : { column }),
      ...(error.constraint === undefined ? {} : { constraint: error.constraint }),
    },
  });
}

/** What a function says may hold content; its name and the line in it do not, and lead to the reason. */
function raisedBy({ where }: ServerError, state: string): string | undefined {
  const inner = where?.split('\n')[0] ?? '';
  if (!state.startsWith('P0') || !inner.includes('PL/pgSQL')) return undefined;
  const found = /((?:"[^"]*"|[^\s"(])+\([^()]*\))\D*(\d+)/.exec(inner);
  return found === null ? undefined : `the function ${found[1]} raises an error in its line ${found[2]}`;
}

/** `COPY items, line 3, column price: …` in any language: the first number behind the name of the table. */
function lineOf({ where }: ServerError, writing: Writing | undefined): number | undefined {
  const rest = behindTable(where, writing);
  const digits = rest === undefined ? undefined : /\d+/.exec(rest)?.[0];
  return digits === undefined ? undefined : Number(digits);
}

function columnOf({ where }: ServerError, writing: Writing | undefined): string | undefined {
  const rest = behindTable(where, writing)?.replace(/^\D*\d+/, '');
  if (rest === undefined) return undefined;
  // The value that is quoted behind the name may hold the name of another column.
  const place = (name: string): number => {
    const at = rest.search(new RegExp(`[, ]${name.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')}(?:[:,]|$)`, 'm'));
    return at === -1 ? Number.POSITIVE_INFINITY : at;
  };
  const named = (writing?.columns ?? []).filter((name) => Number.isFinite(place(name)));
  return named.sort((a, b) => place(a) - place(b) || b.length - a.length)[0];
}

/** What a trigger did stands in lines before that of the COPY; what was quoted of the value, behind its name. */
function behindTable(where: string | undefined, writing: Writing | undefined): string | undefined {
  if (where === undefined || writing === undefined) return undefined;
  const begin = `COPY ${writing.table}, `;
  const line = where.split('\n').find((text) => text.startsWith(begin));
  return line?.slice(begin.length);
}
