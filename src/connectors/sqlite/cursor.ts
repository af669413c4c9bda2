import { ANY_TYPE, type CursorSession, type CursorSource, type Top } from '../../cursors/cursor.ts';
import type { CursorPlace } from '../../cursors/place.ts';
import { noColumn, noValue } from '../../cursors/refusals.ts';
import type { Lag } from '../../cursors/settings.ts';
import { conditionOf, type Dialect, nullCondition, orderOf, type Stretch } from '../../cursors/stretch.ts';
import { type CursorRows, valuesInJson } from '../../cursors/ties.ts';
import { WaybillError } from '../../model/errors.ts';
import type { ReadRange } from '../connector.ts';
import { type Handle, openDatabase, quoteName } from './database.ts';
import { bind, invalid, prepare, queryOf, readChunks, readError, type SqliteSourceOptions } from './reading.ts';

const ROW = 'waybill_row';

/** Reads what lies behind a position, in one transaction. Texts are compared by their bytes, whatever the collation. */
export function sqliteCursor(options: SqliteSourceOptions, columns: readonly string[]): CursorSource {
  return {
    columns,
    sourceName: options.table ?? 'query',
    open: async (range, signal) => {
      const database = openDatabase(options.folder, options.file, { readonly: true });
      try {
        database.exec('begin');
        return new SqliteCursorSession(database, options, columns, range, signal);
      } catch (error) {
        database.close();
        throw readError(error, options);
      }
    },
  };
}

/** In SQLite each value has a type of its own: what counts is whether it is compared as a number or as a text. */
type Kind = 'number' | 'text' | typeof ANY_TYPE;

class SqliteCursorSession implements CursorSession {
  readonly types: readonly Kind[];
  readonly settled: boolean;
  readonly #database: Handle;
  readonly #options: SqliteSourceOptions;
  readonly #columns: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #query: string;
  readonly #notNull: ReadonlySet<string>;
  readonly #signal: AbortSignal;

  constructor(
    database: Handle,
    options: SqliteSourceOptions,
    columns: readonly string[],
    range: ReadRange,
    signal: AbortSignal,
  ) {
    this.#database = database;
    this.#options = options;
    this.#columns = columns;
    this.#signal = signal;
    this.#values = bind(range.parameters);
    const names = prepare(database, options, range.parameters)
      .columns()
      .map(({ name }) => name);
    const missing = columns.find((column) => !names.includes(column));
    if (missing !== undefined) throw noColumn(missing, names);
    this.#query = queryOf(database, options).replace(/[;\s]*$/, '');
    this.#notNull = notNullColumns(database, options.table);
    this.types = columns.map((_, place) => this.#kindOf(place));
    const { lag } = options;
    this.settled = lag !== undefined && ('ms' in lag ? lag.ms : lag.units) > 0;
  }

  async top(from: CursorPlace | undefined): Promise<Top> {
    if (from !== undefined) for (const [at, value] of from.values.entries()) this.#bound(value, at);
    const newest = this.#newest({});
    const { lag } = this.#options;
    if (lag === undefined || newest === undefined) return newest === undefined ? {} : { newest };
    const bound = { value: this.#behind(newest, lag), included: true };
    const settled = this.#newest({ upTo: bound });
    return { bound, ...(settled === undefined ? {} : { newest: settled }) };
  }

  async *rows(stretch: Stretch): AsyncGenerator<CursorRows> {
    const { where, order, values } = this.#condition(stretch);
    const text = `select * from ${this.#from()} where ${where} order by ${order}`;
    try {
      const statement = this.#database.prepare<[Record<string, unknown>], readonly unknown[]>(text).raw(true);
      for await (const chunk of readChunks(statement, values, this.#signal)) {
        yield { chunk, valuesAt: valuesInJson(chunk, this.#columns) };
      }
    } catch (error) {
      throw readError(error, this.#options, true);
    }
  }

  async count(stretch: Stretch | 'nulls', max: number): Promise<number> {
    const nulls = nullCondition(this.#dialect({}));
    if (stretch === 'nulls' && nulls === undefined) return 0;
    const { where, values } = this.#condition(stretch === 'nulls' ? {} : stretch);
    const asked = stretch === 'nulls' ? nulls : where;
    const text = `select count(*) from (select 1 from ${this.#from()} where ${asked} limit ${max})`;
    return Number(this.#one(text, values)?.[0] ?? 0n);
  }

  async end(): Promise<void> {
    this.#database.close();
  }

  #newest(stretch: Stretch): string | undefined {
    const { where, values } = this.#condition(stretch);
    const column = this.#column(0);
    const found = this.#one(
      `select ${column} from ${this.#from()} where ${where} order by ${column} desc limit 1`,
      values,
    );
    return found === undefined ? undefined : String(found[0]);
  }

  /** Of its first and its last value: with one type in each no single order is one of times or of numbers. */
  #kindOf(place: number): Kind {
    const column = this.#column(place);
    const asked = (order: string) =>
      `select typeof(${column}) from ${this.#from()} where ${column} is not null order by ${column} ${order} limit 1`;
    const kinds = ['asc', 'desc'].map((order) => kindOf(this.#one(asked(order), this.#values)?.[0]));
    const name = JSON.stringify(this.#columns[place]);
    if (kinds.includes('blob')) throw invalid(`the column ${name} holds blobs, which are no cursor`);
    if (kinds[0] !== kinds[1]) throw invalid(`the column ${name} holds numbers and texts, which are no one cursor`);
    return kinds[0] as Kind;
  }

  /** The value that lies so far behind: in time for texts that are times, else in the units of the column. */
  #behind(newest: string, lag: Lag): string {
    const name = this.#columns[0]!;
    if ('units' in lag) {
      if (this.types[0] !== 'number') throw invalid(`\`lag\` is a number, and ${name} is a text`);
      return String(
        this.#one('select :newest - :units', { newest: this.#bound(newest, 0), units: plain(lag.units) })![0],
      );
    }
    const shape = TIME.exec(newest);
    if (this.types[0] !== 'text' || shape === null) {
      throw new WaybillError('SOURCE_INVALID', `\`lag\` is a duration, and ${name} is no time as ISO 8601 writes it`, {
        hint: 'It can stay behind by time where values look like 2026-11-19 05:00:00, in UTC; else give a number.',
      });
    }
    const format = shape[1] === undefined ? '%Y-%m-%d' : `%Y-%m-%d${shape[1]}%H:%M:%S`;
    const ago = `-${(lag.ms / 1000).toFixed(3)} seconds`;
    return String(this.#one("select strftime(:format, 'now', :ago)", { format, ago })![0]);
  }

  #from(): string {
    return `(\n${this.#query}\n) as ${ROW}`;
  }

  #column(place: number): string {
    return `${ROW}.${quoteName(this.#columns[place]!)} collate binary`;
  }

  #condition(stretch: Stretch): { where: string; order: string; values: Record<string, unknown> } {
    const values: Record<string, unknown> = { ...this.#values };
    const dialect = this.#dialect(values);
    return { where: conditionOf(stretch, dialect), order: orderOf(dialect), values };
  }

  #dialect(values: Record<string, unknown>): Dialect {
    let bound = 0;
    return {
      column: (place) => this.#column(place),
      bind: (value, place) => {
        bound += 1;
        values[`waybill_${bound}`] = this.#bound(value, place);
        return `:waybill_${bound}`;
      },
      nullable: this.#columns.map(() => true),
      counted: this.#columns.map((column) => !this.#notNull.has(column)),
      // A comparison of rows with a collation finds no way through an index.
      rowValues: false,
    };
  }

  #bound(value: string, place: number): bigint | number | string {
    if (this.types[place] !== 'number') return value;
    if (/^-?\d{1,19}$/.test(value)) return BigInt(value);
    const number = value.trim() === '' ? Number.NaN : Number(value);
    if (!Number.isNaN(number)) return number;
    throw noValue(this.#columns[place], 'number');
  }

  #one(text: string, values: Readonly<Record<string, unknown>>): readonly unknown[] | undefined {
    try {
      const statement = this.#database.prepare<[Record<string, unknown>], readonly unknown[]>(text).raw(true);
      return statement.get(values);
    } catch (error) {
      throw readError(error, this.#options, true);
    }
  }
}

const TIME = /^\d{4}-\d\d-\d\d(?:([ T])\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\+00:?00)?)?$/;

/** Columns of a table that are never null; an INTEGER PRIMARY KEY is the number of the row. */
function notNullColumns(database: Handle, table: string | undefined): ReadonlySet<string> {
  const asked = `select name from pragma_table_info(?) as t where "notnull" = 1
    or (pk = 1 and upper(type) = 'INTEGER' and not exists (select 1 from pragma_table_info(?) where pk > 1))`;
  const name = table ?? '';
  return new Set(database.prepare<[string, string], string>(asked).pluck().all(name, name));
}

const plain = (units: number): bigint | number => (Number.isInteger(units) ? BigInt(units) : units);

function kindOf(type: unknown): Kind | 'blob' {
  if (type === undefined) return ANY_TYPE;
  if (type === 'blob') return 'blob';
  return type === 'text' ? 'text' : 'number';
}
