import type { Answer, ClaimShard, Ledger, RunClaim, ShardClaim } from '../ledger/ledger.ts';
import type { Guarantee } from '../model/guarantee.ts';
import { type BatchId, showRun } from '../model/ids.ts';
import { mask } from '../model/masking.ts';
import type { Balance } from '../model/states.ts';
import type { Window } from '../model/window.ts';
import type { AttemptNotes, LaneContext } from '../strategies/strategy.ts';
import type { BatchRooms } from './batch-rooms.ts';
import type { LaneJob, RunSummary, Services, SourceJob, StopSignals } from './engine.ts';
import type { LaneLoad } from './load.ts';
import { Pace } from './pace.ts';
import { Payloads } from './payloads.ts';
import { PermitDesk } from './permit.ts';
import { Remaker } from './remake.ts';

/** Goes on with another window of the flow, as far as these batches of this lane, and concludes it if that was all. */
export type GoOnElsewhere = (window: Window, only: readonly BatchId[], signals: StopSignals) => Promise<RunSummary>;

/** Everything that one lane of one start works with, made once. */
export interface LaneRuntime {
  readonly job: LaneJob;
  readonly guarantee: Guarantee;
  /** One batch after the other. */
  readonly ordered: boolean;
  readonly run: RunClaim;
  readonly owner: string;
  readonly leaseMs: number;
  readonly services: Services;
  readonly ledger: Ledger;
  readonly payloads: Payloads;
  readonly pace: Pace;
  readonly desk: PermitDesk;
  readonly tally: LaneTally;
  readonly correlationId: string;
  /** Where its batches are collected, if that is how the lane writes. */
  readonly load: LaneLoad | undefined;
  /** Where the bytes of a batch go back to when its sink is done with them. */
  readonly rooms: BatchRooms;
  readonly elsewhere: GoOnElsewhere;
  /** How many intents may be durable beyond the sends under way. */
  readonly intendAhead: number;
  /** Writes by position: to one place for all windows of the flow, or to one of its own. */
  readonly place: ClaimShard['place'];
  /** Where the sink stands, as far as the last answer told; the ledger keeps it where nobody else writes there. */
  position: string | undefined;
}

export function laneRuntime(
  job: LaneJob,
  facts: Pick<
    LaneRuntime,
    | 'guarantee'
    | 'ordered'
    | 'run'
    | 'owner'
    | 'leaseMs'
    | 'services'
    | 'tally'
    | 'correlationId'
    | 'load'
    | 'rooms'
    | 'position'
    | 'elsewhere'
  > & { readonly source: SourceJob },
): LaneRuntime {
  const { services, source, ...runtime } = facts;
  const remaker = new Remaker(source, job, services.ledger.identity.seed);
  const place = placeOf(job, facts.guarantee);
  return {
    ...runtime,
    services,
    job,
    place,
    // Other windows may have written since this one did.
    position: place === 'lane' ? undefined : facts.position,
    intendAhead: facts.ordered ? 0 : (job.intendAhead ?? defaultAhead(job, facts.guarantee)),
    ledger: services.ledger,
    payloads: new Payloads(services.staging, job.sink.accepts, remaker.remake),
    pace: new Pace(services.ports, job.limits.inFlight, job.rate ?? job.sink.rate),
    desk: new PermitDesk(services.ports),
  };
}

function placeOf({ sink }: LaneJob, { rung }: Guarantee): ClaimShard['place'] {
  if (rung !== 'position') return undefined;
  return sink.facts.placePerWindow === true ? 'window' : 'lane';
}

/** Sending so many takes much longer than the intent for the next; to hold its bytes would cost memory for nothing. */
const LARGE_BATCH_RECORDS = 5_000;

/** An intent too many costs nothing where a lost answer is settled, and leaves a doubt where it is not. */
const defaultAhead = ({ limits }: LaneJob, guarantee: Guarantee): number =>
  guarantee.rung === 'none' || limits.recordsPerBatch >= LARGE_BATCH_RECORDS ? 0 : limits.inFlight;

export function laneContext(lane: LaneRuntime, signal: AbortSignal): LaneContext {
  return {
    sink: lane.job.sink,
    lane: lane.job.name,
    correlationId: lane.correlationId,
    signal,
    wait: (ms) => lane.services.ports.sleep(ms, signal),
    ...(lane.position === undefined ? {} : { position: lane.position }),
  };
}

/** One name for one shard, whatever other ledgers, runs and lanes write to the same sink. */
export const shardName = ({ run, lane, shard }: ShardClaim, { ledger }: Pick<LaneRuntime, 'ledger'>): string =>
  `${ledger.identity.id}/${showRun(run)}/${lane}/${shard}`;

/** The strategy's notes without the holes that the ledger's row may have. */
export function asNotes(notes: Readonly<Record<string, string | undefined>>): AttemptNotes {
  return Object.fromEntries(Object.entries(notes).filter(([, value]) => value !== undefined)) as AttemptNotes;
}

/** What a lane has come to so far in this start; for progress and the summary. */
export class LaneTally {
  attempts = 0;
  #waits: string | undefined;
  readonly answers: Record<Answer['kind'], number> = { verdict: 0, 'not-applied': 0, refused: 0, lost: 0 };
  #balance: { -readonly [K in keyof Balance]: number };

  constructor(start: Balance) {
    this.#balance = { ...start };
  }

  reset(balance: Balance): void {
    this.#balance = { ...balance };
  }

  get balance(): Balance {
    return this.#balance;
  }

  /** Why the last batch has not got through; undefined when one has, or nothing is tried again. Holds no secret. */
  get waits(): string | undefined {
    return this.#waits;
  }

  waitsFor(reason: string | undefined): void {
    this.#waits = reason === undefined ? undefined : mask(reason);
  }

  /** Moves `count` records from one state to another; from nowhere when they were just read. */
  move(count: number, to: keyof Balance, from?: keyof Balance): void {
    this.#balance[to] += count;
    if (from === undefined) this.#balance.read += count;
    else this.#balance[from] -= count;
  }
}
