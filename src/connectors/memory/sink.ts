import { Buffer } from 'node:buffer';
import { parseObject } from '../../formats/rows.ts';
import { type Batch, type Framing, LINES, type Limits, type Payload } from '../../model/batch.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Clock } from '../../model/ports.ts';
import type { Receipt } from '../../model/receipt.ts';
import { allOf, OUTCOME, type Refusal, type Verdict } from '../../model/verdict.ts';
import type { Abilities, AbilityFacts, Found, LoadAbilities, LostSend, Permit, Rate, Sink } from '../connector.ts';
import { addBatch, loadAbilities, type StepFaults } from './load-abilities.ts';
import { type MemoryAnswer, type MemoryCall, type MemoryEffect, MemoryTable } from './store.ts';

export const MEMORY_ABILITIES = [
  'append',
  'appendAt',
  'appendOnce',
  'commitOnce',
  'marked',
  'put',
  'job',
  'find',
  'fence',
] as const;
/** What it can do with loads. */
export const MEMORY_LOADS = [
  'load',
  'appendLoad',
  'replace',
  'merge',
  'mergeAt',
  'addToPeriod',
  'publish',
  'versions',
] as const;
export type MemoryAbility = (typeof MEMORY_ABILITIES)[number] | (typeof MEMORY_LOADS)[number];

export interface MemorySinkOptions extends StepFaults {
  /** Where it keeps what it is sent; a table of its own when absent. */
  readonly table?: MemoryTable;
  /** All of them when absent. */
  readonly abilities?: readonly MemoryAbility[];
  readonly accepts?: readonly Framing[];
  readonly limits?: Partial<Limits>;
  readonly requestTimeoutMs?: number;
  readonly rate?: Rate;
  /** Refuses the whole batch, and applies nothing, when one record is refused. */
  readonly rejectsAtomically?: boolean;
  /** How long an idempotency key is remembered; needs `clock`. For ever when absent. */
  readonly key?: { readonly horizonMs: number; readonly storesErrors: boolean };
  /** `find` does not see what is younger; needs `clock`. */
  readonly visibilityLagMs?: number;
  readonly clock?: Clock;
  /** How many times a job says `running` before it is done. */
  readonly jobPolls?: number;
  /** Why this record is refused; undefined for one that is taken. */
  refuse?(text: string): Omit<Refusal, 'index'> | undefined;
  /** Called before anything is looked at or changed. What it throws, the caller gets: a fault on the way there. */
  before?(call: MemoryCall): void | Promise<void>;
  /** Called after the effect. What it throws is what the caller gets: the answer was lost on the way back. */
  after?(call: MemoryCall): void | Promise<void>;
}

export type MemorySink = Sink & { readonly table: MemoryTable };

/**
 * A sink in memory with every ability that a sink can have. It keeps what it was sent, so a test compares effects, not
 * claims about them. Which abilities it shows is configuration: a sink that cannot do something has no such method.
 */
export function memorySink(options: MemorySinkOptions = {}): MemorySink {
  const table = options.table ?? new MemoryTable();
  const shown = options.abilities ?? [...MEMORY_ABILITIES, ...MEMORY_LOADS];
  const writer = new MemoryWriter(table, options, shown.includes('fence'));
  const all: Abilities & LoadAbilities = {
    ...abilitiesOf(writer),
    ...loadAbilities(table, options, (permit) => writer.addToLoad(permit)),
  };
  const facts: AbilityFacts = {
    ...(shown.includes('appendOnce') && {
      key: options.key ?? { horizonMs: Number.MAX_SAFE_INTEGER, storesErrors: false },
    }),
    ...(shown.includes('find') && { visibilityLagMs: options.visibilityLagMs ?? 0 }),
    ...(shown.includes('appendAt') && { tail: async () => String(table.effects.length) }),
    ...(options.rejectsAtomically === true && { rejectsAtomically: true }),
    ...(shown.includes('load') && { loadRung: 'marker' }),
    ...(shown.includes('versions') && { retention: 'every version, until the process ends' }),
  };
  return {
    table,
    accepts: options.accepts ?? [LINES],
    limits: { recordsPerBatch: 100, inFlight: 4, ...options.limits },
    can: Object.fromEntries(shown.map((name) => [name, all[name]])),
    facts,
    requestTimeoutMs: options.requestTimeoutMs ?? 1000,
    ...(options.rate === undefined ? {} : { rate: options.rate }),
  };
}

function abilitiesOf(writer: MemoryWriter): Abilities {
  return {
    append: (permit) => writer.append(permit),
    appendAt: (permit, expected) => writer.appendAt(permit, expected),
    appendOnce: (permit) => writer.appendOnce(permit),
    commitOnce: (permit) => writer.commitOnce(permit),
    marked: async (lost) => writer.marked(lost),
    put: (permit) => writer.put(permit),
    find: async (batch, payload) => writer.find(batch, payload),
    fence: async (shard, fence) => writer.fence(shard, fence),
    job: {
      open: (permit) => writer.openJob(permit),
      send: (handle, permit) => writer.sendJob(handle, permit),
      state: async (handle) => writer.jobState(handle),
    },
  };
}

interface Arrived {
  readonly call: MemoryCall;
  readonly payload: Payload;
  readonly batch: Batch;
}

class MemoryWriter {
  readonly #table: MemoryTable;
  readonly #options: MemorySinkOptions;
  readonly #fences: boolean;

  constructor(table: MemoryTable, options: MemorySinkOptions, fences: boolean) {
    this.#table = table;
    this.#options = options;
    this.#fences = fences;
  }

  append(permit: Permit): Promise<Verdict> {
    return this.#send('append', permit, (arrived) => this.#apply(arrived));
  }

  appendAt(permit: Permit, expected: string): Promise<Verdict> {
    return this.#send('appendAt', permit, (arrived) => {
      const taken = this.#taken(arrived);
      const there = this.#table.effects.slice(Number(expected), Number(expected) + taken.length);
      const repeat = there.length === taken.length && taken.every((text, at) => there[at]?.text === text);
      if (String(this.#table.effects.length) === expected) return this.#apply(arrived);
      if (!repeat || taken.length === 0) {
        throw new RefusedError(`the sink stands at ${this.#table.effects.length}, not at ${expected}`, {
          reason: 'position',
        });
      }
      return this.#verdict(arrived, { summary: 'already there', position: String(Number(expected) + taken.length) });
    });
  }

  appendOnce(permit: Permit): Promise<Verdict> {
    return this.#send('appendOnce', permit, (arrived) => {
      const { idempotencyKey, digest } = arrived.batch;
      const known = this.#remembered(idempotencyKey);
      if (known !== undefined && known.digest !== digest) {
        throw new RefusedError('this key was used for other content', { reason: 'key-reused' });
      }
      if (known?.outcome instanceof RefusedError) throw known.outcome;
      if (known !== undefined) return known.outcome as Verdict;
      return this.#remember(idempotencyKey, digest, () => this.#apply(arrived));
    });
  }

  commitOnce(permit: Permit): Promise<Verdict | 'already'> {
    return this.#send<Verdict | 'already'>('commitOnce', permit, (arrived) => {
      const { idempotencyKey, digest } = arrived.batch;
      const marker = this.#table.markers.get(idempotencyKey);
      if (marker !== undefined && marker.digest !== digest) {
        throw new RefusedError('the marker of this batch has another digest', { reason: 'marker' });
      }
      if (marker !== undefined) return 'already';
      if ((this.#table.shutOut.get(idempotencyKey) ?? 0) >= permit.attempt) {
        throw new NotAppliedError('it was asked for this attempt, and lets it in no more');
      }
      const verdict = this.#apply(arrived);
      this.#table.markers.set(idempotencyKey, { digest, fence: permit.fence });
      return verdict;
    });
  }

  marked({ batch, attempt }: LostSend): boolean {
    const there = this.#table.markers.has(batch.idempotencyKey);
    if (!there) this.#table.shutOut.set(batch.idempotencyKey, attempt);
    return there;
  }

  put(permit: Permit): Promise<Verdict> {
    return this.#send('put', permit, (arrived) => {
      const before = this.#table.effects.length;
      const verdict = this.#apply(arrived);
      for (const effect of this.#table.effects.slice(before)) this.#table.byKey.set(effect.key, effect);
      return verdict;
    });
  }

  addToLoad(permit: Permit): Promise<Verdict | 'already'> {
    return this.#send<Verdict | 'already'>('load.add', permit, ({ payload, batch }) => {
      const [refusal] = this.#refusals(payload);
      if (refusal !== undefined) {
        throw new RefusedError(`record ${refusal.index + 1} of the batch: ${refusal.message}`, {
          reason: refusal.code,
        });
      }
      const rows = textsOf(payload).map((text) => parseObject(text));
      return addBatch(this.#table.loads, permit.load, batch, rows);
    });
  }

  openJob(permit: Permit): Promise<string> {
    return this.#send('job.open', permit, ({ batch }) => {
      const handle = `job-${this.#table.jobs.size + 1}`;
      this.#table.jobs.set(handle, { handle, batch: batch.id, sent: false, polls: 0 });
      return handle;
    });
  }

  async sendJob(handle: string, permit: Permit): Promise<void> {
    await this.#send('job.send', permit, (arrived) => {
      const job = this.#table.jobs.get(handle);
      if (job === undefined) throw new RefusedError(`there is no job ${handle}`, { reason: 'job-unknown' });
      if (job.sent) return;
      job.sent = true;
      job.answer = this.#apply(arrived);
    });
  }

  jobState(handle: string): Verdict | 'running' | 'empty' {
    const job = this.#table.jobs.get(handle);
    if (job === undefined || !job.sent) return 'empty';
    job.polls += 1;
    return job.polls <= (this.#options.jobPolls ?? 0) ? 'running' : (job.answer as Verdict);
  }

  find(batch: Batch, payload: Payload): Found {
    const lag = this.#options.visibilityLagMs ?? 0;
    const seen = this.#table.effects.filter(
      ({ call, atMs }) => call.idempotencyKey === batch.idempotencyKey && (lag === 0 || this.#now() - atMs >= lag),
    );
    const keys = new Set(seen.map((effect) => effect.key));
    const records = hexKeys(payload).map((key) => (keys.has(key) ? ('applied' as const) : ('absent' as const)));
    return { records, evidence: `${keys.size} of ${batch.records} records were found` };
  }

  fence(shard: string, fence: number): void {
    this.#table.fences.set(shard, Math.max(fence, this.#table.fences.get(shard) ?? 0));
  }

  async #send<T>(ability: string, permit: Permit, work: (arrived: Arrived) => T): Promise<T> {
    const { batch, attempt, fence, correlationId } = permit;
    const { lane, idempotencyKey, records, bytes } = batch;
    const call = { ability, lane, batch: batch.id, attempt, fence, idempotencyKey, correlationId, records, bytes };
    if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
    const payload = await permit.payload();
    this.#table.calls.push(call);
    await this.#options.before?.(call);
    const raised = this.#table.fences.get(permit.shard);
    if (this.#fences && raised !== undefined && fence < raised) {
      throw new RefusedError(`fence ${fence} is older than ${raised}`, { reason: 'fenced' });
    }
    const result = work({ call, payload, batch });
    await this.#options.after?.(call);
    return result;
  }

  #apply(arrived: Arrived): Verdict {
    const refusals = this.#refusals(arrived.payload);
    if (this.#options.rejectsAtomically === true && refusals.length > 0) {
      throw new RefusedError(`${refusals.length} records were refused, and the batch with them`, {
        reason: refusals[0]!.code,
      });
    }
    const refused = new Set(refusals.map(({ index }) => index));
    const keys = hexKeys(arrived.payload);
    const atMs = this.#now();
    for (const [at, text] of textsOf(arrived.payload).entries()) {
      const effect: MemoryEffect = { call: arrived.call, key: keys[at]!, text, atMs };
      if (!refused.has(at)) this.#table.effects.push(effect);
    }
    const count = arrived.batch.records - refusals.length;
    const summary = `${count} of ${arrived.batch.records} applied`;
    return this.#verdict(arrived, { summary, position: String(this.#table.effects.length) });
  }

  #verdict({ payload }: Arrived, receipt: Receipt): Verdict {
    const refusals = this.#refusals(payload);
    const outcomes = allOf(OUTCOME.applied, payload.spans.length / 2);
    for (const { index } of refusals) outcomes[index] = OUTCOME.refused;
    return { outcomes, refusals, receipt };
  }

  #refusals(payload: Payload): readonly Refusal[] {
    const refuse = this.#options.refuse;
    if (refuse === undefined) return [];
    return textsOf(payload).flatMap((text, index) => {
      const why = refuse(text);
      return why === undefined ? [] : [{ ...why, index }];
    });
  }

  #taken({ payload }: Arrived): readonly string[] {
    const refused = new Set(this.#refusals(payload).map(({ index }) => index));
    return textsOf(payload).filter((_, index) => !refused.has(index));
  }

  #remember(key: string, digest: string, work: () => Verdict): Verdict {
    const keep = (outcome: unknown): void => {
      this.#table.answers.set(key, { digest, firstAtMs: this.#now(), outcome });
    };
    try {
      const verdict = work();
      keep(verdict);
      return verdict;
    } catch (error) {
      if (this.#options.key?.storesErrors === true) keep(error);
      throw error;
    }
  }

  #remembered(key: string): MemoryAnswer | undefined {
    const known = this.#table.answers.get(key);
    const horizon = this.#options.key?.horizonMs ?? Number.MAX_SAFE_INTEGER;
    return known !== undefined && this.#now() - known.firstAtMs < horizon ? known : undefined;
  }

  #now(): number {
    return this.#options.clock?.monotonicMs() ?? 0;
  }
}

function textsOf({ bytes, spans }: Payload): readonly string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: spans.length / 2 }, (_, at) => buffer.toString('utf8', spans[at * 2], spans[at * 2 + 1]));
}

function hexKeys({ keys }: Payload): readonly string[] {
  const hex = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength).toString('hex');
  return Array.from({ length: keys.length / 16 }, (_, at) => hex.slice(at * 32, at * 32 + 32));
}
