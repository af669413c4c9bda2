import { Buffer } from 'node:buffer';
import type * as Pg from 'pg';
import { columnTypeOfOid, sqlType } from '../../formats/pgcopy/oids.ts';
import { type Columns, showColumnType } from '../../model/columns.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Load } from '../../model/load.ts';
import type { Carrier, SchemaAction, SinkColumn, SinkColumns } from '../../model/schema.ts';
import type { SchemaHow, SinkSchema } from '../connector.ts';
import { quoteName } from './connection.ts';
import { type LoadPlaceOptions, placeOfLoad } from './load-place.ts';
import { type Place, readShape, readTarget, type Shape, type Target } from './shape.ts';
import { DDL_LOCK, quoteTable, readTable } from './table.ts';
import type { Transactions } from './transactions.ts';

/** What the sink was set up with; `create` grows by what it is told later. */
export type LiveOptions = LoadPlaceOptions & { create?: Readonly<Record<string, string>> };

interface SchemaParts {
  readonly options: LiveOptions;
  readonly transactions: Transactions;
  /** What is known of tables is not so any more. */
  forget(): void;
}

interface ColumnRow {
  readonly name: string;
  readonly type: number;
  readonly modifier: number;
  readonly plain: boolean;
  readonly required: boolean;
}

const COLUMNS = `select a.attname as name, a.atttypid::int as type, a.atttypmod as modifier, t.typtype <> 'd' as plain,
    a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = '' as required
  from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
  where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped order by a.attnum`;

/** The columns of the sink's table, and how they are changed. Every change is one transaction. */
export class PostgresSchema implements SinkSchema {
  readonly #parts: SchemaParts;

  constructor(parts: SchemaParts) {
    this.#parts = parts;
  }

  carrier(type: SinkColumnType): Carrier {
    return { type, as: sqlType(type) };
  }

  async read(signal: AbortSignal): Promise<SinkColumns | undefined> {
    const { transactions, options } = this.#parts;
    const found = await transactions.inSession<{ readonly columns: SinkColumns }>({ signal }, async ({ client }) => ({
      columns: await columnsOf(client, quoteTable(options.table)),
    }));
    const columns = found?.columns ?? [];
    return columns.length === 0 ? undefined : columns;
  }

  async change(actions: readonly SchemaAction[], how: SchemaHow): Promise<void> {
    if (how.signal.aborted) throw new NotAppliedError('the change was given up before it began');
    for (const action of actions) {
      if (action.kind === 'create') await this.#create(action.columns, how);
    }
    const others = actions.filter((action) => action.kind !== 'create');
    if (others.length > 0) await this.#alter(others, how);
    this.#parts.forget();
  }

  /** What the settings say of a column counts more than what its source calls it. */
  async #create(columns: Columns, how: SchemaHow): Promise<void> {
    const { options, transactions } = this.#parts;
    expectNames(columns, options);
    const types = columns.map(({ name, type, nullable }) => [name, `${sqlType(type)}${nullable ? '' : ' not null'}`]);
    options.create = { ...(Object.fromEntries(types) as Record<string, string>), ...options.create };
    if (!how.later) {
      await transactions.inSession({ signal: how.signal }, async ({ client }) => await readTable(client, options));
      return;
    }
    // A name that leads to a view in the end must not be taken by a table before; what is collected already follows.
    const added = columns.map((column) => ({ kind: 'add', column }) as const);
    await this.#inTransaction(how, (client) => alterPlace(client, how.load, added, options));
  }

  async #alter(actions: readonly Alteration[], how: SchemaHow): Promise<void> {
    const { options } = this.#parts;
    await this.#inTransaction(how, async (client) => {
      await alterTarget(client, await readTarget(client, options.table), actions, options);
      await alterPlace(client, how.load, actions, options);
    });
  }

  async #inTransaction({ signal }: SchemaHow, work: (client: Pg.Client) => Promise<void>): Promise<void> {
    const { options, transactions } = this.#parts;
    // To change a type the server may have to write every row anew.
    const ask = { signal, timeoutMs: options.stepTimeoutMs };
    await transactions.inSession<true>(ask, async (session) => {
      const { client } = session;
      await session.begin();
      await client.query(`select set_config('statement_timeout', $1, true)`, [String(options.stepTimeoutMs)]);
      await client.query(DDL_LOCK);
      await work(client);
      await session.commit();
      return true;
    });
  }
}

type SinkColumnType = NonNullable<SinkColumn['type']>;
type Alteration = Exclude<SchemaAction, { readonly kind: 'create' }>;

export async function columnsOf(client: Pg.Client, quoted: string): Promise<SinkColumns> {
  const { rows } = await client.query<ColumnRow>(COLUMNS, [quoted]);
  return rows.map(({ name, type: oid, modifier, plain, required }) => {
    const type = plain ? columnTypeOfOid(oid, modifier) : undefined;
    return { name, required, ...(type === undefined ? {} : { type }) };
  });
}

/** Where the name leads to tables of loads, the next load brings the change: it is made as `create` says. */
async function alterTarget(
  client: Pg.Client,
  target: Target,
  actions: readonly Alteration[],
  options: LiveOptions,
): Promise<void> {
  const { shape } = target;
  if (shape === undefined || shape.kind !== 'table') {
    const there = (shape?.columns ?? []).map(({ name, type }) => [name, type]);
    const changed = actions.map((action) =>
      action.kind === 'add' ? [action.column.name, sqlType(action.column.type)] : [action.column, sqlType(action.to)],
    );
    options.create = { ...options.create, ...Object.fromEntries([...there, ...changed]) };
    return;
  }
  await alterTable(client, shape, actions);
}

/** A load that is being collected goes on in a place with the new columns. */
async function alterPlace(
  client: Pg.Client,
  load: Load | undefined,
  actions: readonly Alteration[],
  options: LiveOptions,
): Promise<void> {
  if (load === undefined) return;
  const shape = await readShape(client, placeOfLoad(options, load.id).quoted);
  if (shape !== undefined) await alterTable(client, shape, actions);
}

/** Only what is not so yet: to set a type once more would write every row anew. */
async function alterTable(client: Pg.Client, shape: Shape & Place, actions: readonly Alteration[]): Promise<void> {
  const now = await columnsOf(client, shape.quoted);
  const parts = actions.flatMap((action) => {
    if (action.kind === 'add') {
      const { name, type } = action.column;
      return now.some((one) => one.name === name) ? [] : [`add column ${quoteName(name)} ${sqlType(type)}`];
    }
    const type = now.find((one) => one.name === action.column)?.type;
    if (type === undefined || showColumnType(type) === showColumnType(action.to)) return [];
    return [`alter column ${quoteName(action.column)} type ${sqlType(action.to)}`];
  });
  if (parts.length > 0) await client.query(`alter table ${shape.quoted} ${parts.join(', ')}`);
}

const NAME_BYTES = 63;

function expectNames(columns: Columns, { key = [] }: LiveOptions): void {
  const long = columns.find(({ name }) => Buffer.byteLength(name) > NAME_BYTES);
  if (long !== undefined) {
    throw cannotMake(`the name of the column ${JSON.stringify(long.name)} has more than the 63 bytes of PostgreSQL`);
  }
  const missing = key.filter((name) => !columns.some((column) => column.name === name));
  if (missing.length > 0)
    throw cannotMake(`the columns of \`key\` (${missing.join(', ')}) are not among those to be made`);
}

const cannotMake = (why: string): RefusedError =>
  new RefusedError(`the table cannot be made: ${why}`, {
    reason: 'table-not-made',
    about: 'request',
    hint: 'Name the columns in the query of the source, or make the table by hand.',
  });
