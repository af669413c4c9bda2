import type { Batch } from '../model/batch.ts';
import type { ColumnsEvent, EventRow } from '../model/event.ts';
import type { DoubtPolicy, Rung } from '../model/guarantee.ts';
import type { BatchId, RunId } from '../model/ids.ts';
import type { LoadMove, LoadRow } from '../model/load.ts';
import type { Position } from '../model/position.ts';
import type { Receipt } from '../model/receipt.ts';
import type { KeptSchema, LeftOut, LeftOutRow } from '../model/schema.ts';
import type { HistoryChanges, LookRow, PullReader, Slice } from '../model/slice.ts';
import type { Balance, BatchState, RecordState, RunState } from '../model/states.ts';
import type { Refusal } from '../model/verdict.ts';
import type { Window } from '../model/window.ts';

export { EVENT_KINDS, type EventKind, type EventRow } from '../model/event.ts';

/**
 * The ledger: the only truth about runs, batches, attempts and doubts. One method, one transaction, durable when its
 * promise resolves; whatever is asked while a commit runs shares the next one. Every write that belongs to claimed
 * work carries the fence it was claimed under, and is refused with FENCED when somebody has claimed it since.
 * Times are the ledger's own clock, in milliseconds since 1970.
 *
 * Errors: FENCED, LEASE_HELD, MOVE_FORBIDDEN, RUN_UNKNOWN, BATCH_UNKNOWN (the caller's), LEDGER_WRITE, LEDGER_BUSY
 * (the disk's or a neighbour's; nothing was written), LEDGER_AWAY (the server's; whether it was written is not known,
 * as after a crash), LEDGER_CORRUPT (digests do not agree; decide nothing).
 */
export interface Ledger {
  readonly identity: LedgerIdentity;
  readonly read: LedgerReader;

  /** Opens the run of a window, new or going on, and claims it for `owner`. LEASE_HELD when somebody has it. */
  openRun(ask: OpenRun): Promise<OpenedRun>;
  renewRun(ask: RunClaim & { leaseMs: number }): Promise<{ leaseUntilMs: number }>;
  releaseRun(ask: RunClaim): Promise<void>;
  /** Voids every lease of an owner that is proved gone, at once; recorded as an event of each run. */
  breakLeases(ask: { owner: string; evidence: string }): Promise<{ broken: number }>;

  startGeneration(ask: StartGeneration): Promise<{ generation: number }>;
  /** Batches, their members, the records that never got into one, and the position: all or nothing. */
  seal(ask: Seal): Promise<{ batches: readonly BatchId[] }>;
  /** The window was read to its end. What got into no batch in earlier generations is superseded by this one. */
  closeGeneration(ask: CloseGeneration): Promise<readonly SupersededCounts[]>;
  /** Ends a generation whose extraction stopped half-way and cannot be forgotten; it supersedes nothing. */
  interruptGeneration(ask: RunClaim & { generation: number }): Promise<void>;
  /** Forgets what an interrupted extraction had sealed. Refused once any of it has been attempted. */
  abandonGeneration(ask: RunClaim & { generation: number; reason: string }): Promise<{ records: number }>;

  /**
   * Claims the next shard of a lane that has work and no valid lease: fence + 1. Batches that were `sending` under an
   * older fence come back in `lost`, already marked in doubt. Undefined when there is nothing to claim.
   */
  claimShard(ask: ClaimShard): Promise<Shard | undefined>;
  renewShard(ask: ShardClaim & { leaseMs: number }): Promise<{ leaseUntilMs: number }>;
  releaseShard(ask: ShardClaim): Promise<void>;

  /** Durable before the first byte. sealed -> sending; in-doubt batches cannot be intended. */
  intend(ask: Intend): Promise<{ attempt: number }>;
  /** Adds notes to an open attempt. */
  note(ask: ShardClaim & AttemptRef & { notes: Notes }): Promise<void>;
  /** The verdict of an attempt and all that follows from it. The same answer twice changes nothing. */
  answer(ask: ShardClaim & AttemptRef & { answer: Answer }): Promise<Moved>;
  /** Decides (part of) a batch in doubt. `who` is a person, `policy:…` or `sink:…`. */
  settle(ask: Settle): Promise<Moved>;
  /** Sends refused records again in children: by a person, or after the data or the sink was mended. */
  retry(ask: { batch: BatchId; children: readonly Child[]; who: string; reason: string }): Promise<Moved>;

  /** A step of a lane's load: begun before it is asked for, done or proved undone afterwards. */
  moveLoad(ask: RunClaim & LoadMove): Promise<LoadRow>;
  /** What a lane sends from this generation on: an event of the run, so that later windows can be held against it. */
  keepSchema(ask: RunClaim & KeptSchema): Promise<void>;
  pause(ask: { run: RunId; lane?: string; who: string; reason: string }): Promise<void>;
  resume(ask: { run: RunId; lane?: string; who: string }): Promise<void>;
  /** Pending records become skipped; what is in doubt stays so. */
  cancel(ask: { run: RunId; who: string; reason: string }): Promise<void>;
  /** Works out what the run has come to; asserts that it balances; the state stays open while anything is pending. */
  concludeRun(ask: RunClaim): Promise<RunRow>;
  failRun(ask: RunClaim & { code: string; message: string }): Promise<RunRow>;
  /** Somebody has looked whether a source has anything new; all that a look in vain leaves behind. */
  looked(ask: { flow: string; sourceName: string } & Pick<LookRow, 'kind' | 'why'>): Promise<void>;
  /**
   * Null removes it. Refused with LEASE_HELD while a run of the flow is claimed, with MOVE_FORBIDDEN while a pull has
   * begun to read and not come to its end: it goes on from where the source stands. An event of `NO_RUN` tells of it.
   */
  setPosition(ask: { flow: string; sourceName: string; position: Position | null; who: string }): Promise<void>;

  /**
   * One bounded step of building the key index; `done` when there is nothing left. Never needed for correctness.
   * `only`: `parts` merges as few of them as it can; `full-parts` leaves for later what does not fill one, too.
   */
  indexKeys(ask: { run?: RunId; only?: 'parts' | 'full-parts' }): Promise<{ done: boolean }>;
  /** An emitter has passed on every event up to this one. */
  emitted(ask: { emitter: string; seq: number }): Promise<void>;
  close(): Promise<void>;
}

export interface LedgerIdentity {
  /** A UUID made with the ledger. */
  readonly id: string;
  /** 16 secret bytes made with the ledger: keys and digests are keyed with them. */
  readonly seed: Uint8Array;
  readonly schemaVersion: number;
  /** For messages: the file, or the database without its password. */
  readonly place: string;
  /** The ledger shares the disk with the staging folder: a journal beside it would prove nothing more. */
  readonly local: boolean;
}

export interface RunClaim {
  readonly run: RunId;
  readonly fence: number;
}
/** A shard of a lane: batches `shard * SHARD_BATCHES + 1` to `(shard + 1) * SHARD_BATCHES` by seq. */
export interface ShardClaim extends RunClaim {
  readonly lane: string;
  readonly shard: number;
}
export const SHARD_BATCHES = 1024;

export interface AttemptRef {
  readonly batch: BatchId;
  readonly attempt: number;
}
export interface RecordRef {
  readonly batch: BatchId;
  readonly index: number;
}

export interface OpenRun {
  readonly flow: string;
  readonly window: Window;
  readonly lanes: readonly LaneSpec[];
  /** Names the process so that another can find out whether it is gone. Opaque here. */
  readonly owner: string;
  readonly leaseMs: number;
  /** Kept from the first start when absent here. */
  readonly correlationId?: string;
  readonly configDigest: string;
}
export interface LaneSpec {
  readonly lane: string;
  readonly connector: string;
  readonly strategy: string;
  readonly rung: Rung;
  readonly onDoubt: DoubtPolicy;
  readonly mappingDigest: string;
}
export interface OpenedRun {
  readonly run: RunRow;
  readonly lanes: readonly LaneRow[];
  readonly fence: number;
  readonly leaseUntilMs: number;
  readonly created: boolean;
  /** The latest generation, if any; `open` means that its extraction was interrupted. */
  readonly generation?: GenerationRow;
}

/** `first`; `again`: the first was interrupted; `refresh`: a person asked; `resend`: send everything once more. */
export type GenerationKind = 'first' | 'again' | 'refresh' | 'resend';

export interface Seal extends RunClaim {
  readonly generation: number;
  readonly batches: readonly SealedBatch[];
  readonly unbatched: readonly Unbatched[];
  /** Where the source stands, and how many rows of this extraction lie before that; a lane may have decided more. */
  readonly position?: Position;
  readonly rows: number;
  /** What was read up to the position, in the engine's own words; so that a reading that goes on can be checked. */
  readonly trail?: string;
  readonly counts: readonly LaneCounts[];
  /** In a pull: what these records are as one; it goes with a position. */
  readonly slice?: Slice;
  readonly history?: HistoryChanges;
}
/** How many more records of a generation a lane has met since the last seal, and what they were. */
export interface LaneCounts {
  readonly lane: string;
  /** read = same + in batches + unbatched. */
  readonly read: number;
  /** Already delivered, pending or in doubt with the same content. */
  readonly same: number;
  /** Of those in batches or unbatched: the key was there with other content. */
  readonly changed: number;
  /** Of those in batches or unbatched: the key came more than once in this extraction. */
  readonly duplicates: number;
  /** What was read up to the last row that the lane has decided. */
  readonly trail?: string;
}
export interface SealedBatch {
  readonly lane: string;
  readonly records: number;
  readonly bytes: number;
  /** SHA-256 of the encoded bytes. */
  readonly digest: Uint8Array;
  /** 16 bytes a record. */
  readonly keys: Uint8Array;
  readonly staged: StagedAt;
  /** Columns that were left out of records of it, and of how many. */
  readonly leftOut?: LeftOut;
}
/** Where frozen bytes lie. `trailer`: spans and digests, after the bytes. */
export interface StagedAt {
  readonly segment: string;
  readonly offset: number;
  readonly bytes: number;
  readonly trailerBytes: number;
}
export interface StartGeneration extends RunClaim {
  readonly kind: GenerationKind;
  readonly reason: string;
  /** Sealed batches that cannot be sent any more; they become skipped, and this generation reads again. */
  readonly withdraw?: readonly BatchId[];
  /** The run was cancelled when this start opened it, and is begun again. Else one that is cancelled stays so. */
  readonly reopens?: boolean;
}

export interface CloseGeneration extends RunClaim {
  readonly generation: number;
  /** How many records of earlier generations a lane has whose key this one did not bring; none in others. */
  readonly vanished: readonly { readonly lane: string; readonly records: number }[];
  /** Refused or skipped records of earlier generations whose place was taken by what this one read, or by nothing. */
  readonly superseded?: readonly { readonly batch: BatchId; readonly picks: readonly number[] }[];
}
/** How many records of a lane, by what they were, count no more since a generation was closed. */
export interface SupersededCounts {
  readonly lane: string;
  readonly refused: number;
  readonly skipped: number;
}
/** A record that got into no batch, and why: unreadable, too large, a dropped duplicate, a change held back. */
export interface Unbatched {
  readonly lane: string;
  /** 1-based in the extraction. */
  readonly row: number;
  readonly key?: Uint8Array;
  readonly state: 'refused' | 'skipped';
  readonly code: string;
  readonly message: string;
}

export interface ClaimShard {
  readonly run: RunId;
  readonly lane: string;
  readonly owner: string;
  readonly leaseMs: number;
  /** Only shards that hold one of these; `skip`: none that the caller holds, or can do nothing about now. */
  readonly only?: readonly BatchId[];
  readonly skip?: readonly number[];
  /** It writes by position, to one place for this window or for all: LEASE_HELD, PLACE_IN_DOUBT if others have it. */
  readonly place?: 'window' | 'lane';
}
export interface Shard extends ShardClaim {
  readonly leaseUntilMs: number;
  /** State `sealed`, in order. */
  readonly ready: readonly BatchRow[];
  /** State `in-doubt`, in order: those that were lost just now and those of before. */
  readonly doubts: readonly DoubtRow[];
}

export interface Intend extends ShardClaim {
  readonly batch: BatchId;
  /** How long from now the send may begin and be waited for. */
  readonly deadlineMs: number;
  readonly notes?: Notes;
}
/** The strategy's notes, as it wrote them. */
export type Notes = Readonly<Record<string, string | undefined>>;

/**
 * What became of an attempt.
 * `verdict`: outcomes record by record; records named by a child have moved there.
 * `not-applied`: proved that nothing was applied: sealed again. `refused`: the whole batch was refused, nothing
 * applied; with children (bisection, a lower limit) it is `moved`. `lost`: no answer, or one that proves nothing.
 */
export type Answer =
  | {
      readonly kind: 'verdict';
      readonly outcomes: Uint8Array;
      readonly refusals: readonly Refusal[];
      readonly receipt: Receipt;
      readonly children: readonly Child[];
    }
  | { readonly kind: 'not-applied'; readonly reason: string }
  | {
      readonly kind: 'refused';
      readonly code: string;
      readonly message: string;
      readonly receipt: Receipt;
      readonly children: readonly Child[];
    }
  | { readonly kind: 'lost'; readonly evidence: string };

/** A batch made of some records of another. Its bytes are those records in the same framing; nothing is staged anew. */
export interface Child {
  /** Places in the batch it comes from, rising. */
  readonly picks: readonly number[];
  readonly bytes: number;
  readonly digest: Uint8Array;
  readonly reason: string;
}

export interface Settle {
  readonly batch: BatchId;
  /** Absent when a person settles while nothing is claimed. */
  readonly claim?: ShardClaim;
  readonly decision: SettleDecision;
  readonly who: string;
  readonly evidence: string;
}
/**
 * `known`: the verdict was found out. `absent`: proved not applied, send again. `repeat`: not proved; send again, since
 * the sink tells a repeat, and count as possibly there until it has answered. `resend`: not proved; send again and
 * count as possibly twice. `skip`: not proved; never send, count as possibly lost. `delivered`: a person says so.
 * When only a part of the batch is in doubt, those that send again move that part into the child that is given.
 */
export type SettleDecision =
  | {
      readonly kind: 'known';
      readonly outcomes: Uint8Array;
      readonly refusals: readonly Refusal[];
      readonly receipt: Receipt;
      readonly children: readonly Child[];
    }
  | { readonly kind: 'absent' | 'repeat' | 'resend'; readonly child?: Child }
  | { readonly kind: 'skip' }
  | { readonly kind: 'delivered' };

/** What is not proved of a batch: that it is not in the sink twice, not lost, not there already. */
export type Possibly = 'twice' | 'lost' | 'there';
export interface Moved {
  readonly state: BatchState;
  readonly children: readonly BatchRow[];
}

export interface RunRow {
  readonly id: RunId;
  readonly flow: string;
  readonly window: Window;
  readonly state: RunState;
  readonly paused: boolean;
  readonly correlationId: string;
  readonly generation: number;
  readonly openedAtMs: number;
  readonly endedAtMs?: number;
  /** Why it failed or was cancelled. */
  readonly reason?: string;
  readonly owner?: string;
  readonly leaseUntilMs?: number;
}
export interface LaneRow extends LaneSpec {
  readonly run: RunId;
  readonly paused: boolean;
  /** Where the sink stood after the last delivered batch, if it tells positions. */
  readonly position?: string;
}
export interface GenerationRow {
  readonly run: RunId;
  readonly generation: number;
  readonly kind: GenerationKind;
  readonly reason: string;
  /** `closed`: read to its end. `interrupted`: ended before that, and kept since something of it was sent. */
  readonly state: 'open' | 'closed' | 'abandoned' | 'interrupted';
  readonly startedAtMs: number;
  readonly closedAtMs?: number;
  readonly lanes: readonly (LaneCounts & {
    readonly batches: number;
    readonly sealed: number;
    readonly unbatched: number;
    readonly vanished: number;
  })[];
  /** As sealed last. */
  readonly position?: Position;
  readonly rows: number;
  /** What was read up to the position; absent where there is none. */
  readonly trail?: string;
}
export interface BatchRow extends Batch {
  readonly state: BatchState;
  readonly generation: number;
  /** The batch it was made from. */
  readonly parent?: BatchId;
  /** The batch whose staged bytes hold its records, and which of them; itself and all when absent. */
  readonly root?: BatchId;
  readonly picks?: readonly number[];
  readonly staged: StagedAt;
  readonly attempts: number;
  readonly balance: Balance;
  /** Records that went to children or were superseded; they are counted there and not in `balance`. */
  readonly movedRecords: number;
  /** Why it is where it is, in a few words. */
  readonly reason?: string;
  /** Settled without proof by `resend` or `skip`; `there` by `repeat`, for as long as the repeat has no answer. */
  readonly possibly?: Possibly;
}
export interface AttemptRow {
  readonly batch: BatchId;
  readonly attempt: number;
  readonly fence: number;
  readonly intendedAtMs: number;
  readonly deadlineAtMs: number;
  readonly notes: Notes;
  readonly answeredAtMs?: number;
  readonly answer?: Answer['kind'];
  readonly applied: number;
  readonly refused: number;
  readonly unknown: number;
  readonly receipt?: Receipt;
  readonly reason?: string;
}
export interface DoubtRow extends BatchRow {
  readonly attempt: AttemptRow;
  /** When the first attempt of this batch was intended. */
  readonly firstIntendedAtMs: number;
  /** 0-based places of the records in doubt. */
  readonly doubtful: readonly number[];
}

export interface RecordRow {
  readonly run: RunId;
  readonly flow: string;
  readonly window: string;
  readonly lane: string;
  /** Packed, 16 bytes; absent for a record that could not be read. */
  readonly key?: Uint8Array;
  /** Absent for a record that got into no batch. */
  readonly batch?: BatchId;
  /** 0-based place in that batch. */
  readonly index?: number;
  /** 1-based place in the extraction, for a record that got into no batch. */
  readonly row?: number;
  readonly generation: number;
  readonly state: RecordState;
  readonly atMs: number;
  readonly code?: string;
  readonly reason?: string;
}
/** One record's way: the batches it was in, oldest first, and where it stands now. */
export interface Trace {
  readonly record: RecordRow;
  readonly steps: readonly {
    readonly batch: BatchRow;
    readonly index: number;
    readonly attempts: readonly AttemptRow[];
  }[];
}

/** `after` is the last id of the page before; pages come in rising order, and one that is shorter is the last. */
export interface Page {
  readonly after?: number;
  readonly limit?: number;
}

export interface LedgerReader extends PullReader {
  runs(
    filter: { flow?: string; window?: string; state?: RunState; newestFirst?: boolean } & Page,
  ): Promise<readonly RunRow[]>;
  run(id: RunId): Promise<RunRow>;
  lanes(run: RunId): Promise<readonly LaneRow[]>;
  generations(run: RunId): Promise<readonly GenerationRow[]>;
  /** By lane; LEDGER_CORRUPT when it does not balance. */
  balance(run: RunId): Promise<ReadonlyMap<string, Balance>>;
  batches(filter: { run?: RunId; lane?: string; states?: readonly BatchState[] } & Page): Promise<readonly BatchRow[]>;
  batch(id: BatchId): Promise<BatchRow>;
  attempts(batch: BatchId): Promise<readonly AttemptRow[]>;
  children(batch: BatchId): Promise<readonly BatchRow[]>;
  doubts(filter: { run?: RunId; flow?: string } & Page): Promise<readonly DoubtRow[]>;
  /** By state, delivered ones too; `batched`: in batches only. `after` is the `cursor` of the last page. */
  records(filter: {
    run?: RunId;
    lane?: string;
    batch?: BatchId;
    states?: readonly RecordState[];
    batched?: true;
    after?: string;
    limit?: number;
  }): Promise<{ readonly records: readonly RecordRow[]; readonly cursor?: string }>;
  trace(filter: { key: Uint8Array; flow?: string; run?: RunId; lane?: string }): Promise<readonly Trace[]>;
  /** Where these keys (16 bytes each) stand in a lane, newest batch first: exact, index or not. */
  findKeys(ask: {
    run: RunId;
    lane: string;
    keys: Uint8Array;
  }): Promise<readonly { readonly nth: number; readonly ref: RecordRef; readonly state: RecordState }[]>;
  /** All packed keys of a lane, batch by batch, for rebuilding a filter. */
  laneKeys(
    ask: { run: RunId; lane: string } & Page,
  ): Promise<readonly { readonly batch: BatchId; readonly keys: Uint8Array }[]>;
  /** In the order in which they began. */
  loads(filter: { flow: string; lane?: string }): Promise<readonly LoadRow[]>;
  /** In the order in which they happened. Those of `NO_RUN` tell what was done to flows, which may never have run. */
  events(filter: { run?: RunId; after?: number; limit?: number }): Promise<readonly EventRow[]>;
  /** Those of one kind. */
  eventsOf(filter: { run: RunId; kind: ColumnsEvent } & Page): Promise<readonly EventRow[]>;
  /** Columns that were left out of records which are in batches, by lane and column. */
  leftOut(run: RunId): Promise<readonly LeftOutRow[]>;
  emitted(emitter: string): Promise<number>;
  positions(
    flow: string,
  ): Promise<readonly { readonly position: Position; readonly atMs: number; readonly run?: RunId }[]>;
  /** Recomputes digests, chains and balances; what does not agree, one line each. */
  verify(run?: RunId): Promise<readonly string[]>;
}
