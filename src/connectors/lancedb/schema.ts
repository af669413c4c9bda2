import type * as Lance from '@lancedb/lancedb';
import { type Columns, type ColumnType, showColumnType } from '../../model/columns.ts';
import { describeError, RefusedError, WaybillError } from '../../model/errors.ts';
import type { Carrier, SchemaAction, SinkColumns } from '../../model/schema.ts';
import type { SchemaHow, SinkSchema } from '../connector.ts';
import { columnTypeOf, newField } from './arrow-types.ts';
import type { Opened } from './database.ts';
import { expectAsked, within, writeError } from './driver.ts';
import type { Target, TargetOptions } from './target.ts';

/** What the sink was set up with; `columns` grow by what it is told later. */
export type LiveOptions = TargetOptions & { columns?: Columns };

type Alteration = Exclude<SchemaAction, { readonly kind: 'create' }>;

/** The columns of the sink's table, and how they are changed. */
export class LanceSchema implements SinkSchema {
  readonly #options: LiveOptions;
  readonly #target: Target;

  constructor(options: LiveOptions, target: Target) {
    this.#options = options;
    this.#target = target;
  }

  /** Arrow has no place for more digits, and none for JSON: they lie in texts, and the column says what they are. */
  carrier(type: ColumnType): Carrier {
    return { type, as: showColumnType(type) };
  }

  async read(signal: AbortSignal): Promise<SinkColumns | undefined> {
    const opened = await this.#target.database.open();
    const table = await within(signal, opened.find(this.#options.table));
    if (table === undefined) return undefined;
    const { fields } = await table.schema();
    const own = fields.filter(({ name }) => name !== this.#options.rowColumn);
    return own.map((field) => {
      const type = columnTypeOf(opened.arrow, field);
      return { name: field.name, required: !field.nullable, ...(type === undefined ? {} : { type }) };
    });
  }

  async change(actions: readonly SchemaAction[], how: SchemaHow): Promise<void> {
    expectAsked(how);
    const opened = await this.#target.database.open();
    for (const action of actions) {
      if (action.kind === 'create') await this.#create(opened, action.columns);
    }
    const others = actions.filter((action) => action.kind !== 'create');
    if (others.length === 0) return;
    const { load, signal } = how;
    const changes: Change[] = [];
    for (const name of [this.#options.table, ...(load === undefined ? [] : [load.id])]) {
      const table = await opened.find(name);
      if (table !== undefined) changes.push(...(await changesOf(opened, table, others)));
    }
    for (const [nth, change] of changes.entries()) {
      await within(signal, change()).catch((error: unknown) => {
        const failure = writeError(error, 'the change of columns');
        // Each is a commit of its own: what the others have changed stays, and is found so when this is asked again.
        throw nth === 0 ? failure : new WaybillError('SINK_FAILED', describeError(failure), { cause: failure });
      });
    }
    this.#grow(others);
  }

  /** The table that a load is for is one as well, so it is made at once. */
  async #create(opened: Opened, columns: Columns): Promise<void> {
    const { columns: declared = [], table } = this.#options;
    const rest = columns.filter(({ name }) => !declared.some((one) => one.name === name));
    this.#options.columns = [...declared, ...rest];
    if ((await opened.find(table)) !== undefined) return;
    const made = await this.#target.columns(opened, undefined);
    if (made !== undefined) await this.#target.make(opened, made);
  }

  /** Where the settings name the columns that are written, the new ones are among them. */
  #grow(actions: readonly Alteration[]): void {
    const { columns } = this.#options;
    if (columns === undefined) return;
    const added = actions.flatMap((action) => (action.kind === 'add' ? [action.column] : []));
    const rest = columns.filter(({ name }) => !added.some((one) => one.name === name));
    this.#options.columns = [...rest, ...added];
  }
}

/** One commit. */
type Change = () => Promise<unknown>;

/** Only what is not so yet. Throws RefusedError for what cannot be done. */
async function changesOf(opened: Opened, table: Lance.Table, actions: readonly Alteration[]): Promise<Change[]> {
  const { fields } = await table.schema();
  return actions.flatMap((action): Change[] => {
    if (action.kind === 'add') {
      const { name, type } = action.column;
      if (fields.some((field) => field.name === name)) return [];
      return [() => table.addColumns([newField(opened.arrow, name, type, false)])];
    }
    const field = fields.find(({ name }) => name === action.column);
    const now = field === undefined ? undefined : columnTypeOf(opened.arrow, field);
    if (now === undefined || showColumnType(now) === showColumnType(action.to)) return [];
    const dataType = WIDE[action.to.kind];
    if (dataType === undefined || action.to.array === true) throw notByItself(action.column, action.to);
    return [() => table.alterColumns([{ path: action.column, dataType }])];
  });
}

const WIDE: Readonly<Partial<Record<ColumnType['kind'], string>>> = {
  int32: 'int32',
  int64: 'int64',
  float64: 'float64',
};

const notByItself = (column: string, to: ColumnType): RefusedError =>
  new RefusedError(`LanceDB does not make ${showColumnType(to)} of the column ${JSON.stringify(column)}`, {
    reason: 'column-type',
    about: 'request',
    hint: 'Make a table with the wider column, and load its windows again.',
  });
