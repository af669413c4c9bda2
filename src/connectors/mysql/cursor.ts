import type * as Mysql from 'mysql2';
import type { CursorSession, CursorSource, Top } from '../../cursors/cursor.ts';
import type { CursorPlace } from '../../cursors/place.ts';
import { noColumn, noCursor, noValue } from '../../cursors/refusals.ts';
import type { Lag } from '../../cursors/settings.ts';
import { conditionOf, type Dialect, nullCondition, orderOf, type Stretch } from '../../cursors/stretch.ts';
import { type CursorRows, valuesInJson } from '../../cursors/ties.ts';
import { WaybillError } from '../../model/errors.ts';
import { type MysqlConnection, quoteName } from './connection.ts';
import type { BoundQuery } from './parameters.ts';
import { boundQuery, fieldsOf, type MysqlSourceOptions, Reading, ROW, tableOf } from './reading.ts';
import { TYPE } from './values.ts';

/** Reads what lies behind a position, in one transaction that sees one state of the database. */
export function mysqlCursor(
  connection: () => MysqlConnection,
  options: MysqlSourceOptions,
  columns: readonly string[],
): CursorSource {
  return {
    columns,
    sourceName: options.table?.join('.') ?? 'query',
    open: async (range, signal) => {
      const query = boundQuery(options, range);
      const reading = await Reading.begin(connection, signal);
      try {
        const fields = await fieldsOf(reading, query);
        const cursor = columns.map((column) => typeOf(column, fields));
        expectLag(options.lag, columns[0]!, cursor[0]!);
        return new MysqlCursorSession({ reading, options, columns, query, fields, cursor });
      } catch (error) {
        await reading.end();
        throw error;
      }
    },
  };
}

/** A type whose values have an order, and texts that the server reads back without loss. */
interface CursorType {
  /** What a position calls it. */
  readonly word: 'integer' | 'decimal' | 'date' | 'datetime' | 'timestamp';
  /** What a value is bound as. */
  readonly cast: string;
  /** What a text has to be to be such a value: MySQL makes a value of nearly any text. */
  readonly spelled: RegExp;
  readonly nullable: boolean;
}

const UNSIGNED = 32;
const NOT_NULL = 1;
const INTEGERS: ReadonlySet<number> = new Set([TYPE.tiny, TYPE.short, TYPE.long, TYPE.longlong, TYPE.int24]);
const DATE = /^\d{4}-\d\d-\d\d$/;
const MOMENT = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)?)?$/;
const POSSIBLE = 'an integer, a decimal, a date, a datetime or a timestamp';

function typeOf(column: string, fields: readonly Mysql.FieldPacket[]): CursorType {
  const field = fields.find(({ name }) => name === column);
  if (field === undefined)
    throw noColumn(
      column,
      fields.map(({ name }) => name),
    );
  const flags = Number(field.flags);
  const type = field.columnType ?? -1;
  const nullable = (flags & NOT_NULL) === 0;
  if (INTEGERS.has(type)) {
    const cast = `cast(? as ${(flags & UNSIGNED) === 0 ? 'signed' : 'unsigned'})`;
    return { word: 'integer', cast, spelled: /^-?\d{1,20}$/, nullable };
  }
  if (type === TYPE.newDecimal || type === TYPE.decimal) {
    return { word: 'decimal', cast: `cast(? as decimal(65, ${field.decimals ?? 0}))`, spelled: DECIMAL, nullable };
  }
  if (type === TYPE.date) return { word: 'date', cast: 'cast(? as date)', spelled: DATE, nullable };
  const moment = { cast: 'cast(? as datetime(6))', spelled: MOMENT, nullable };
  if (type === TYPE.datetime) return { word: 'datetime', ...moment };
  if (type === TYPE.timestamp) return { word: 'timestamp', ...moment };
  throw noCursor(column, POSSIBLE);
}

const DECIMAL = /^-?\d{1,65}(?:\.\d{1,38})?(?:e[+-]\d{1,2})?$/;

const isTime = ({ word }: CursorType): boolean => word !== 'integer' && word !== 'decimal';

/** Throws SOURCE_INVALID for a lag in units that the first column does not have. */
function expectLag(lag: Lag | undefined, column: string, type: CursorType): void {
  if (lag === undefined || 'ms' in lag === isTime(type)) return;
  const [asked, possible] = 'ms' in lag ? ['a duration', 'a number'] : ['a number', 'a duration'];
  throw new WaybillError(
    'SOURCE_INVALID',
    `\`lag\` is ${asked}, and for ${column} (${type.word}) it can be ${possible}`,
  );
}

interface Opened {
  readonly reading: Reading;
  readonly options: MysqlSourceOptions;
  readonly columns: readonly string[];
  readonly query: BoundQuery;
  readonly fields: readonly Mysql.FieldPacket[];
  readonly cursor: readonly CursorType[];
}

class MysqlCursorSession implements CursorSession {
  readonly types: readonly string[];
  readonly settled: boolean;
  readonly #opened: Opened;

  constructor(opened: Opened) {
    this.#opened = opened;
    this.types = opened.cursor.map(({ word }) => word);
    const { lag } = opened.options;
    this.settled = lag !== undefined && ('ms' in lag ? lag.ms : lag.units) > 0;
  }

  async top(from: CursorPlace | undefined): Promise<Top> {
    for (const [at, value] of (from?.values ?? []).entries()) {
      const { spelled, word } = this.#opened.cursor[at]!;
      if (!spelled.test(value)) throw noValue(this.#opened.columns[at], word);
    }
    if (isTime(this.#opened.cursor[0]!)) return await this.#byClock();
    const newest = await this.#newest({});
    const { lag } = this.#opened.options;
    if (newest === undefined) return {};
    if (lag === undefined || !('units' in lag)) return { newest };
    const value = await this.#text('cast(? as decimal(65, 20)) - cast(? as decimal(65, 20))', [
      newest,
      String(lag.units),
    ]);
    const integer = this.#opened.cursor[0]!.word === 'integer';
    const bound = { value: integer ? floorOf(value) : value, included: true };
    const settled = await this.#newest({ upTo: bound });
    return { bound, ...(settled === undefined ? {} : { newest: settled }) };
  }

  async *rows(stretch: Stretch): AsyncGenerator<CursorRows> {
    const { reading, fields, columns } = this.#opened;
    const query = this.#bound(
      (from, where, order) => `select * from ${from} where ${where} order by ${order}`,
      stretch,
    );
    for await (const chunk of reading.chunks(query, fields)) yield { chunk, valuesAt: valuesInJson(chunk, columns) };
  }

  async count(stretch: Stretch | 'nulls', max: number): Promise<number> {
    const nulls = nullCondition(this.#dialect([]));
    if (stretch === 'nulls' && nulls === undefined) return 0;
    const query = this.#bound(
      (from, where) => {
        const asked = stretch === 'nulls' ? nulls : where;
        return `select count(*) from (select 1 from ${from} where ${asked} limit ${max}) as counted`;
      },
      stretch === 'nulls' ? {} : stretch,
    );
    return Number((await this.#opened.reading.ask(query)).rows[0]![0]);
  }

  async end(): Promise<void> {
    await this.#opened.reading.end();
  }

  /** A time is read up to the clock of the server, or to where it stays behind it. */
  async #byClock(): Promise<Top> {
    const { lag, timeZone } = this.#opened.options;
    const { word } = this.#opened.cursor[0]!;
    const zone = word === 'timestamp' ? '+00:00' : timeZone;
    const ago = `date_sub(convert_tz(utc_timestamp(6), '+00:00', ?), interval cast(? as signed) microsecond)`;
    const shown = word === 'date' ? `date(${ago})` : ago;
    const ms = lag !== undefined && 'ms' in lag ? lag.ms : 0;
    const [now, value] = [await this.#text(shown, [zone, '0']), await this.#text(shown, [zone, String(ms * 1000)])];
    const bound = { value, included: true };
    const newest = await this.#newest({ upTo: bound });
    return { bound, now, ...(newest === undefined ? {} : { newest }) };
  }

  async #newest(stretch: Stretch): Promise<string | undefined> {
    const column = this.#column(0);
    const query = this.#bound(
      (from, where) => `select cast(${column} as char) from ${from} where ${where} order by ${column} desc limit 1`,
      { ...stretch },
    );
    const found = (await this.#opened.reading.ask(query)).rows[0]?.[0];
    return found === undefined || found === null ? undefined : String(found);
  }

  async #text(expression: string, values: readonly string[]): Promise<string> {
    const { rows } = await this.#opened.reading.ask({ text: `select cast(${expression} as char)`, values });
    return String(rows[0]![0]);
  }

  #column(place: number): string {
    return `${ROW}.${quoteName(this.#opened.columns[place]!)}`;
  }

  #dialect(values: string[]): Dialect {
    const { cursor, options } = this.#opened;
    return {
      column: (place) => this.#column(place),
      bind: (value, place) => {
        values.push(isTime(cursor[place]!) ? value.replace(/(?:Z|\+00:00)$/, '') : value);
        return cursor[place]!.cast;
      },
      // The columns of a query may be null where those of its tables are not: an outer join makes them so.
      nullable: cursor.map(({ nullable }) => nullable || options.query !== undefined),
      counted: cursor.map(({ nullable }) => nullable),
      rowValues: false,
    };
  }

  #bound(text: (from: string, where: string, order: string) => string, stretch: Stretch): BoundQuery {
    const { query } = this.#opened;
    const values = [...query.values];
    const dialect = this.#dialect(values);
    return { text: text(tableOf(query), conditionOf(stretch, dialect), orderOf(dialect)), values };
  }
}

/** The whole number below a decimal number that the server has written. */
function floorOf(decimal: string): string {
  const [whole = '0', fraction = ''] = decimal.split('.');
  const cut = BigInt(whole === '-0' ? '0' : whole);
  return String(decimal.startsWith('-') && /[1-9]/.test(fraction) ? cut - 1n : cut);
}
