import { identify } from '../formats/identify.ts';
import type { Ledger, RunRow } from '../ledger/ledger.ts';
import type { Staging } from '../ledger/staging.ts';
import { describeError, WaybillError } from '../model/errors.ts';
import type { Guarantee } from '../model/guarantee.ts';
import type { LoadRow } from '../model/load.ts';
import { everyRow } from '../model/pages.ts';
import { EMPTY_BALANCE } from '../model/states.ts';
import type { Window } from '../model/window.ts';
import { NO_FACTS } from '../strategies/strategy.ts';
import { BatchRooms } from './batch-rooms.ts';
import type { Job, LaneJob, Plan, PlannedLane } from './engine.ts';
import { decideReading, goesOn, orderOf, type Reading } from './extract.ts';
import { surelyFits } from './fit-lane.ts';
import { type Decided, Intake } from './intake.ts';
import { type KeyReader, LaneMemory } from './lane-memory.ts';
import { asksForSchema, type ChunkSchema, LaneSchema } from './lane-schema.ts';
import { pullOf } from './pull.ts';
import { rangesOf } from './ranges.ts';
import { takenByAll } from './taken-formats.ts';

const LEFT_OUT_SHOWN_MAX = 100;

/** What a plan may look at. No ledger: nothing was ever run here, and none is made for asking. */
export interface PlanServices {
  readonly ledger?: Ledger;
  readonly staging: Staging;
}

/** Works out what a start would do now. Reads the source if a start would, and the ledger; writes and sends nothing. */
export async function planJob(
  job: Job,
  options: { refresh?: boolean; nothingNew?: string },
  services: PlanServices,
  signal: AbortSignal,
): Promise<Plan> {
  const run = await knownRun(job, services.ledger);
  const generation = run === undefined ? undefined : (await services.ledger!.read.generations(run.id)).at(-1);
  const loads = await knownLoads(job, services.ledger);
  const ask = {
    undone: loads.some(
      (load) => load.run === run?.id && load.generation === run.generation && load.state === 'replaced',
    ),
    refresh: options.refresh ?? false,
    resendAll: false,
    resumable: goesOn(job),
    lost: job.keep === 'none' && (await hasPending(run, services.ledger)),
    cancelled: run?.state === 'cancelled',
    pull: job.pull !== undefined,
  };
  const reading: Reading =
    options.nothingNew === undefined ? decideReading(generation, ask) : { reads: false, why: options.nothingNew };
  const compares = reading.reads && (reading.kind === 'refresh' || reading.kind === 'again');
  const drafts = job.lanes.map((lane) => {
    const how = { run, compares: compares && lane.strategy.load === undefined };
    return new LaneDraft(lane, job, services, how);
  });
  for (const draft of drafts) await draft.load();
  if (reading.reads) await readInto(drafts, job, { ...services, run }, signal);
  const lanes: PlannedLane[] = [];
  for (const [nth, draft] of drafts.entries()) {
    const warnings = reading.reads ? warningsOf(job.lanes[nth]!, job.window, loads) : [];
    const kept = keptWords(job, draft);
    lanes.push({ ...(await draft.planned()), warnings: [...warnings, ...kept] });
  }
  return {
    flow: job.flow,
    window: job.window,
    lanes,
    reading: { reads: reading.reads, why: reading.why },
    ...(run === undefined ? {} : { run }),
  };
}

function keptWords({ keep }: Job, draft: LaneDraft): readonly string[] {
  if (keep === 'none') return [NONE_KEPT];
  return keep === 'range' ? draft.kept : [];
}

const NONE_KEPT =
  'the bytes of batches are kept in memory alone: after a crash the sink is asked what had arrived, and the rest is ' +
  'read again';

/** What a crash comes to where nobody has the bytes afterwards. */
function inMemoryAlone(guarantee: Guarantee): Guarantee {
  const asked = "The sink is asked for the batch's marker; where there is none, its records are read again.";
  const crash: Guarantee['crash'] = [
    { point: 'before the intent', consequence: 'Nothing was sent; the next start reads its records again.' },
    { point: 'between intent and answer', consequence: asked },
    { point: 'after the answer, before it was recorded', consequence: asked },
    ...guarantee.crash.slice(-1),
  ];
  return { ...guarantee, crash };
}

async function knownRun(job: Job, ledger: Ledger | undefined): Promise<RunRow | undefined> {
  if (ledger === undefined) return undefined;
  return (await ledger.read.runs({ flow: job.flow, window: job.window.name, limit: 1 }))[0];
}

async function hasPending(run: RunRow | undefined, ledger: Ledger | undefined): Promise<boolean> {
  if (run === undefined) return false;
  return [...(await ledger!.read.balance(run.id)).values()].some(({ pending }) => pending > 0);
}

/** Of every lane of the flow, and of every window. */
async function knownLoads(job: Job, ledger: Ledger | undefined): Promise<readonly LoadRow[]> {
  return ledger === undefined ? [] : await ledger.read.loads({ flow: job.flow });
}

function warningsOf(lane: LaneJob, window: Window, loads: readonly LoadRow[]): readonly string[] {
  const own = loads.filter((load) => load.lane === lane.name);
  return lane.strategy.load?.warnings?.({ flow: lane.facts ?? NO_FACTS, loads: own, window }) ?? [];
}

async function readInto(
  drafts: readonly LaneDraft[],
  job: Job,
  services: PlanServices & { readonly run: RunRow | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { key, exclude, source } = job.source;
  const seed = services.ledger?.identity.seed ?? new Uint8Array(16);
  let rowsBefore = 0;
  const { window, parameters } = job;
  const known = services.ledger === undefined ? {} : { read: services.ledger.read, staging: services.staging };
  const takes = await takenByAll(job.lanes, services.run?.id, known);
  for await (const chunk of source.read({ window, parameters, takes, ...rangesOf(job), ...pullOf(job) }, signal)) {
    signal.throwIfAborted();
    const identities = identify(chunk, { key, exclude, seed });
    const order = orderOf(chunk);
    for (const draft of drafts) await draft.take({ chunk, identities, order, rowsBefore, trail: undefined }, signal);
    rowsBefore += order.length;
  }
  for (const draft of drafts) draft.end();
}

const NOTHING_KNOWN: KeyReader = {
  laneKeys: async () => [],
  findKeys: async () => [],
  batches: async () => [],
  records: async () => ({ records: [] }),
  batch: () => Promise.reject(new RangeError('no batch is known before the first run')),
};

/** One lane of a plan: the same intake that a start uses, whose batches are counted and thrown away. */
class LaneDraft {
  readonly #lane: LaneJob;
  readonly #services: PlanServices;
  readonly #run: RunRow | undefined;
  readonly #compares: boolean;
  readonly #bytesKept: boolean;
  readonly #memory: LaneMemory;
  readonly #intake: Intake;
  readonly #fresh = { batches: 0, records: 0, bytes: 0, largestRecords: 0, largestBytes: 0 };
  readonly #counts = { same: 0, changed: 0, duplicates: 0, read: 0 };
  readonly #schema: LaneSchema | undefined;
  #ranges = 0;
  readonly #says: string[] = [];
  readonly #leftOut: { row: number; code: string; message: string }[] = [];

  constructor(lane: LaneJob, job: Job, services: PlanServices, how: { run: RunRow | undefined; compares: boolean }) {
    this.#lane = lane;
    this.#services = services;
    this.#run = how.run;
    this.#compares = how.compares;
    this.#bytesKept = job.keep !== 'none';
    this.#schema = asksForSchema(lane) ? new LaneSchema(lane, job.flow, services.ledger?.read) : undefined;
    const known = how.run !== undefined && how.compares;
    this.#memory = new LaneMemory(
      { run: how.run?.id ?? (0 as RunRow['id']), lane: lane.name, generation: (how.run?.generation ?? 0) + 1 },
      { reader: known ? services.ledger!.read : NOTHING_KNOWN, staging: services.staging },
      { compares: how.compares, keyed: job.source.key !== null, bytesKept: this.#bytesKept },
    );
    const seed = services.ledger?.identity.seed ?? new Uint8Array(16);
    const begin = { seed, decided: 0, skip: 0, trail: undefined, rooms: new BatchRooms() };
    this.#intake = new Intake(lane, job.source, this.#memory, begin);
  }

  async load(): Promise<void> {
    await this.#memory.load();
  }

  async take(rows: Parameters<Intake['take']>[0], signal: AbortSignal): Promise<void> {
    const schema = await this.#met(rows, signal);
    if (schema === undefined) return;
    await this.#intake.take(rows, 0, schema);
    this.#count(this.#intake.drain());
  }

  /** Undefined where nothing of the chunk would be sent. */
  async #met({ chunk }: Parameters<Intake['take']>[0], signal: AbortSignal): Promise<ChunkSchema | undefined> {
    if (this.#schema === undefined) return {};
    try {
      const { met, fresh } = await this.#schema.meet(chunk, signal);
      if (fresh) this.#says.push(...met.decision.says);
      return met;
    } catch (error) {
      const message = describeError(error);
      const about = error instanceof WaybillError && error.code === 'SCHEMA_DIFFERS';
      const said = about ? message : `the columns of the sink could not be read: ${message}`;
      if (!this.#says.includes(said)) this.#says.push(said);
      return about ? undefined : {};
    }
  }

  end(): void {
    this.#intake.end();
    this.#count(this.#intake.drain());
  }

  #count(decided: Decided): void {
    for (const batch of decided.batches) {
      if (batch.ranges !== undefined) this.#ranges++;
      this.#fresh.batches++;
      this.#fresh.records += batch.records;
      this.#fresh.bytes += batch.bytes.length;
      this.#fresh.largestRecords = Math.max(this.#fresh.largestRecords, batch.records);
      this.#fresh.largestBytes = Math.max(this.#fresh.largestBytes, batch.bytes.length);
    }
    for (const name of ['same', 'changed', 'duplicates', 'read'] as const) this.#counts[name] += decided.counts[name];
    for (const { row, code, message } of decided.unbatched) {
      if (this.#leftOut.length < LEFT_OUT_SHOWN_MAX) this.#leftOut.push({ row, code, message });
    }
  }

  /** What ranges ask of a person; and of how many batches they would be. */
  get kept(): readonly string[] {
    const { batches } = this.#fresh;
    if (batches === 0) return [];
    const copies = batches - this.#ranges;
    const rest = copies === 0 ? '' : `; ${copies} are copied`;
    return [
      `${this.#ranges} of ${batches} batches are ranges of the source: what they are made of has to stay as it is ` +
        `until they are decided${rest}`,
    ];
  }

  async planned(): Promise<Omit<PlannedLane, 'warnings'>> {
    const fit = surelyFits(this.#lane);
    const { same, changed, read } = this.#counts;
    const vanished = this.#compares ? await this.#memory.vanished() : 0;
    return {
      lane: this.#lane.name,
      strategy: this.#lane.strategy.name,
      guarantee: this.#bytesKept ? fit.guarantee : inMemoryAlone(fit.guarantee),
      ordered: fit.ordered === 'always',
      fresh: this.#fresh,
      unbatched: this.#leftOut,
      schema: this.#says,
      ...(await this.#standing()),
      ...(this.#compares ? { compared: { same, changed, vanished, fresh: read - same - changed } } : {}),
    };
  }

  /** What is sealed, in doubt and decided already. */
  async #standing(): Promise<Pick<PlannedLane, 'ready' | 'doubts' | 'balance'>> {
    const ready = { batches: 0, records: 0, bytes: 0 };
    if (this.#run === undefined) return { ready, doubts: 0, balance: EMPTY_BALANCE };
    const { read } = this.#services.ledger!;
    const at = { run: this.#run.id, lane: this.#lane.name };
    let doubts = 0;
    const open = { ...at, states: ['sealed', 'sending', 'in-doubt'] as const };
    for await (const batch of everyRow(
      (page) => read.batches({ ...open, ...page }),
      (row) => row.id,
    )) {
      if (batch.state !== 'sealed') doubts++;
      // What was in memory alone is read again.
      else if (this.#bytesKept) {
        ready.batches++;
        ready.records += batch.records;
        ready.bytes += batch.bytes;
      }
    }
    return { ready, doubts, balance: (await read.balance(this.#run.id)).get(this.#lane.name) ?? EMPTY_BALANCE };
  }
}
