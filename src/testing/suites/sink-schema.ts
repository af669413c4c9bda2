import type { SinkSchema } from '../../connectors/connector.ts';
import { COLUMN_KINDS, type Column, type Columns, showColumnType } from '../../model/columns.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import { type SchemaAction, wideningOf } from '../../model/schema.ts';
import { expect, fail, rejection } from './expect.ts';
import type { SchemaFixture, SchemaSubject } from './sink-subject.ts';

export interface SchemaCheck {
  readonly title: string;
  run(bench: SchemaBench): Promise<void>;
}

/** A sink of whose name there is nothing yet, and what it says of its columns. */
export class SchemaBench {
  readonly #fixture: SchemaFixture;
  readonly #opened: { close?(): Promise<void> }[] = [];

  private constructor(fixture: SchemaFixture) {
    this.#fixture = fixture;
    this.#opened.push(fixture.sink);
  }

  /** Opens a sink for one case, and closes it whatever the case comes to. */
  static async use(subject: SchemaSubject, work: (bench: SchemaBench) => Promise<void>): Promise<void> {
    const fixture = await subject.open();
    const bench = new SchemaBench(fixture);
    try {
      await work(bench);
    } finally {
      for (const sink of bench.#opened) await sink.close?.();
      await fixture.close?.();
    }
  }

  get schema(): SinkSchema {
    return this.#fixture.sink.schema ?? fail('the sink shows no `schema`, which its author says that it has');
  }

  /** The same place as a process has it open that comes after this one. */
  later(): SinkSchema {
    if (this.#fixture.another === undefined) return this.schema;
    const sink = this.#fixture.another();
    this.#opened.push(sink);
    return sink.schema ?? fail('the sink shows no `schema` when it is opened once more');
  }

  async change(
    actions: readonly SchemaAction[],
    how: { schema?: SinkSchema; signal?: AbortSignal } = {},
  ): Promise<void> {
    const { schema = this.schema, signal = new AbortController().signal } = how;
    await schema.change(actions, { later: false, signal });
  }

  /** `id int64`, as a sink opened later sees the columns; undefined where there is nothing. */
  async shown(): Promise<readonly string[] | undefined> {
    const columns = await this.later().read(new AbortController().signal);
    return columns?.map(({ name, type }) => `${name} ${type === undefined ? 'of its own' : showColumnType(type)}`);
  }

  /** The same as the sink says that it carries them. */
  carried(columns: Columns): readonly string[] {
    return columns.map(({ name, type }) => {
      const carrier = this.schema.carrier(type);
      if ('refused' in carrier) return fail(`${showColumnType(type)} is carried: ${carrier.refused}`);
      return `${name} ${showColumnType(carrier.type)}`;
    });
  }

  /** One column of each type that the sink carries. */
  get everyType(): Columns {
    const types = COLUMN_KINDS.flatMap((kind) => [{ kind }, { kind, array: true as const }]);
    const all = [...types, { kind: 'decimal' as const, precision: 12, scale: 2 }];
    const columns = all.map((type, nth): Column => ({ name: `c${nth}`, type, nullable: true }));
    return columns.filter(({ type }) => !('refused' in this.schema.carrier(type)));
  }
}

const ID: Column = { name: 'id', type: { kind: 'int64' }, nullable: false };
const N: Column = { name: 'n', type: { kind: 'int32' }, nullable: true };
const FIRST: Columns = [ID, N];
const CREATE: SchemaAction = { kind: 'create', columns: FIRST };
const NOTE: Column = { name: 'note', type: { kind: 'text' }, nullable: true };
const ADD: SchemaAction = { kind: 'add', column: NOTE };

export const SCHEMA_CHECKS: readonly SchemaCheck[] = [
  { title: 'says that nothing is there before anything was made', run: nothingBefore },
  { title: 'makes every type that it carries, and shows each as it says that it carries it', run: makesEveryType },
  { title: 'makes what is there already no second time, whoever asks', run: makesOnce },
  { title: 'adds a column behind the others, that no record has to have', run: adds },
  { title: 'widens a column, or refuses to and leaves it as it is', run: widens },
  { title: 'changes nothing when it was told to stop before it began', run: stopsInTime },
];

async function nothingBefore(bench: SchemaBench): Promise<void> {
  expect(await bench.shown(), 'columns where there is nothing').toBe(undefined);
  const refused = COLUMN_KINDS.flatMap((kind) => {
    const carrier = bench.schema.carrier({ kind });
    return 'refused' in carrier && carrier.refused === '' ? [kind] : [];
  });
  expect(refused, 'types that it refuses without a reason').toEqual([]);
}

async function makesEveryType(bench: SchemaBench): Promise<void> {
  const columns = [ID, ...bench.everyType];
  await bench.change([{ kind: 'create', columns }]);
  expect(await bench.shown(), 'the columns that were made').toEqual(bench.carried(columns));
}

async function makesOnce(bench: SchemaBench): Promise<void> {
  await bench.change([CREATE]);
  await bench.change([CREATE, ADD]);
  await bench.change([CREATE, ADD], { schema: bench.later() });
  // What an earlier start has asked for may be asked again when more has come since.
  await bench.change([CREATE], { schema: bench.later() });
  expect(await bench.shown(), 'columns that were asked for more than once').toEqual(bench.carried([...FIRST, NOTE]));
}

async function adds(bench: SchemaBench): Promise<void> {
  await bench.change([CREATE]);
  await bench.change([ADD]);
  expect(await bench.shown(), 'the columns with the new one').toEqual(bench.carried([...FIRST, NOTE]));
  const columns = (await bench.schema.read(new AbortController().signal)) ?? [];
  const required = columns.filter((column) => column.name === NOTE.name && column.required);
  expect(required, 'rows that are there have no value for a column that is required').toEqual([]);
}

async function widens(bench: SchemaBench): Promise<void> {
  await bench.change([CREATE]);
  const from = N.type;
  const to = { kind: 'int64' } as const;
  expect(wideningOf(from, to), 'what is asked for').toEqual(to);
  const action: SchemaAction = { kind: 'widen', column: N.name, from, to };
  for (const schema of [bench.schema, bench.later()]) {
    const error = await bench.change([action], { schema }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error !== undefined && !(error instanceof RefusedError)) throw error;
    const wanted = error === undefined ? [ID, { ...N, type: to }] : FIRST;
    expect(inOrder(await bench.shown()), 'the columns, one of them wider').toEqual(inOrder(bench.carried(wanted)));
  }
}

/** A store that cannot change a type may put another column in the place of the old one, at the end. */
const inOrder = (columns: readonly string[] | undefined): readonly string[] => [...(columns ?? [])].sort();

async function stopsInTime(bench: SchemaBench): Promise<void> {
  const signal = AbortSignal.abort();
  const error = await rejection(bench.change([CREATE], { signal }), 'a change that was given up');
  const proved = error instanceof NotAppliedError;
  expect(proved, `nothing was begun, so it is a NotAppliedError, not ${String(error)}`).toBe(true);
  expect(await bench.shown(), 'columns after a change that was given up').toBe(undefined);
}
