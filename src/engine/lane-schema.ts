import type { FieldRule } from '../formats/columns/filter.ts';
import { inferColumns } from '../formats/columns/infer.ts';
import type { LedgerReader } from '../ledger/ledger.ts';
import type { Chunk } from '../model/chunk.ts';
import type { Columns } from '../model/columns.ts';
import { WaybillError } from '../model/errors.ts';
import {
  decideSchema,
  type SchemaAction,
  type SchemaDecision,
  type SchemaSettings,
  type SinkColumns,
  type SourceColumn,
} from '../model/schema.ts';
import type { LaneJob } from './engine.ts';
import { keptLast } from './kept-schema.ts';

/** What a chunk means for the batches of one lane. */
export interface ChunkSchema {
  /** Go with the batches, for a sink that cannot do without. */
  readonly types?: Columns;
  /** What becomes of fields that the sink does not have. */
  readonly rule?: FieldRule;
}

/** What was decided about the columns of a chunk. */
export interface Met extends ChunkSchema {
  readonly decision: SchemaDecision;
  /** All columns of the chunk, where all have types. */
  readonly columns?: Columns;
}

/** What is said of the columns of a chunk. */
interface Said {
  readonly source: readonly SourceColumn[];
  /** They are those of all fields that its records can have. */
  readonly names: boolean;
  /** Other records of the source may have others. */
  readonly partial: boolean;
}

const NOBODY_ASKED: SchemaSettings = { create: false, infer: false };

/** Whether anything has to be known about the columns of what a lane sends. */
export const asksForSchema = (lane: LaneJob): boolean => lane.schema !== undefined || lane.sink.needsTypes === true;

/**
 * Holds what a source brings for one lane against what its sink has, chunk by chunk; something is to be done only where
 * the columns change. Changes nothing itself.
 */
export class LaneSchema {
  readonly lane: LaneJob;
  readonly #settings: SchemaSettings;
  readonly #flow: string;
  readonly #read: Pick<LedgerReader, 'eventsOf' | 'runs'> | undefined;
  #sink: { readonly columns: SinkColumns | undefined } | undefined;
  #before: { readonly columns: Columns | undefined } | undefined;
  /** Everything that was met so far in this run, the last type of each column. */
  #told: Columns = [];
  /** What is made when the load is published, where there is nothing yet. */
  #promised: Columns = [];
  #last: { readonly shape: string; readonly met: Met } | undefined;

  /** `read`: undefined where there is no ledger yet. */
  constructor(lane: LaneJob, flow: string, read: Pick<LedgerReader, 'eventsOf' | 'runs'> | undefined) {
    this.lane = lane;
    this.#settings = lane.schema ?? NOBODY_ASKED;
    this.#flow = flow;
    this.#read = read;
  }

  /** Undefined when it is as with the chunk before. Throws SCHEMA_DIFFERS when nothing of the chunk may be sent. */
  async meet(chunk: Chunk, signal: AbortSignal): Promise<{ readonly met: Met; readonly fresh: boolean }> {
    const said = this.#sourceColumns(chunk);
    const shape = JSON.stringify(said);
    if (this.#last?.shape === shape) return { met: this.#last.met, fresh: false };
    const met = await this.#decided(said, signal);
    this.#last = { shape, met };
    return { met, fresh: true };
  }

  /** All columns that the lane has sent in this run, as far as their types are known. */
  get told(): Columns {
    return this.#told;
  }

  /** What an earlier start of the run has told. */
  recall(columns: Columns): void {
    this.#told = columns;
  }

  /** The sink has changed, or is going to when a load is published: then it is taken as if that were done. */
  changed(actions: readonly SchemaAction[], later: boolean): void {
    this.#sink = undefined;
    if (!later) return;
    for (const action of actions) {
      if (action.kind === 'create') this.#promised = action.columns;
      else if (action.kind === 'add') this.#promised = union(this.#promised, [action.column]);
      else this.#promised = union(this.#promised, [{ name: action.column, type: action.to, nullable: true }]);
    }
  }

  async #decided({ source, names, partial }: Said, signal: AbortSignal): Promise<Met> {
    const typed = source.length > 0 && source.every(({ type }) => type !== undefined);
    const columns = typed ? (source as Columns) : undefined;
    if (this.lane.sink.needsTypes === true && columns === undefined) throw untyped(this.lane.name, source);
    const sink = await this.#sinkColumns(signal);
    const carrier = this.lane.sink.schema?.carrier ?? ((type) => ({ type, as: '' }));
    const before = await this.#beforeColumns();
    const decision = decideSchema({ source, partial, sink, before, carrier }, this.#settings);
    const { stops } = decision;
    if (stops.length > 0) throw differs(this.lane.name, stops);
    const rule = this.#ruleFor(sink, decision, names);
    const left = new Set([...decision.leftOut, ...decision.refused]);
    const types = columns?.filter(({ name }) => !left.has(name));
    if (types !== undefined) this.#told = union(this.#told, types);
    return {
      decision,
      ...(columns === undefined ? {} : { columns }),
      ...(types === undefined || this.lane.sink.needsTypes !== true ? {} : { types }),
      ...(rule === undefined ? {} : { rule }),
    };
  }

  /** Only where a record may hold something that nobody has decided about are all of them looked into. */
  #ruleFor(sink: SinkColumns | undefined, decision: SchemaDecision, names: boolean): FieldRule | undefined {
    const { policy } = this.#settings;
    if (sink === undefined || policy === undefined) return undefined;
    const known = new Set(sink.map(({ name }) => name));
    for (const action of decision.actions) if (action.kind === 'add') known.add(action.column.name);
    const stands = names && decision.leftOut.length + decision.refused.length === 0;
    if (stands) return undefined;
    if (policy === 'discard-column') return { known, others: 'leave-out' };
    return { known, others: policy === 'reject-record' ? 'reject' : 'stop' };
  }

  #sourceColumns(chunk: Chunk): Said {
    const { columns: declared = [], infer } = this.#settings;
    if (this.lane.mapping !== undefined) return { source: declared, names: false, partial: true };
    const said = chunk.types ?? chunk.described;
    const known = said ?? (infer ? inferColumns(chunk) : undefined);
    const own: readonly SourceColumn[] = known ?? (chunk.columns ?? []).map((name) => ({ name, nullable: true }));
    if (own.length === 0) return { source: declared, names: false, partial: true };
    const source = own.map((column) => declared.find(({ name }) => name === column.name) ?? column);
    return { source, names: true, partial: said === undefined && chunk.columns === undefined };
  }

  async #sinkColumns(signal: AbortSignal): Promise<SinkColumns | undefined> {
    if (this.lane.schema === undefined) return undefined;
    const { schema } = this.lane.sink;
    if (schema === undefined) return asSink((await this.#beforeColumns()) ?? []);
    this.#sink ??= { columns: (await schema.read(signal)) ?? asSink(this.#promised) };
    return this.#sink.columns;
  }

  /** Undefined where it makes no difference, or where the lane was never delivered. */
  async #beforeColumns(): Promise<Columns | undefined> {
    const asks = this.#settings.policy === 'freeze' || this.lane.sink.schema === undefined;
    if (!asks || this.#read === undefined) return undefined;
    this.#before ??= { columns: await keptLast(this.#read, this.#flow, this.lane.name) };
    return this.#before.columns;
  }
}

const union = (before: Columns, now: Columns): Columns => [
  ...before.map((one) => now.find(({ name }) => name === one.name) ?? one),
  ...now.filter(({ name }) => !before.some((one) => one.name === name)),
];

/** A sink that knows no columns has those that it was sent last; before the first time it takes whatever comes. */
const asSink = (columns: Columns): SinkColumns | undefined =>
  columns.length === 0 ? undefined : columns.map(({ name, type }) => ({ name, type, required: false }));

function untyped(lane: string, source: readonly SourceColumn[]): WaybillError {
  const names = source.filter(({ type }) => type === undefined).map(({ name }) => JSON.stringify(name));
  const which = names.length === 0 ? 'the columns' : `the columns ${names.join(', ')}`;
  return new WaybillError(
    'SCHEMA_DIFFERS',
    `lane ${lane}: the sink needs the types of ${which}, and nothing says them`,
    {
      hint:
        'Declare them (`schema: { columns: { id: int64 } }`), or take them from the records ' +
        '(`schema: { infer: true }`).',
      ids: { lane },
    },
  );
}

function differs(lane: string, stops: readonly string[]): WaybillError {
  return new WaybillError('SCHEMA_DIFFERS', `lane ${lane}: ${stops.join('; ')}`, { ids: { lane } });
}
