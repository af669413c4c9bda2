import type { z } from 'zod';
import type { Batch, Framing, Limits, Payload } from '../model/batch.ts';
import type { Chunk, Format } from '../model/chunk.ts';
import type { Ports } from '../model/ports.ts';
import type { Estimate, Position } from '../model/position.ts';
import type { Verdict } from '../model/verdict.ts';
import type { Parameters, Window } from '../model/window.ts';

/**
 * The contract between Waybill and a place that records come from or go to. A connector is one folder with
 * `config.ts` (its schemas and this definition), `source.ts`, `sink.ts` and tests, and one line in `all.ts`.
 *
 * Opening does no I/O: `waybill check` and `plan` open sinks only to see what they can do. The first call of a method
 * connects. `close` is called once, also after errors.
 */
export interface Connector<Connection = unknown, SourceSettings = unknown, SinkSettings = unknown> {
  readonly type: string;
  /** One line for `waybill connectors`. */
  readonly summary: string;
  /** What stands under `connections:` in the flow file, without `type`. */
  readonly connection: z.ZodType<Connection>;
  readonly source?: {
    readonly settings: z.ZodType<SourceSettings>;
    open(connection: Connection, settings: SourceSettings, context: OpenContext): Source;
  };
  readonly sink?: {
    readonly settings: z.ZodType<SinkSettings>;
    open(connection: Connection, settings: SinkSettings, context: OpenContext): Sink;
  };
}

/** What a connector may use of the world. */
export interface OpenContext {
  readonly ports: Ports;
  /** Relative paths in the flow file are meant from here: the folder of the flow file. */
  readonly folder: string;
  /** Resolves a reference (`env:NAME`, `file:PATH`) at the moment of use. Throws SECRET_MISSING. */
  secret(reference: string): string;
  /** The streams of the process, for the connectors that speak through them. */
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream;
}

export interface ReadRange {
  readonly window: Window;
  /** Values for the parameters of a query: those of the flow file and those of the window. */
  readonly parameters: Parameters;
  /**
   * Formats that every lane takes as they are. A source that can give one of them does; without it, or where it cannot,
   * it gives the last of what it emits, which everybody can convert.
   */
  readonly takes?: readonly Format[];
  /** Read strictly after this. A kind or value that the source does not understand is ignored, with a notice. */
  readonly from?: Position;
}

/**
 * Reads. Called once an extraction; chunks come in an order that repeats where the source has one. An error ends the
 * extraction: what was sealed before stands, what was not is read again.
 */
export interface Source {
  /** Cheapest first. */
  readonly emits: readonly Format[];
  /** True when `read` can go on from the `end` of a chunk. Otherwise an interrupted extraction starts from the top. */
  readonly resumable: boolean;
  read(range: ReadRange, signal: AbortSignal): AsyncIterable<Chunk>;
  /** The same records in the same order, any time later: batches of such a source need no staged copy. */
  reread?(range: { after?: Position; upTo: Position }, signal: AbortSignal): AsyncIterable<Chunk>;
  /** What is left after `range.from`: gives progress a total. Undefined fields are unknown. */
  remaining?(range: ReadRange, signal: AbortSignal): Promise<Estimate>;
  close?(): Promise<void>;
}

/**
 * Leave to send one batch, once. Only the engine makes one, after the intent is durable; the bytes can be had in no
 * other way, and not after the deadline. A sink asks for them at the last moment before they leave.
 */
export interface Permit {
  readonly batch: Batch;
  /** 1-based. */
  readonly attempt: number;
  /** Names what `fence` counts the claims of: one shard of one lane of one run, among those of all ledgers. */
  readonly shard: string;
  /** Grows with every claim of the shard; a sink that can refuses an older one. */
  readonly fence: number;
  readonly correlationId: string;
  /** Aborted at the deadline, and when the run is told to stop at once. Pass it to whatever waits. */
  readonly signal: AbortSignal;
  /**
   * The frozen bytes. Throws NotAppliedError (PERMIT_EXPIRED as its cause) when the deadline has passed: nothing may
   * leave any more, since somebody else may hold the lease.
   */
  payload(): Promise<Payload>;
}

/** What a look at the sink found, record by record, in the order of the batch. */
export interface Found {
  readonly records: readonly ('applied' | 'absent' | 'unknown')[];
  /** What was seen, in one line, without the content of records. */
  readonly evidence: string;
}

/**
 * What a sink can do. A method that is there is an ability; one that is missing is one that the sink lacks.
 * Every sending method resolves with a verdict for each record, or throws: `NotAppliedError` (proved that nothing was
 * applied), `RefusedError` (proved refused as a whole, nothing applied). Anything else means unknown: the batch is in
 * doubt. No method retries by itself: every retry is the engine's, and a fact in the ledger.
 */
export interface Abilities {
  /** Adds the records; a second call adds them again. */
  append(permit: Permit): Promise<Verdict>;
  /**
   * Adds the records if the sink stands at `expected`. When it already holds exactly this batch from there on, that
   * is `applied` too; anything else there is a RefusedError, since somebody else has written.
   */
  appendAt(permit: Permit, expected: string): Promise<Verdict>;
  /** Adds the records under the batch's idempotency key; a repeat within the horizon is recognised by the sink. */
  appendOnce(permit: Permit): Promise<Verdict>;
  /**
   * The records and a marker of the batch, in one transaction of the sink. `already`: the marker was there. A marker
   * says that all of the batch was applied, so one refused record rolls everything back: that is a RefusedError.
   */
  commitOnce(permit: Permit): Promise<Verdict | 'already'>;
  /** Each record under its key: a second call changes nothing. */
  put(permit: Permit): Promise<Verdict>;
  /** Handle first, data after: `open` submits nothing, so a lost answer to it leaves only an empty job. */
  job: {
    open(permit: Permit): Promise<string>;
    send(handle: string, permit: Permit): Promise<void>;
    state(handle: string, batch: Batch): Promise<Verdict | 'running' | 'empty'>;
  };
  /** Looks for the records of a batch whose answer was lost. */
  find(batch: Batch, payload: Payload): Promise<Found>;
  /** From now on the sink refuses permits with an older fence for this shard. */
  fence(shard: string, fence: number): Promise<void>;
}

/** The figures that belong to abilities. They stand beside the method because no method can tell them. */
export interface AbilityFacts {
  /** `appendOnce`: how long the sink remembers a key after its first use, and whether it stores errors under it. */
  readonly key?: { readonly horizonMs: number; readonly storesErrors: boolean };
  /** `find`: how long a record may take to be seen after it was applied. */
  readonly visibilityLagMs?: number;
  /** `find` sees records and not whose they are: one that another batch had sent is found as well. */
  readonly findsOthers?: boolean;
  /** `appendAt`: where the sink stands now; the first `expected` of a lane. */
  tail?(): Promise<string>;
  /** A refused batch is refused as a whole: nothing of it was applied, and it may be taken apart. */
  readonly rejectsAtomically?: boolean;
}

export interface Sink {
  /** Formats it takes, best first, each with the framing in which a batch reaches it byte for byte. */
  readonly accepts: readonly Framing[];
  readonly limits: Limits;
  readonly can: Partial<Abilities>;
  readonly facts: AbilityFacts;
  /** No request takes longer: at this age it is given up and its answer is unknown. */
  readonly requestTimeoutMs: number;
  /** How fast the sink may be called; each field is a budget of its own. */
  readonly rate?: Rate;
  close?(): Promise<void>;
}

/** Budgets a second. `burst` is how many seconds' worth may be used at once, 1 when absent. */
export interface Rate {
  readonly requests?: number;
  readonly records?: number;
  readonly bytes?: number;
  readonly burst?: number;
}
