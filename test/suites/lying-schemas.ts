import type { SinkSchema } from '../../src/connectors/connector.ts';
import { type ColumnType, showColumnType } from '../../src/model/columns.ts';
import { NotAppliedError, RefusedError } from '../../src/model/errors.ts';
import type { SchemaAction, SinkColumn } from '../../src/model/schema.ts';
import type { SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import { memoryFixture } from '../connectors/memory.ts';

/** Columns in memory, kept as they are told. */
class Columns implements SinkSchema {
  columns: SinkColumn[] | undefined;

  carrier(type: ColumnType): ReturnType<SinkSchema['carrier']> {
    return { type, as: showColumnType(type) };
  }

  async read(_signal: AbortSignal): Promise<readonly SinkColumn[] | undefined> {
    return this.columns;
  }

  async change(actions: readonly SchemaAction[], { signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (signal.aborted) throw new NotAppliedError('given up before it began');
    for (const action of actions) this.carryOut(action);
  }

  carryOut(action: SchemaAction): void {
    if (action.kind === 'create') {
      this.columns ??= action.columns.map(({ name, type, nullable }) => ({ name, type, required: !nullable }));
    } else if (action.kind === 'add') {
      const { name, type } = action.column;
      if (!this.#has(name)) this.columns?.push({ name, type, required: false });
    } else {
      this.columns = this.columns?.map((one) => (one.name === action.column ? { ...one, type: action.to } : one));
    }
  }

  #has(name: string): boolean {
    return this.columns?.some((one) => one.name === name) === true;
  }
}

/** Without anything false; the lies below are this one with one thing changed. */
export const honestSchema = (): SinkSubject => subjectOf('columns in memory', () => new Columns());

function subjectOf(name: string, make: () => SinkSchema, told = true): SinkSubject {
  const open = () => {
    const fixture = memoryFixture({ abilities: ['append'] });
    const schema = make();
    const sink = { ...fixture.sink, schema };
    return { ...fixture, sink, another: () => ({ ...fixture.another!(), schema }) };
  };
  return { name, abilities: ['append'], open, ...(told ? { schema: { open } } : {}) };
}

export interface SchemaLie {
  readonly subject: SinkSubject;
  /** Part of the title of a case that has to fail. */
  readonly noticedBy: string;
}

const lie = (title: string, noticedBy: string, make: () => SinkSchema): SchemaLie => ({
  subject: subjectOf(title, make),
  noticedBy,
});

export const SCHEMA_LIES: readonly SchemaLie[] = [
  {
    subject: subjectOf('columns that its author does not speak of', () => new Columns(), false),
    noticedBy: 'shows what its author says',
  },
  {
    subject: { ...honestSchema(), name: 'columns that are not there', schema: { open: () => memoryFixture() } },
    noticedBy: 'schema: says that nothing is there',
  },
  lie('something is there before anything is', 'nothing is there', () => {
    const schema = new Columns();
    schema.columns = [{ name: 'id', required: false }];
    return schema;
  }),
  lie('a type that is refused without a word', 'nothing is there', () => {
    return Object.assign(new Columns(), { carrier: () => ({ refused: '' }) });
  }),
  lie('a type that is carried as another one than was said', 'makes every type', () => {
    const schema = new Columns();
    const text = { kind: 'text' } as const;
    const read = async () => schema.columns?.map((one) => (one.type?.kind === 'uuid' ? { ...one, type: text } : one));
    return Object.assign(schema, { read });
  }),
  lie('a table that was not made', 'makes every type', () => Object.assign(new Columns(), { change: async () => {} })),
  lie('a column that is there already is refused', 'no second time', () => {
    const schema = new Columns();
    const carryOut = (action: SchemaAction): void => {
      const again = action.kind === 'add' && schema.columns?.some(({ name }) => name === action.column.name);
      if (again) throw new RefusedError('it is there already', { reason: 'there', about: 'request' });
      Columns.prototype.carryOut.call(schema, action);
    };
    return Object.assign(schema, { carryOut });
  }),
  lie('a table that is made anew', 'no second time', () => {
    const schema = new Columns();
    const carryOut = (action: SchemaAction): void => {
      if (action.kind === 'create') schema.columns = undefined;
      Columns.prototype.carryOut.call(schema, action);
    };
    return Object.assign(schema, { carryOut });
  }),
  lie('a new column that every record has to have', 'that no record has to have', () => {
    const schema = new Columns();
    const read = async () => schema.columns?.map((one) => (one.name === 'note' ? { ...one, required: true } : one));
    return Object.assign(schema, { read });
  }),
  lie('a column that was not added', 'adds a column', () => {
    const schema = new Columns();
    const carryOut = (action: SchemaAction): void => {
      if (action.kind !== 'add') Columns.prototype.carryOut.call(schema, action);
    };
    return Object.assign(schema, { carryOut });
  }),
  lie('a column that is no wider', 'widens a column', () => {
    const schema = new Columns();
    const carryOut = (action: SchemaAction): void => {
      if (action.kind !== 'widen') Columns.prototype.carryOut.call(schema, action);
    };
    return Object.assign(schema, { carryOut });
  }),
  lie('a refusal that has changed something', 'widens a column', () => {
    const schema = new Columns();
    const carryOut = (action: SchemaAction): void => {
      Columns.prototype.carryOut.call(schema, action);
      if (action.kind === 'widen') throw new RefusedError('it cannot', { reason: 'no', about: 'request' });
    };
    return Object.assign(schema, { carryOut });
  }),
  lie('a change that was made although it was given up', 'told to stop', () => {
    const schema = new Columns();
    const change = async (actions: readonly SchemaAction[]): Promise<void> => {
      for (const action of actions) schema.carryOut(action);
    };
    return Object.assign(schema, { change });
  }),
];
