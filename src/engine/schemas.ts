import type { ReadRange, Source } from '../connectors/connector.ts';
import type { RunClaim } from '../ledger/ledger.ts';
import type { Chunk } from '../model/chunk.ts';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../model/errors.ts';
import type { Load } from '../model/load.ts';
import { mask } from '../model/masking.ts';
import type { SchemaAction } from '../model/schema.ts';
import type { LaneJob, Services } from './engine.ts';
import type { Told } from './intake.ts';
import { keptOf } from './kept-schema.ts';
import { asksForSchema, type ChunkSchema, LaneSchema, type Met } from './lane-schema.ts';
import { backoffMs } from './pace.ts';

export interface SchemasFacts {
  readonly flow: string;
  readonly lanes: readonly LaneJob[];
  readonly claim: RunClaim;
  readonly services: Services;
  readonly stop: AbortSignal;
  readonly abort: AbortSignal;
  /** The load that a lane collects for a generation, if it does. */
  load(lane: string, generation: number): Load | undefined;
}

/** By lane; a lane that is not named is as it always was. */
export type ChunkSchemas = ReadonlyMap<string, ChunkSchema>;

/**
 * The columns of the lanes of one start. What is to be changed in a sink is written down first, then done, and asked
 * for again when the answer is lost: no change does anything twice. All of it happens before a record of the chunk that
 * asked for it is sealed.
 */
export class Schemas {
  readonly #facts: SchemasFacts;
  readonly #lanes: readonly LaneSchema[];
  readonly #leftOut = new Map<string, number>();

  constructor(facts: SchemasFacts) {
    this.#facts = facts;
    const { flow, services } = facts;
    this.#lanes = facts.lanes.filter(asksForSchema).map((lane) => new LaneSchema(lane, flow, services.ledger.read));
  }

  get none(): boolean {
    return this.#lanes.length === 0;
  }

  /** Decides about the columns of a chunk, for every lane that asks, and has the sinks follow. */
  async meet(chunk: Chunk, generation: number): Promise<ChunkSchemas> {
    const schemas = new Map<string, ChunkSchema>();
    for (const one of this.#lanes) {
      const { met, fresh } = await this.#patiently(one.lane, () => one.meet(chunk, this.#facts.abort));
      schemas.set(one.lane.name, met);
      if (fresh) await this.#follow(one, met, generation);
    }
    return schemas;
  }

  /** Before what an earlier start has sealed is sent: a sink that makes its table later has to be told of what. */
  async recall(generation: number): Promise<void> {
    for (const one of this.#lanes) {
      const { lane } = one;
      const { schema } = lane.sink;
      const columns = await keptOf(this.#facts.services.ledger.read, this.#facts.claim.run, lane.name);
      if (columns === undefined) continue;
      one.recall(columns);
      if (schema === undefined || lane.schema?.create !== true) continue;
      const missing = await this.#patiently(lane, async () => (await schema.read(this.#facts.abort)) === undefined);
      if (!missing) continue;
      const actions = [{ kind: 'create', columns }] as const;
      await this.#change(lane, actions, generation);
      one.changed(actions, this.#facts.load(lane.name, generation) !== undefined);
    }
  }

  /** What is in the ledger now counts for what is told at the end. */
  sealed(decided: readonly Told[]): void {
    for (const { batches, counts } of decided) {
      for (const [name, records] of batches.flatMap(({ leftOut }) => [...(leftOut ?? [])])) {
        const at = JSON.stringify([counts.lane, name]);
        this.#leftOut.set(at, (this.#leftOut.get(at) ?? 0) + records);
      }
    }
  }

  /** When the window is read. */
  tell(): void {
    for (const [at, records] of this.#leftOut) {
      const [lane, name] = JSON.parse(at) as [string, string];
      const from = `${records} record${records === 1 ? '' : 's'}`;
      const message = `lane ${lane}: the column ${JSON.stringify(name)} was left out of ${from}`;
      const ids = { lane, column: name, records };
      this.#facts.services.notice({ level: 'warning', kind: 'columns-left-out', message, ids });
    }
  }

  async #follow(one: LaneSchema, { decision, columns }: Met, generation: number): Promise<void> {
    const { services, claim } = this.#facts;
    const lane = one.lane.name;
    if (columns !== undefined) {
      const kept = { lane, generation, columns: one.told, changes: decision.says };
      await services.ledger.keepSchema({ ...claim, ...kept });
    }
    for (const said of decision.says) {
      services.notice({ level: 'info', kind: 'schema', message: `lane ${lane}: ${said}`, ids: { lane } });
    }
    if (decision.actions.length === 0) return;
    await this.#change(one.lane, decision.actions, generation);
    one.changed(decision.actions, this.#facts.load(lane, generation) !== undefined);
  }

  async #change(lane: LaneJob, actions: readonly SchemaAction[], generation: number): Promise<void> {
    const { schema } = lane.sink;
    if (schema === undefined) return;
    const load = this.#facts.load(lane.name, generation);
    const how = { load, later: load !== undefined, signal: this.#facts.abort };
    await this.#patiently(lane, () => schema.change(actions, how));
  }

  /** Again after a while where the sink could not be reached: nothing of this does anything twice. */
  async #patiently<T>(lane: LaneJob, work: () => Promise<T>): Promise<T> {
    const { services, stop } = this.#facts;
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        const again = isWorthAnother(error) && tries < lane.retry.attempts && !stop.aborted;
        if (!again) throw failure(error, lane.name);
        await services.ports.sleep(backoffMs(tries, lane.retry, services.ports.random(), undefined), stop);
      }
    }
  }
}

/** A refusal stays one; what has already been decided here is not decided in another way the next time. */
function isWorthAnother(error: unknown): boolean {
  if (error instanceof NotAppliedError) return true;
  return !(error instanceof RefusedError) && !(error instanceof WaybillError && error.code !== 'SINK_FAILED');
}

function failure(error: unknown, lane: string): unknown {
  const about = error instanceof RefusedError || error instanceof NotAppliedError;
  if (error instanceof WaybillError && !about && error.code !== 'SINK_FAILED') return error;
  return new WaybillError('SCHEMA_FAILED', `lane ${lane}: ${mask(describeError(error))}`, {
    cause: error,
    ids: { lane },
    ...(error instanceof WaybillError && error.hint !== undefined ? { hint: error.hint } : {}),
  });
}

/** A source whose first chunk is looked at first: the first reading from the same place goes on with it. */
export class PeekedSource implements Source {
  readonly emits: Source['emits'];
  readonly resumable: boolean;
  readonly #source: Source;
  #held: { readonly first: Chunk | undefined; readonly rest: AsyncIterator<Chunk>; readonly from: string } | undefined;

  constructor(source: Source) {
    this.#source = source;
    this.emits = source.emits;
    this.resumable = source.resumable;
  }

  /** Undefined: the window is empty. */
  async first(range: ReadRange, signal: AbortSignal): Promise<Chunk | undefined> {
    const rest = this.#source.read(range, signal)[Symbol.asyncIterator]();
    const step = await rest.next();
    const first = step.done === true ? undefined : step.value;
    this.#held = { first, rest, from: JSON.stringify(range.from ?? null) };
    return first;
  }

  async *read(range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const held = this.#held;
    if (held === undefined || held.from !== JSON.stringify(range.from ?? null)) {
      await this.end();
      yield* this.#source.read(range, signal);
      return;
    }
    this.#held = undefined;
    try {
      if (held.first === undefined) return;
      yield held.first;
      for (let step = await held.rest.next(); step.done !== true; step = await held.rest.next()) yield step.value;
    } finally {
      await held.rest.return?.();
    }
  }

  /** Gives up what nobody has read. */
  async end(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    await held?.rest.return?.();
  }
}
