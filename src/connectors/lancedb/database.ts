import { mkdirSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type * as Lance from '@lancedb/lancedb';
import type * as Arrow from 'apache-arrow';
import type { Columns } from '../../model/columns.ts';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { columnTypeOf, isPrimaryKey, newField } from './arrow-types.ts';
import type { TableColumn } from './batch-rows.ts';
import { type Drivers, loadDrivers } from './driver.ts';

/** Rows keep their ids and the version that changed them last through a compaction: what names of versions rest on. */
const STABLE = { storageOptions: { new_table_enable_stable_row_ids: 'true' } };

export interface Place {
  /** A folder, from `folder`; or an address of an object store. */
  readonly uri: string;
  readonly folder: string;
  /** Storage options of the store, secrets among them: asked for when it is opened. */
  options(): Readonly<Record<string, string>>;
}

/** The database, opened at the first call. Tables are opened anew for each use: they are seen as they are now. */
export class LanceDatabase {
  readonly #place: Place;
  #opened: Promise<Opened> | undefined;

  constructor(place: Place) {
    this.#place = place;
  }

  async open(): Promise<Opened> {
    this.#opened ??= openPlace(this.#place);
    try {
      return await this.#opened;
    } catch (error) {
      this.#opened = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    const [opened] = await Promise.allSettled([this.#opened]);
    this.#opened = undefined;
    // One that could not be opened needs no closing.
    if (opened?.status === 'fulfilled') opened.value?.connection.close();
  }
}

async function openPlace({ uri, folder, options }: Place): Promise<Opened> {
  const drivers = await loadDrivers().catch((error: unknown) => {
    const hint = error instanceof WaybillError ? { hint: error.hint } : {};
    throw new NotAppliedError(describeError(error), { cause: error, sinkAway: true, ...hint });
  });
  try {
    const remote = /^[a-z0-9+]{2,}:\/\//i.test(uri);
    const path = remote ? uri : resolve(folder, uri);
    if (!remote) mkdirSync(path, { recursive: true });
    const connection = await drivers.lance.connect(path, {
      storageOptions: { ...options() },
      readConsistencyInterval: 0,
    });
    return new Opened(drivers, connection, remote ? undefined : path);
  } catch (error) {
    throw new NotAppliedError(`cannot open the LanceDB database ${uri}`, { cause: error, sinkAway: true });
  }
}

export class Opened {
  readonly arrow: typeof Arrow;
  readonly connection: Lance.Connection;
  readonly #lance: Drivers['lance'];
  readonly #folder: string | undefined;

  /** `folder`: where the tables lie, if that is one. */
  constructor({ arrow, lance }: Drivers, connection: Lance.Connection, folder?: string) {
    this.arrow = arrow;
    this.connection = connection;
    this.#lance = lance;
    this.#folder = folder;
  }

  /** Undefined when there is no such table. */
  async find(name: string): Promise<Lance.Table | undefined> {
    try {
      return await this.connection.openTable(name);
    } catch (error) {
      if (/was not found/i.test(describeError(error))) return undefined;
      throw new NotAppliedError(`cannot open the table ${name}`, { cause: error, sinkAway: true });
    }
  }

  /** Somebody else may make it at the same moment: then it is theirs that is used. */
  async make(name: string, fields: readonly Arrow.Field[]): Promise<Lance.Table> {
    const schema = new this.arrow.Schema([...fields]);
    try {
      if (this.#folder === undefined) return await this.#makeRemote(name, schema);
      await this.#makeAside(this.#folder, name, schema);
      return await this.connection.openTable(name);
    } catch (error) {
      if (error instanceof RefusedError) throw error;
      const there = await this.find(name);
      if (there !== undefined) return there;
      throw new NotAppliedError(`cannot make the table ${name}`, { cause: error, sinkAway: true });
    }
  }

  /**
   * LanceDB looks whether there is a table, and then writes: one that somebody else has made in between is overwritten
   * with its rows. So it is made elsewhere and moved; where there is a folder already, that fails.
   */
  async #makeAside(folder: string, name: string, schema: Arrow.Schema): Promise<void> {
    const aside = await mkdtemp(join(folder, '.making-'));
    try {
      const connection = await this.#lance.connect(aside);
      await connection.createEmptyTable(name, schema, STABLE);
      connection.close();
      await rename(join(aside, `${name}.lance`), join(folder, `${name}.lance`));
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  }

  /** Nothing can be moved in a bucket: what was overwritten is still there as the version before, and is told. */
  async #makeRemote(name: string, schema: Arrow.Schema): Promise<Lance.Table> {
    const made = await this.connection.createEmptyTable(name, schema, STABLE);
    const version = await made.version();
    if (version === 1) return made;
    await made.checkout(version - 1);
    const rows = await made.countRows();
    await made.checkoutLatest();
    if (rows === 0) return made;
    const lost = `was made by somebody else at the same moment, and LanceDB has overwritten their ${rows} rows`;
    throw wrongTable(
      made,
      lost,
      `They are version ${version - 1} of the table: restore it, and let nobody write before.`,
    );
  }

  async drop(name: string): Promise<void> {
    if ((await this.find(name)) !== undefined) await this.connection.dropTable(name);
  }

  newColumns(columns: Columns, key: readonly string[]): readonly TableColumn[] {
    return columns.map(({ name, type }) => ({
      name,
      type,
      field: newField(this.arrow, name, type, key.includes(name)),
    }));
  }

  /** Its columns, or those of `names`. Throws RefusedError for one that is not there or cannot be written. */
  async columnsOf(table: Lance.Table, names?: readonly string[]): Promise<readonly TableColumn[]> {
    const { fields } = await table.schema();
    return (names ?? fields.map(({ name }) => name)).map((name) => {
      const field = fields.find((one) => one.name === name);
      const type = field === undefined ? undefined : columnTypeOf(this.arrow, field);
      if (field !== undefined && type !== undefined) return { name, type, field };
      const why = field === undefined ? 'there is none' : `Waybill does not write ${String(field.type)}`;
      throw wrongTable(table, `column ${JSON.stringify(name)}: ${why}`, 'Name the columns to write with `columns`.');
    });
  }

  /**
   * Two merges at the same time would both insert a key that is new to them, without a word, unless its columns say
   * that they are one. LanceDB can be told that later only of a single column without nulls.
   */
  async surelyKeyed(table: Lance.Table, key: readonly string[]): Promise<void> {
    const { fields } = await table.schema();
    const said = fields.filter(isPrimaryKey).map(({ name }) => name);
    if (said.length === key.length && key.every((name) => said.includes(name))) return;
    const missing = key.filter((name) => fields.every((field) => field.name !== name));
    if (missing.length > 0) throw wrongTable(table, `it has no column ${missing.join(', ')}`, NAME_ROWS);
    const [only] = key;
    const field = fields.find(({ name }) => name === only);
    // On a column that may be null, LanceDB takes the entry and cannot open the table any more.
    if (said.length > 0 || key.length > 1 || field?.nullable !== false) throw wrongTable(table, KEYLESS, MAKE_KEYED);
    await table.setUnenforcedPrimaryKey(only!);
  }
}

const KEYLESS = 'its unenforced primary key is not the `key` of the sink, so merges at the same time would double rows';
const MAKE_KEYED =
  'Let Waybill make the table, or make it with key columns that are not null and have the metadata ' +
  '`lance-schema:unenforced-primary-key`.';

const NAME_ROWS =
  'Correct `key`. A flow without a `key` needs a table that Waybill has made, or one with a text column that is not ' +
  'null for the names of rows: name it with `rowColumn`.';

function wrongTable(table: Lance.Table, message: string, hint: string): RefusedError {
  return new RefusedError(`the table ${table.name}: ${message}`, { reason: 'table', about: 'request', hint });
}
