import type { Connector, Discovered } from '../connectors/connector.ts';
import type { Notice, Plan, Progress, RunSummary, StopSignals } from '../engine/engine.ts';
import type { BatchRow, DoubtRow, Ledger, LedgerReader, Moved, RecordRow, RunRow, Trace } from '../ledger/ledger.ts';
import type { Payload } from '../model/batch.ts';
import type { Guarantee } from '../model/guarantee.ts';
import type { BatchId, RunId } from '../model/ids.ts';
import type { LoadRow } from '../model/load.ts';
import type { Position } from '../model/position.ts';
import type { LookRow } from '../model/slice.ts';
import type { Window, WindowKind } from '../model/window.ts';
import type { MetadataBlock, OdfSpelling } from '../odf/blocks.ts';
import type { BackfillAsk, BackfillPlan, BackfillTurn } from './backfill-plan.ts';

/**
 * The one API: what the command line, the HTTP API and a program that embeds Waybill all call. One instance serves
 * one flow file and one ledger. Opening reads the flow file and nothing else; the ledger is opened by the first
 * method that needs it, and created only by those that write. Methods throw `WaybillError`s and print nothing.
 */
export interface Waybill {
  /** Where the flow file is, and what it holds, with secrets as references. */
  readonly file: string;
  flows(): readonly FlowInfo[];
  /** Every finding of the flow file, fit included; touches no network and no ledger. */
  check(): Promise<readonly Finding[]>;
  plan(flow: string, window: string | undefined, options?: PlanOptions): Promise<Plan>;
  run(flow: string, window: string | undefined, options: RunOptions): Promise<RunSummary>;
  /**
   * Of a flow with `window: pull`: goes on with what earlier pulls have left, then reads what is new as a pull of its
   * own. Throws PULL_IMPOSSIBLE, and as `run` does.
   */
  pull(flow: string, options: PullOptions): Promise<PullOutcome>;
  /** Windows that a schedule says should have run by now and that are not complete, oldest first. */
  due(flow?: string): Promise<readonly { readonly flow: string; readonly window: Window; readonly run?: RunRow }[]>;
  /**
   * The windows of a flow that begin at or after `from` and before `to`, oldest first; both as the flow cuts time.
   * Throws WINDOW_INVALID.
   */
  windows(flow: string, from: string, to: string): readonly Window[];

  /**
   * What stands of the windows of a stretch of time, and which would be run, in which order. Reads the ledger only.
   * Throws WINDOW_INVALID, PROMISE_IMPOSSIBLE.
   */
  backfill(flow: string, ask: BackfillAsk): Promise<BackfillPlan>;
  /** Whether a window of a plan is to be run now: another process may be at the same backfill. */
  backfillTurn(plan: BackfillPlan, window: string): Promise<BackfillTurn>;

  ledger(): Promise<Ledger>;
  /** Throws LEDGER_MISSING rather than make one. */
  reader(): Promise<LedgerReader>;
  trace(
    key: readonly string[],
    filter: { flow?: string; window?: string; lane?: string },
  ): Promise<readonly ReadableTrace[]>;
  /** The key as the source spelled it when it is short enough to be kept whole, else its hex form. */
  showKey(record: RecordRow): string;
  payload(batch: BatchId): Promise<{ readonly batch: BatchRow; readonly payload: Payload }>;

  settle(ask: SettleAsk): Promise<readonly Moved[]>;
  /** Sends refused records again, in children of their batches, and runs the flow. */
  retry(ask: { run?: RunId; batches?: readonly BatchId[]; who: string; reason: string }): Promise<readonly Moved[]>;
  pause(ask: { run: RunId; lane?: string; reason: string }): Promise<void>;
  resume(ask: { run: RunId; lane?: string }): Promise<void>;
  cancel(ask: { run: RunId; reason: string }): Promise<void>;

  positions(
    flow: string,
  ): Promise<readonly { readonly position: Position; readonly atMs: number; readonly run?: RunId }[]>;
  setPosition(flow: string, sourceName: string, position: Position | null): Promise<void>;
  /** The history of a flow that pulls, in the words of Open Data Fabric. Throws LEDGER_MISSING. */
  exportOdf(flow: string, spelling: OdfSpelling): Promise<AsyncIterable<MetadataBlock>>;

  /**
   * What a connection, or the source of a flow, could read, as its place tells it; needs no sound flow. Throws USAGE
   * for a name that there is not and for a place that does not tell, and as reading does.
   */
  discover(name: string, signal: AbortSignal): Promise<Discovery>;

  /** Digests, chains, balances and staged bytes; one line for each thing that does not agree. */
  verify(run?: RunId): Promise<readonly string[]>;
  doctor(): Promise<readonly Diagnosis[]>;
  /**
   * Copies the ledger, which must be a file, to a PostgreSQL server, and compares; then sets the file aside unless
   * `keep`. Throws LEASE_HELD while anybody works with it, LEDGER_WRITE when there is another ledger.
   */
  copyLedger(ask: { to: string; keep?: boolean }): Promise<LedgerCopy>;
  close(): Promise<void>;
}

export interface Discovery {
  readonly connection: string;
  /** Its type. */
  readonly connector: string;
  readonly streams: readonly Discovered[];
}

export interface OpenOptions {
  /** The flow file; found upwards from `cwd` when absent. */
  readonly file?: string;
  /**
   * The ledger, a path or `postgres://…`; or else what WAYBILL_LEDGER in `env` says, or the flow file, or
   * `.waybill/ledger.db` beside it.
   */
  readonly ledger?: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Connectors of your own, which the flow file may name beside those that Waybill brings. */
  readonly connectors?: readonly Connector[];
}

export interface LedgerCopy {
  readonly from: string;
  /** Without its password. */
  readonly to: string;
  /** It was there before; it was compared and nothing was copied. */
  readonly already: boolean;
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly digest: string }[];
  /** Where the staged bytes lie; they are not copied. */
  readonly staging: string;
  /** Where the file is now, unless it was kept. */
  readonly setAside?: string;
}

export interface FlowInfo {
  readonly name: string;
  readonly source: {
    readonly name: string;
    readonly connection: string;
    readonly connector: string;
    readonly key: readonly string[] | null;
  };
  readonly window: WindowKind;
  readonly timezone: string;
  readonly schedule?: string;
  readonly lanes: readonly {
    readonly name: string;
    readonly connection: string;
    readonly connector: string;
    readonly strategy: string;
    readonly guarantee?: Guarantee;
  }[];
}

export interface Finding {
  readonly level: 'error' | 'warning' | 'info';
  /** `waybill.yaml:12:5`, where there is a place. */
  readonly place?: string;
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

export interface PlanOptions {
  /** Also read a window that was read before, and compare. */
  readonly refresh?: boolean;
}

export interface RunOptions {
  readonly refresh?: boolean;
  /** Of what greater undertaking this start is a part; kept with the reading that it begins. */
  readonly because?: string;
  readonly resendAll?: { readonly reason: string };
  readonly only?: readonly BatchId[];
  readonly correlationId?: string;
  readonly leaseMs?: number;
  readonly signals: StopSignals;
  notice?(notice: Notice): void;
  progress?(progress: Progress): void;
}

export interface PullOptions extends Omit<RunOptions, 'refresh' | 'resendAll' | 'because' | 'only'> {
  /** Read although nobody can tell whether anything is new. */
  readonly force?: boolean;
  /** Parts of the source to read although they lie before its position, such as files that came late. */
  readonly take?: readonly string[];
}

/** What was found when it was looked whether there is anything new. */
export type LookOutcome = Pick<LookRow, 'kind' | 'why'>;

export interface PullOutcome {
  /** Pulls that were gone on with, oldest first, and the new one if there was anything new. */
  readonly runs: readonly RunSummary[];
  /** Absent where an earlier pull has stopped again, so that nobody looked. */
  readonly look?: LookOutcome;
}

export interface SettleAsk {
  /** Either some batches, or every doubt of a run. */
  readonly batches?: readonly BatchId[];
  readonly run?: RunId;
  /** `ask`: ask the sink once more. The others are a person's decision. */
  readonly as: 'delivered' | 'absent' | 'resend' | 'skip' | 'ask';
  readonly who: string;
  readonly evidence: string;
  /** Told why a sink that was asked has decided nothing. */
  readonly notice?: (notice: Notice) => void;
}

export interface ReadableTrace extends Omit<Trace, 'record'> {
  readonly record: RecordRow & { readonly keyText: string };
  /** The latest doubt of the record's batch, if it is in one. */
  readonly doubt?: DoubtRow;
  /** The load that its last batch belongs to, where the lane collects before it publishes. */
  readonly load?: LoadRow;
}

export interface Diagnosis {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
  readonly hint?: string;
}

export type { LaneSummary, Notice, Plan, PlannedLane, Progress, RunSummary, StopSignals } from '../engine/engine.ts';
export type {
  AttemptRow,
  BatchRow,
  DoubtRow,
  EventRow,
  GenerationRow,
  LaneRow,
  LedgerReader,
  Moved,
  RecordRow,
  RunRow,
} from '../ledger/ledger.ts';
export type { BackfillAsk, BackfillPlan, BackfillTurn, BackfillWindow } from './backfill-plan.ts';
