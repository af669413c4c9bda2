import type * as Pg from 'pg';
import type { CursorSession, CursorSource, Top } from '../../cursors/cursor.ts';
import type { CursorPlace } from '../../cursors/place.ts';
import { noValue } from '../../cursors/refusals.ts';
import { conditionOf, type Dialect, nullCondition, orderOf, type Stretch } from '../../cursors/stretch.ts';
import { type CursorRows, valuesInJson } from '../../cursors/ties.ts';
import { copyFields, copyPlaces } from '../../formats/pgcopy/fields.ts';
import type { Chunk, Format } from '../../model/chunk.ts';
import type { Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import type { ReadRange } from '../connector.ts';
import { breakOf, type PostgresConnection, quoteName, sqlState } from './connection.ts';
import { type CursorType, cursorTypes, expectLag, notNullColumns } from './cursor-types.ts';
import { describe } from './describe.ts';
import { type BoundQuery, placeOf } from './parameters.ts';
import {
  type BindBy,
  begin,
  bindBy,
  boundQuery,
  columnsOf,
  fieldsOf,
  type PostgresSourceOptions,
  type Reading,
  readError,
  setValues,
} from './reading.ts';
import { rowsOf } from './rows.ts';
import { type Activity, boundBehind, lookAtActivity } from './settled.ts';

/** What a query is called in what is put around it: its columns are named with it, so that nothing else is meant. */
const ROW = 'waybill_row';

/** Reads what lies behind a position, in one transaction that sees one state of the database. */
export function postgresCursor(
  connection: () => PostgresConnection,
  options: PostgresSourceOptions,
  columns: readonly string[],
): CursorSource {
  return {
    columns,
    sourceName: options.table?.join('.') ?? 'query',
    open: async (range, signal) => {
      const query = boundQuery(options, range, bindBy(options));
      let activity: Activity | undefined;
      const reading = await begin(connection, options, signal, async (client) => {
        // Before the state of the transaction is taken: what runs now and is not in it is what may come later.
        if (options.lag === 'auto') activity = await lookAtActivity(client);
      });
      try {
        return await PostgresCursorSession.open({ reading, options, columns, query, range, signal, activity });
      } catch (error) {
        const told = signal.aborted ? signal.reason : readError(breakOf(reading.client) ?? error);
        await reading.end();
        throw told;
      }
    },
  };
}

interface Opening {
  readonly reading: Reading;
  readonly options: PostgresSourceOptions;
  readonly columns: readonly string[];
  readonly query: BoundQuery;
  readonly range: ReadRange;
  readonly signal: AbortSignal;
  readonly activity: Activity | undefined;
}

interface Shape {
  readonly fields: readonly Pg.FieldDef[];
  readonly described: Columns;
  readonly cursor: readonly CursorType[];
  readonly notNull: ReadonlySet<string>;
}

class PostgresCursorSession implements CursorSession {
  readonly types: readonly string[];
  readonly settled: boolean;
  readonly #opening: Opening;
  readonly #shape: Shape;
  readonly #by: BindBy;

  static async open(opening: Opening): Promise<PostgresCursorSession> {
    const { reading, options, columns, query } = opening;
    const by = bindBy(options);
    const fields = await fieldsOf(reading.client, query, by);
    const cursor = await cursorTypes(reading.client, columns, fields, (column) => ({
      text: `select ${ROW}.${quoteName(column)} from (\n${query.text}\n) as ${ROW} limit 0`,
      values: by === 'settings' ? [] : query.values,
    }));
    expectLag(options.lag, columns[0] ?? '', cursor[0]);
    const notNull = await notNullColumns(reading.client, fields);
    const described = columnsOf(fields) ?? (await describe(reading.client, fields));
    return new PostgresCursorSession(opening, { fields, described, cursor, notNull });
  }

  private constructor(opening: Opening, shape: Shape) {
    const { lag } = opening.options;
    this.#opening = opening;
    this.#shape = shape;
    this.#by = bindBy(opening.options);
    this.types = shape.cursor.map(({ word }) => word);
    const stays = lag !== undefined && (lag === 'auto' || ('ms' in lag ? lag.ms : lag.units) > 0);
    this.settled = stays || this.types[0] === 'xid8';
  }

  async top(from: CursorPlace | undefined): Promise<Top> {
    if (from !== undefined) await this.#expectValues(from);
    const { client } = this.#opening.reading;
    const { lag } = this.#opening.options;
    const type = this.#shape.cursor[0]!;
    const bounds = await this.#asked(() => boundBehind(client, type, lag, this.#opening.activity));
    const { bound } = bounds;
    const newest = await this.#newest(bound === undefined ? {} : { upTo: bound });
    if (newest === undefined || lag === undefined || lag === 'auto' || !('units' in lag)) {
      return { ...bounds, ...(newest === undefined ? {} : { newest }) };
    }
    const behind = type.word === 'integer' ? 'floor($1::numeric - $2::numeric)' : '$1::numeric - $2::numeric';
    const [row] = await this.#asked(() => this.#texts(`select (${behind})::text`, [newest, String(lag.units)]));
    const upTo = { value: row![0]!, included: true };
    const settled = await this.#newest({ upTo });
    return { bound: upTo, ...(settled === undefined ? {} : { newest: settled }) };
  }

  async *rows(stretch: Stretch, as?: Format): AsyncGenerator<CursorRows> {
    const { reading, range, signal } = this.#opening;
    const { client } = reading;
    const query = this.#bound(
      (condition, order) => `select * from ${this.#from()} where ${condition} order by ${order}`,
      stretch,
    );
    const format = as ?? (range.takes?.includes('pgcopy') === true ? 'pgcopy' : 'ndjson');
    const { fields, described } = this.#shape;
    const columns = format === 'pgcopy' ? columnsOf(fields) : undefined;
    try {
      if (this.#by === 'settings') await setValues(client, query.values, this.#opening.query.values.length);
      const valuesIn = valuesReader(this.#opening.columns);
      const shape = { fields, columns, reuses: range.letsGo === true };
      for await (const rows of rowsOf(client, query, this.#by, shape)) {
        const chunk = rows.types === undefined ? { ...rows, described } : rows;
        yield { chunk, valuesAt: valuesIn(chunk) };
      }
    } catch (error) {
      throw signal.aborted ? signal.reason : readError(breakOf(client) ?? error);
    }
  }

  async count(stretch: Stretch | 'nulls', max: number): Promise<number> {
    if (stretch === 'nulls' && nullCondition(this.#dialect([])) === undefined) return 0;
    const query = this.#bound(
      (condition) => {
        const where = stretch === 'nulls' ? nullCondition(this.#dialect([])) : condition;
        return `select count(*)::text from (select 1 from ${this.#from()} where ${where} limit ${max}) as counted`;
      },
      stretch === 'nulls' ? {} : stretch,
    );
    const [row] = await this.#run(query);
    return Number(row![0]);
  }

  async end(): Promise<void> {
    await this.#opening.reading.end();
  }

  /** The newest value of the first column within a stretch. */
  async #newest(stretch: Stretch): Promise<string | undefined> {
    const column = this.#column(0);
    const query = this.#bound(
      (condition) => `select ${column}::text from ${this.#from()} where ${condition} order by ${column} desc limit 1`,
      stretch,
    );
    const newest = (await this.#run(query))[0]?.[0] ?? undefined;
    if (newest !== 'NaN' && newest !== 'Infinity') return newest;
    const [name] = this.#opening.columns;
    throw new WaybillError('SOURCE_INVALID', `the cursor column ${JSON.stringify(name)} holds ${newest}`, {
      hint: 'Nothing lies behind it, so a position there would end the reading for good: correct or filter the row.',
    });
  }

  async #expectValues({ values, columns }: CursorPlace): Promise<void> {
    for (const [at, value] of values.entries()) {
      try {
        await this.#opening.reading.client.query(`select $1::${this.#shape.cursor[at]!.cast}`, [value]);
      } catch (error) {
        if (sqlState(error)?.startsWith('22') !== true) throw readError(error);
        throw noValue(columns[at], this.#shape.cursor[at]!.word);
      }
    }
  }

  #from(): string {
    return `(\n${this.#opening.query.text}\n) as ${ROW}`;
  }

  #column(place: number): string {
    return `${ROW}.${quoteName(this.#opening.columns[place]!)}`;
  }

  #dialect(values: string[]): Dialect {
    const { columns, options } = this.#opening;
    const { query } = options;
    const { notNull } = this.#shape;
    return {
      column: (place) => this.#column(place),
      bind: (value, place) => `${placeOf(values.push(value), this.#by)}::${this.#shape.cursor[place]!.cast}`,
      // The columns of a query may be null where those of its tables are not: an outer join makes them so.
      nullable: columns.map((column) => query !== undefined || !notNull.has(column)),
      counted: columns.map((column) => !notNull.has(column)),
      rowValues: true,
    };
  }

  #bound(text: (condition: string, order: string) => string, stretch: Stretch): BoundQuery {
    const values = [...this.#opening.query.values];
    const dialect = this.#dialect(values);
    return { text: text(conditionOf(stretch, dialect), orderOf(dialect)), values };
  }

  async #run({ text, values }: BoundQuery): Promise<readonly (readonly (string | null)[])[]> {
    const { client } = this.#opening.reading;
    return await this.#asked(async () => {
      if (this.#by === 'settings') await setValues(client, values, this.#opening.query.values.length);
      return await this.#texts(text, this.#by === 'settings' ? [] : values);
    });
  }

  async #texts(text: string, values: readonly string[]): Promise<readonly (readonly (string | null)[])[]> {
    const { client } = this.#opening.reading;
    return (await client.query<(string | null)[]>({ text, values: [...values], rowMode: 'array' })).rows;
  }

  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    const { reading, signal } = this.#opening;
    try {
      return await ask();
    } catch (error) {
      throw signal.aborted ? signal.reason : readError(breakOf(reading.client) ?? error);
    }
  }
}

/** Reads the values of the cursor's columns out of a record, in whichever format it is. */
function valuesReader(columns: readonly string[]): (chunk: Chunk) => CursorRows['valuesAt'] {
  return (chunk) => {
    if (chunk.format === 'ndjson') return valuesInJson(chunk, columns);
    const places = copyPlaces(chunk.types ?? [], columns);
    return (place) => {
      const fields = copyFields(chunk, place, places);
      return places.map((at) => fields[at] ?? '');
    };
  };
}
