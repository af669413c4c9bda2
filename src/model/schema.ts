import { type Column, type Columns, type ColumnType, parseColumnType, showColumnType } from './columns.ts';

/**
 * What becomes of columns that the source has and the sink has not, and of types that have changed. `evolve`: the sink
 * follows, as far as nothing is lost by it. `freeze`: any difference ends the run before anything is sent.
 * `discard-column`: what the sink does not have is left out, and counted. `reject-record`: records that bring something
 * for such a column are refused one by one.
 */
export const SCHEMA_POLICIES = ['evolve', 'freeze', 'discard-column', 'reject-record'] as const;
export type SchemaPolicy = (typeof SCHEMA_POLICIES)[number];

/** What a flow says about the columns of one lane. */
export interface SchemaSettings {
  /** Absent: nobody looks; what does not fit the sink refuses by itself, record by record. */
  readonly policy?: SchemaPolicy;
  /** Whether a table that is not there is made. */
  readonly create: boolean;
  /** Names and types of what the lane sends, where the source does not say them, or says others. */
  readonly columns?: Columns;
  /** Where nobody says types: take them from the values of the first records. */
  readonly infer: boolean;
}

/** A column as a sink has it. */
export interface SinkColumn {
  readonly name: string;
  /** Absent: of a type that only the store knows. */
  readonly type?: ColumnType;
  /** A record without a value for it cannot be written. */
  readonly required: boolean;
}
export type SinkColumns = readonly SinkColumn[];

/** How a sink keeps the values of a type. */
export type Carrier =
  /** `type`: what the column is when it is read again. `as`: in the words of the store. */
  { readonly type: ColumnType; readonly as: string } | { readonly refused: string };

/** What is to be changed in a sink. Each is such that a second time changes nothing. */
export type SchemaAction =
  | { readonly kind: 'create'; readonly columns: Columns }
  | { readonly kind: 'add'; readonly column: Column }
  | { readonly kind: 'widen'; readonly column: string; readonly from: ColumnType; readonly to: ColumnType };

/** What a lane does about its columns, decided before anything is changed or sent. */
export interface SchemaDecision {
  readonly actions: readonly SchemaAction[];
  /** Columns that are left out of every record. */
  readonly leftOut: readonly string[];
  /** Columns for which no record may bring anything. */
  readonly refused: readonly string[];
  /** Why nothing may be sent; empty when it may. */
  readonly stops: readonly string[];
  /** What is done, and what differs without anything being done: whole sentences, for the plan and the report. */
  readonly says: readonly string[];
}

/** What is compared. */
export interface SchemaSides {
  /** What the lane sends; a column without a type is known by its name only. */
  readonly source: readonly SourceColumn[];
  /** These are only columns that some records have named: that one is missing says nothing. */
  readonly partial: boolean;
  /** Undefined: there is nothing of the sink's name yet. */
  readonly sink: SinkColumns | undefined;
  /** What the lane sent when it was delivered last; undefined when it never was. */
  readonly before: Columns | undefined;
  carrier(type: ColumnType): Carrier;
}

/** A column as a source brings it. */
export interface SourceColumn {
  readonly name: string;
  readonly type?: ColumnType;
  readonly nullable: boolean;
}

/** Works out what a lane does about its columns. Knows no store and changes nothing. */
export function decideSchema(sides: SchemaSides, settings: Pick<SchemaSettings, 'policy' | 'create'>): SchemaDecision {
  const { sink } = sides;
  if (sink === undefined) return settings.create ? creation(sides) : NOTHING;
  return settings.policy === undefined ? NOTHING : comparison({ ...sides, sink }, settings.policy);
}

const NOTHING: SchemaDecision = { actions: [], leftOut: [], refused: [], stops: [], says: [] };

function creation({ source, carrier }: SchemaSides): SchemaDecision {
  const untyped = source.filter(({ type }) => type === undefined).map(({ name }) => name);
  if (source.length === 0 || untyped.length > 0) {
    const which = untyped.length === 0 ? 'the columns' : `the types of ${list(untyped)}`;
    return {
      ...NOTHING,
      stops: [
        `the table is not there, and nothing says ${which}: declare them (\`schema: { columns: { id: int64 } }\`), ` +
          'or have them taken from the first records (`schema: { infer: true }`)',
      ],
    };
  }
  const columns = source as Columns;
  const carried = columns.map(({ name, type }) => ({ name, type, carrier: carrier(type) }));
  const stops = carried.flatMap(({ name, type, carrier: how }) =>
    'refused' in how
      ? [`the column ${quoted(name)} of type ${showColumnType(type)} cannot be made: ${how.refused}`]
      : [],
  );
  if (stops.length > 0) return { ...NOTHING, stops };
  const shown = carried.map(({ name, type, carrier: how }) => `${name} ${carriedAs(type, how)}`);
  return { ...NOTHING, actions: [{ kind: 'create', columns }], says: [`creates the table: ${shown.join(', ')}`] };
}

/** `id bigint`; `price decimal(12,2) as TEXT …` where the store has no such type. */
function carriedAs(type: ColumnType, carrier: Carrier): string {
  if ('refused' in carrier) return showColumnType(type);
  const own = showColumnType(type) === showColumnType(carrier.type);
  return own ? carrier.as : `${carrier.as} (for ${showColumnType(type)})`;
}

type Comparing = SchemaSides & { readonly sink: SinkColumns };

function comparison(sides: Comparing, policy: SchemaPolicy): SchemaDecision {
  const { source, sink } = sides;
  const found = differences(sides);
  const missing = sink.filter(({ name, required }) => required && !source.some((one) => one.name === name));
  const lacks = sides.partial ? [] : missing.map(({ name }) => needsValue(name));
  const news = found.fresh.map(({ name }) => name);
  switch (policy) {
    case 'evolve':
      return evolved(sides, found, lacks);
    case 'freeze': {
      const stops = [...found.fresh.map(isNew), ...found.wider.map(isWider), ...lacks, ...sinceBefore(sides)];
      return { ...NOTHING, stops };
    }
    case 'discard-column':
      return {
        ...NOTHING,
        leftOut: news,
        says: news.length === 0 ? [] : [`leaves out what the sink has no column for: ${list(news)}`],
      };
    default:
      return {
        ...NOTHING,
        refused: news,
        says: news.length === 0 ? [] : [`refuses records with a value for ${list(news)}: the sink has no such column`],
      };
  }
}

interface Differences {
  /** Of the source, and not in the sink. */
  readonly fresh: readonly SourceColumn[];
  /** In both, and of a type that holds more than the column of the sink. */
  readonly wider: readonly { readonly name: string; readonly from: ColumnType; readonly to: ColumnType }[];
}

function differences({ source, sink, carrier }: Comparing): Differences {
  const fresh = source.filter(({ name }) => !sink.some((one) => one.name === name));
  const wider = source.flatMap(({ name, type }) => {
    const from = sink.find((one) => one.name === name)?.type;
    if (type === undefined || from === undefined) return [];
    const how = carrier(type);
    const to = 'refused' in how ? undefined : wideningOf(from, how.type);
    return to === undefined ? [] : [{ name, from, to }];
  });
  return { fresh, wider };
}

function evolved(
  { sink, carrier }: Comparing,
  { fresh, wider }: Differences,
  lacks: readonly string[],
): SchemaDecision {
  const stops = [...lacks];
  const actions: SchemaAction[] = [];
  const says: string[] = [];
  for (const { name, type, nullable } of fresh) {
    const how =
      type === undefined ? { refused: 'nothing says its type; declare it in `schema: { columns }`' } : carrier(type);
    if (type === undefined || 'refused' in how) {
      const why = 'refused' in how ? how.refused : '';
      stops.push(`the column ${quoted(name)} cannot be added: ${why}`);
    } else if (!nullable && sink.length > 0) {
      stops.push(
        `the column ${quoted(name)} is required, and rows that are there have no value for it: declare it without ` +
          '`not null`, then read the earlier windows again, or add it by hand with a default',
      );
    } else {
      actions.push({ kind: 'add', column: { name, type, nullable: true } });
      says.push(`adds the column ${name} ${carriedAs(type, how)}`);
    }
  }
  for (const { name, from, to } of wider) {
    actions.push({ kind: 'widen', column: name, from, to });
    says.push(`widens the column ${name} from ${showColumnType(from)} to ${showColumnType(to)}`);
  }
  return stops.length > 0 ? { ...NOTHING, stops } : { ...NOTHING, actions, says };
}

/** What the source was when the lane was delivered last, and is no more. */
function sinceBefore({ source, sink, before, partial }: Comparing): readonly string[] {
  if (before === undefined || partial) return [];
  const gone = before.filter(({ name }) => !source.some((one) => one.name === name));
  const stops = gone.map(({ name }) => `the column ${quoted(name)} is gone from the source`);
  for (const { name, type } of source) {
    const was = before.find((one) => one.name === name)?.type;
    if (was === undefined) {
      if (sink.some((one) => one.name === name)) stops.push(`the column ${quoted(name)} is new in the source`);
    } else if (type !== undefined && showColumnType(was) !== showColumnType(type)) {
      stops.push(`the column ${quoted(name)} was ${showColumnType(was)} and is ${showColumnType(type)} in the source`);
    }
  }
  return stops;
}

const quoted = (name: string): string => JSON.stringify(name);
const list = (names: readonly string[]): string => names.map(quoted).join(', ');
const needsValue = (name: string): string =>
  `the column ${quoted(name)} of the sink needs a value, and the source has no such column`;
const isNew = ({ name, type }: SourceColumn): string =>
  `the column ${quoted(name)}${type === undefined ? '' : ` (${showColumnType(type)})`} is not in the sink`;
const isWider = ({ name, from, to }: Differences['wider'][number]): string =>
  `the column ${quoted(name)} of the sink is ${showColumnType(from)}, and the source needs ${showColumnType(to)}`;

/** Digits of the largest number. */
const DIGITS: Readonly<Partial<Record<ColumnType['kind'], number>>> = { int16: 5, int32: 10, int64: 19 };
const INTEGERS = ['int16', 'int32', 'int64'] as const;

/**
 * The narrowest type that holds all of both, where that is more than `sink` holds. Undefined where `sink` is enough,
 * and where the two have no such type: there each value shows whether it fits.
 */
export function wideningOf(sink: ColumnType, source: ColumnType): ColumnType | undefined {
  if (sink.array !== source.array) return undefined;
  const array = sink.array === true ? { array: true as const } : {};
  const wide = widened(sink, source);
  return wide === undefined ? undefined : { ...wide, ...array };
}

function widened(sink: ColumnType, source: ColumnType): ColumnType | undefined {
  const [a, b] = [digitsOf(sink), digitsOf(source)];
  if (sink.kind === 'float32' && source.kind === 'float64') return { kind: 'float64' };
  if (sink.kind === 'date' && source.kind === 'timestamp') return { kind: 'timestamp' };
  if (a === undefined || b === undefined) return undefined;
  const rank = (type: ColumnType): number => (INTEGERS as readonly string[]).indexOf(type.kind);
  if (rank(sink) !== -1 && rank(source) !== -1) return rank(source) > rank(sink) ? { kind: source.kind } : undefined;
  if (sink.kind === 'decimal' && sink.precision === undefined) return undefined;
  if (source.kind === 'decimal' && source.precision === undefined) return { kind: 'decimal' };
  if (a.whole >= b.whole && a.behind >= b.behind) return undefined;
  const [whole, behind] = [Math.max(a.whole, b.whole), Math.max(a.behind, b.behind)];
  return whole + behind > DIGITS_MAX
    ? { kind: 'decimal' }
    : { kind: 'decimal', precision: whole + behind, scale: behind };
}

/** The most that a type can declare. */
const DIGITS_MAX = 1000;

/** Digits before and behind the point; undefined for what is not counted in tens. */
function digitsOf({ kind, precision, scale = 0 }: ColumnType): { whole: number; behind: number } | undefined {
  if (kind === 'decimal') return { whole: (precision ?? DIGITS_MAX) - scale, behind: scale };
  const whole = DIGITS[kind];
  return whole === undefined ? undefined : { whole, behind: 0 };
}

/** What a lane sends from a generation on, as the ledger keeps it. */
export interface KeptSchema {
  readonly lane: string;
  readonly generation: number;
  readonly columns: Columns;
  /** What was about to be changed in the sink for it, in whole sentences. */
  readonly changes: readonly string[];
}

/** The columns in an event of the ledger: lists of name, type and whether it may be null. */
export function columnsInEvent(detail: unknown): Columns | undefined {
  if (!Array.isArray(detail)) return undefined;
  return detail.flatMap((one: unknown) => {
    const [name, said, nullable] = Array.isArray(one) ? (one as unknown[]) : [];
    const type = typeof said === 'string' ? parseColumnType(said) : undefined;
    return typeof name === 'string' && type !== undefined ? [{ name, type, nullable: nullable !== false }] : [];
  });
}

/** Columns that were left out of records which had a value there, each with the number of those records. */
export type LeftOut = readonly (readonly [column: string, records: number])[];

/** The same of a lane, as the ledger adds it up. */
export interface LeftOutRow {
  readonly lane: string;
  readonly column: string;
  /** Of the batches that there are, those that were skipped included, as in the balance of the run. */
  readonly records: number;
}

export function leftOutInEvent(detail: unknown): LeftOut {
  if (!Array.isArray(detail)) return [];
  return detail.flatMap((one: unknown): LeftOut => {
    const [column, records] = Array.isArray(one) ? (one as unknown[]) : [];
    return typeof column === 'string' && typeof records === 'number' ? [[column, records]] : [];
  });
}
