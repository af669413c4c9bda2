import type { PullRange, Rate, Sink, Source } from '../connectors/connector.ts';
import type { Mapping } from '../formats/formats.ts';
import type { Journal } from '../ledger/journal.ts';
import type { Answer, GenerationRow, Ledger, RunRow } from '../ledger/ledger.ts';
import type { Staging } from '../ledger/staging.ts';
import type { Limits } from '../model/batch.ts';
import type { DoubtPolicy, Guarantee } from '../model/guarantee.ts';
import type { HistorySettings } from '../model/history.ts';
import type { BatchId } from '../model/ids.ts';
import type { Ports } from '../model/ports.ts';
import type { Position } from '../model/position.ts';
import type { SchemaSettings } from '../model/schema.ts';
import type { Balance } from '../model/states.ts';
import type { Parameters, Window } from '../model/window.ts';
import type { FlowFacts, Strategy } from '../strategies/strategy.ts';

/** All that the engine needs to know of one window of one flow; made by the app from the flow file, or by a test. */
export interface Job {
  readonly flow: string;
  readonly window: Window;
  readonly parameters: Parameters;
  readonly source: SourceJob;
  readonly lanes: readonly LaneJob[];
  /** `after-read`: the whole window is sealed before the first send. `while-reading`: batches leave as they fill. */
  readonly deliver: 'after-read' | 'while-reading';
  /** What staging keeps of a batch: its bytes, where its source has them, or neither. Absent: `copy`. */
  readonly keep?: 'copy' | 'range' | 'none';
  /** Present where only what is new is read. */
  readonly pull?: PullJob;
  readonly correlationId?: string;
  /** Changes when the flow's part of the flow file does. */
  readonly configDigest: string;
}

/** What is read in a pull: only what is new. */
export interface PullJob {
  /** Where the source stands, as far as it can go on from there. */
  readonly from?: Position;
  readonly range: PullRange;
  readonly history?: HistorySettings;
}

export interface SourceJob {
  readonly name: string;
  readonly source: Source;
  /** Null: content and occurrence number stand for a key. */
  readonly key: readonly string[] | null;
  readonly exclude: readonly string[];
  /** A record that cannot be read: list it as refused and go on, or stop the run. */
  readonly onReject: 'skip' | 'stop';
  /** A key that comes twice in one extraction. `report`: both are sent, and counted. */
  readonly onDuplicate: 'report' | 'drop' | 'fail';
}

export interface LaneJob {
  readonly name: string;
  readonly connector: string;
  readonly sink: Sink;
  readonly strategy: Strategy;
  /** What the strategy may rest on besides the sink; nothing when absent. */
  readonly facts?: FlowFacts;
  readonly mapping?: Mapping;
  /** Absent: nobody compares columns, and what does not fit the sink is refused by it. */
  readonly schema?: SchemaSettings;
  /** The sink's, narrowed by the flow file. */
  readonly limits: Limits;
  /**
   * How many batches beyond those under way may have their intents written already, so that the next send does not
   * wait for the disk. After a crash these are in doubt as well, although not a byte of them has left. Absent: as
   * many as may be under way where the sink settles a lost answer, none where it cannot or where batches are large.
   */
  readonly intendAhead?: number;
  readonly rate?: Rate;
  readonly onDoubt: DoubtPolicy;
  /** What a new generation does with a key whose content is another: list it as skipped, send it as a new record… */
  readonly onChanged: 'hold' | 'append' | 'ignore' | 'fail';
  readonly retry: RetryPolicy;
}

export interface RetryPolicy {
  /** Attempts of one batch within one start, the first included. */
  readonly attempts: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** Nothing is tried again after this long. */
  readonly maxAgeMs: number;
}

export interface RunAsk {
  /** Read the window again and compare it with what was delivered. */
  readonly refresh?: boolean;
  /** Of what greater undertaking this start is a part; kept with the reading that it begins. */
  readonly because?: string;
  /** Read the window again and send all of it once more; recorded with the reason. */
  readonly resendAll?: { readonly who: string; readonly reason: string };
  /** Only these batches; nothing is read. */
  readonly only?: readonly BatchId[];
  readonly leaseMs: number;
  /** Names this process; see `Ledger.openRun`. */
  readonly owner: string;
}

export interface Services {
  readonly ports: Ports;
  readonly ledger: Ledger;
  readonly staging: Staging;
  readonly journal: Journal;
  /** Called when something happened that a person may want to see; must not throw. */
  notice(notice: Notice): void;
  /** Called at most a few times a second. */
  progress?(progress: Progress): void;
}

export interface Notice {
  readonly level: 'info' | 'warning';
  /** Stable: `duplicate-keys`, `position-ignored`, `sink-paused`, `generation-compared`… */
  readonly kind: string;
  readonly message: string;
  readonly ids: Readonly<Record<string, unknown>>;
}

export interface Progress {
  readonly stage: 'EXTRACT' | 'SETTLE' | 'DELIVER' | 'PUBLISH' | 'DONE';
  readonly read: number;
  /** Records that the source said it holds for this window, if it can tell. */
  readonly expected?: number;
  readonly lanes: readonly LaneProgress[];
  readonly elapsedMs: number;
  /** Why the source brings nothing for now. Absent once it goes on. */
  readonly waits?: string;
}

export interface LaneProgress {
  readonly lane: string;
  readonly balance: Balance;
  /** Why the last batch has not got through; it is tried again. Absent once one does, or the lane gives up. */
  readonly waits?: string;
}

/** `stop`: finish what is in flight, record it, begin nothing new. `abort`: give up what is in flight, too. */
export interface StopSignals {
  readonly stop: AbortSignal;
  readonly abort: AbortSignal;
}

export interface RunSummary {
  readonly run: RunRow;
  readonly lanes: readonly LaneSummary[];
  /** Absent for a run that was cancelled before anything was read. */
  readonly generation?: GenerationRow;
  /** Nothing was read or sent: everything had been decided before. */
  readonly nothingToDo: boolean;
  readonly interrupted: boolean;
  readonly paused: boolean;
  /** A lane gave up for now, with why: the sink is away, retries are used up. */
  readonly stalled: readonly { readonly lane: string; readonly reason: string }[];
  readonly elapsedMs: number;
}

export interface LaneSummary {
  readonly lane: string;
  readonly guarantee: Guarantee;
  readonly balance: Balance;
  /** Sends of this start, not of earlier ones. */
  readonly attempts: number;
  readonly batches: number;
  readonly answers: Readonly<Record<Answer['kind'], number>>;
  /** Columns that were left out of records in batches of the run, and of how many of them. */
  readonly leftOut: readonly { readonly column: string; readonly records: number }[];
}

/** What a start would do now. Making one reads the source and the ledger and sends nothing. */
export interface Plan {
  readonly flow: string;
  readonly window: Window;
  readonly run?: RunRow;
  readonly lanes: readonly PlannedLane[];
  /** Why the source would be read, or why not. */
  readonly reading: { readonly reads: boolean; readonly why: string };
}

export interface PlannedLane {
  readonly lane: string;
  readonly strategy: string;
  readonly guarantee: Guarantee;
  readonly ordered: boolean;
  /** Batches that are sealed and would be sent. */
  readonly ready: { readonly batches: number; readonly records: number; readonly bytes: number };
  readonly doubts: number;
  /** Batches that the source would make now. */
  readonly fresh: {
    readonly batches: number;
    readonly records: number;
    readonly bytes: number;
    readonly largestRecords: number;
    readonly largestBytes: number;
  };
  /** For a window that was read before: what reading it again would find. */
  readonly compared?: {
    readonly same: number;
    readonly changed: number;
    readonly vanished: number;
    readonly fresh: number;
  };
  readonly unbatched: readonly { readonly row: number; readonly code: string; readonly message: string }[];
  /** What a person should know before the window is loaded. */
  readonly warnings: readonly string[];
  /** What would be done about the columns of the sink, and what would keep everything from being sent. */
  readonly schema: readonly string[];
  readonly balance: Balance;
}
