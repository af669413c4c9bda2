import type { Permit, Sink } from '../connectors/connector.ts';
import { assertNever } from '../model/assert.ts';
import type { Batch, Payload } from '../model/batch.ts';
import { WaybillError } from '../model/errors.ts';
import type { Guarantee, Rung } from '../model/guarantee.ts';
import type { LoadRow, LoadSettings, LoadStep, StepReceipt } from '../model/load.ts';
import type { Verdict } from '../model/verdict.ts';
import type { Window, WindowKind } from '../model/window.ts';

/**
 * How a lane writes so that writing again does no harm. A strategy is written against the abilities of sinks and
 * names no store; it keeps no state of its own: what it must remember across a crash is in the attempt.
 */
export interface Strategy {
  readonly name: string;
  /** One line for the docs. */
  readonly summary: string;
  /** What this strategy promises on this sink, or why it cannot. Pure: asked by `check` and `plan`. */
  fit(sink: Sink, flow: FlowFacts): Fit;
  /** What it writes takes the place of what was there: what was read there and is written again adds nothing. */
  readonly rewrites?: true;
  /** There where what a window brings is seen as a whole: collected first, published in one step at the end. */
  readonly load?: Loading;
  /**
   * What must be durable with the intent, before the first byte: the expected position. `previous` holds the notes of
   * this batch's earlier attempt: a batch keeps the position that it was first sent to.
   */
  prepare?(lane: LaneContext, previous: AttemptNotes): Promise<AttemptNotes>;
  /** Called between intent and verdict, at most once an attempt. Throws as a sink does. */
  deliver(permit: Permit, lane: LaneContext, attempt: OpenAttempt): Promise<Verdict>;
  /** Decides an attempt whose answer was lost, as far as the sink lets it. Called after `settleAfterMs`. */
  settle(attempt: LostAttempt, lane: LaneContext): Promise<Settlement>;
}

export type Fit =
  | {
      readonly fits: true;
      readonly guarantee: Guarantee;
      /** `always`: one batch after the other. `repeats`: only when a key comes more than once. */
      readonly ordered: 'never' | 'repeats' | 'always';
      /** `in-order`: a later window must not be written before an earlier one. `any`: they may go side by side. */
      readonly windows: 'in-order' | 'any';
    }
  | {
      readonly fits: false;
      readonly reason: string;
      /** The nearest strategy that would. */
      readonly instead?: string;
    };

/** What a promise depends on besides the sink. */
export interface FlowFacts {
  /** The columns that name a record, if the flow names them. */
  readonly key: readonly string[] | null;
  /** The fields in which the lane sends these; null where it does not send them all as they are. Absent: unknown. */
  readonly sentKey?: readonly string[] | null;
  readonly window: WindowKind;
  readonly load: LoadSettings;
}

export const NO_FACTS: FlowFacts = { key: null, window: 'all', load: {} };

/** The two steps around the batches of a load. Both are recorded before and after, and asked again after a crash. */
export interface Loading {
  /** Which settings of the flow have a meaning here. */
  readonly uses: readonly (keyof LoadSettings)[];
  /** A later load of the same window takes the place of this one; otherwise it adds to it. */
  readonly replaces: boolean;
  /** Whether what others have brought to the place of the sink is gone once this is published. */
  displaces?(load: LoadSettings): boolean;
  /** Before the first batch. Throws a WaybillError with a hint where this window may not be loaded now. */
  open(job: LoadJob): Promise<StepReceipt>;
  /** After the last batch. */
  publish(job: LoadJob): Promise<Published>;
  /** What a person should know before this window is loaded, one sentence each. Asks the ledger's rows only. */
  warnings?(job: BeforeLoad): readonly string[];
  /** Loads of other windows that readers see no more once this window is loaded, in the order of time. */
  undoes?(job: BeforeLoad): readonly LoadRow[];
  /**
   * The windows that can be loaded again only together with this one, this one included, in the order of time: the
   * first of them begins anew what they share. Empty where this one can be loaded alone.
   */
  together?(job: BeforeLoad): readonly Window[];
}

/** A window that may be loaded, or loaded again, and what the ledger knows by then. */
export type BeforeLoad = Omit<LoadJob, 'step' | 'sink'> & { readonly window: Window };

export interface LoadJob {
  readonly step: LoadStep;
  readonly sink: Sink;
  readonly flow: FlowFacts;
  /** Every load of this lane of this flow that the ledger knows, of all windows, in the order in which they began. */
  readonly loads: readonly LoadRow[];
}

export interface Published {
  readonly receipt: StepReceipt;
  /** Loads of other windows that readers see no more: their windows have to be loaded again. */
  readonly undone?: readonly LoadRow[];
}

/**
 * Thrown by a strategy that publishes in two steps: the sink has gone back to an earlier state, and the load that was
 * to come then has not been published, for the reason that `cause` gives. Whatever that proves, what was gone back
 * behind is gone.
 */
export class WentBackError extends WaybillError {
  /** What `Published.undone` would have said. */
  readonly undone: readonly LoadRow[];

  constructor(message: string, details: { readonly cause: unknown; readonly undone: readonly LoadRow[] }) {
    super('LOAD_FAILED', message, { cause: details.cause });
    this.undone = details.undone;
  }
}

export interface LaneContext {
  readonly sink: Sink;
  readonly lane: string;
  readonly correlationId: string;
  /** Where the sink stood after the last delivered batch of this lane, if it tells positions. */
  readonly position?: string;
  readonly signal: AbortSignal;
  /** Waits that long, or rejects when `signal` is aborted. */
  wait(ms: number): Promise<void>;
}

/** Small facts that an attempt needs to be settled later; stored with its intent. */
export interface AttemptNotes {
  readonly expectedPosition?: string;
  readonly jobHandle?: string;
}

export interface OpenAttempt {
  readonly notes: AttemptNotes;
  /** How long ago the first attempt of this batch was intended whose answer was lost; absent when none was. */
  readonly firstLostAgoMs?: number;
  /** Resolves when the notes are durable: a job's handle, before its data is sent. */
  note(notes: AttemptNotes): Promise<void>;
}

export interface LostAttempt {
  readonly batch: Batch;
  payload(): Promise<Payload>;
  /** False: `payload` cannot be had any more, so the batch cannot be sent again either. */
  hasBytes(): Promise<boolean>;
  /** Places of records whose keys this lane has sent before in other batches, of this window or another. */
  sentElsewhere(): Promise<ReadonlySet<number>>;
  readonly attempt: number;
  /** The shard of the batch; its fence counts the claims of this. */
  readonly shard: string;
  /** The fence of whoever settles: that of the lost attempt where its own process does, otherwise a higher one. */
  readonly fence: number;
  readonly notes: AttemptNotes;
  /** How long ago, by the ledger's clock, the first attempt of this batch was intended. */
  readonly firstSentAgoMs: number;
  /** How long a request that is sent now may take to be applied. */
  readonly sendDeadlineMs: number;
}

/**
 * `known`: the verdict that was lost, now found out. `absent`: proved not applied, so the batch is sealed again.
 * `resend`: a repeat is harmless here, so the batch is sent again under a new attempt. `undecided`: nothing can be
 * asked; the lane's policy or a person decides.
 */
export type Settlement =
  | { readonly kind: 'known'; readonly verdict: Verdict; readonly evidence: string }
  | { readonly kind: 'absent'; readonly evidence: string }
  | { readonly kind: 'resend'; readonly evidence: string }
  | { readonly kind: 'undecided'; readonly evidence: string };

/**
 * How long after a lost attempt was given up its settling may begin. Where only the sink's own state is asked, nothing
 * of the attempt may still be on its way, and what was applied must be visible; a repeat that the sink recognises may
 * be sent at once. `shutOut`: the fence of whoever settles is higher than that of the lost attempt, so raising it in
 * the sink shuts that attempt out; a process that settles its own attempt under the same fence shuts nobody out.
 */
export function settleAfterMs(rung: Rung, sink: Sink, shutOut: boolean): number {
  switch (rung) {
    case 'look':
      return sink.requestTimeoutMs + (sink.facts.visibilityLagMs ?? 0);
    case 'fence-then-look':
      // The lag counts from the raising of the fence, so the strategy waits for it between fence and look.
      return shutOut ? 0 : sink.requestTimeoutMs;
    case 'job':
      // A job that looks empty may have its data still on the way to it.
      return sink.requestTimeoutMs;
    case 'put':
      // A delayed older write must not land on top of a newer one.
      return sink.requestTimeoutMs;
    case 'marker':
    case 'position':
    case 'key':
    case 'none':
      return 0;
    default:
      return assertNever(rung);
  }
}
