import { WaybillError } from './errors.ts';
import type { RunId } from './ids.ts';
import type { Window } from './window.ts';

/**
 * Everything that one generation of a window brings to one lane, where readers are to see all of it or nothing. It is
 * collected in a place of its own that nobody reads, and published in one step when the last batch is there.
 */
export interface Load {
  /** Names this load for ever, in any ledger: `wb_` with lower-case letters, digits and `_`, at most 40 of them. */
  readonly id: string;
  /** What the ids of all loads of this lane of this run begin with; what follows is the generation. */
  readonly family: string;
  /** The id of the ledger that knows it. */
  readonly ledger: string;
  readonly flow: string;
  readonly lane: string;
  readonly window: Window;
  readonly generation: number;
}

/** One of the two steps of a load, under way. Asked again after a lost answer, it must not do anything twice. */
export interface LoadStep {
  readonly load: Load;
  /** Grows with every start of the run: a sink that can refuses an older one, whose process may have been stalled. */
  readonly fence: number;
  readonly correlationId: string;
  /** Aborted when the run is told to end at once, and when its lease is lost. */
  readonly signal: AbortSignal;
}

/** What a step has come to. Kept in the ledger, so figures and names only, no content. */
export interface StepReceipt {
  /** In one line, for people. */
  readonly summary: string;
  /** Rows written, changed and removed; names of tables and versions: what a later load or a person asks for. */
  readonly facts?: Readonly<Record<string, string | number>>;
}

/**
 * What an overwriting load takes the place of: all that the sink names, or of that the rows whose `column` lies in the
 * half-open range, or is equal to a value. A range is that of the window: its ends as instants, and as local calendar
 * days for columns that hold a date or a time without a zone.
 */
export type Scope =
  | { readonly kind: 'all' }
  | {
      readonly kind: 'range';
      readonly column: string;
      readonly from: string;
      readonly to: string;
      readonly days?: Days;
    }
  | { readonly kind: 'equals'; readonly column: string; readonly value: string | number | boolean };

/** `2026-11-19` to `2026-11-20`, the second excluded. */
export interface Days {
  readonly from: string;
  readonly to: string;
}

/** How the rows of a load find those that are there. */
export interface MergeBy {
  readonly key: readonly string[];
  /** Rows of the load whose `column` holds one of `values` are deletions: never inserted. */
  readonly deleted?: {
    readonly column: string;
    readonly values: readonly (string | number | boolean)[];
    /** `mark` updates the row that is there, with its flag; `remove` takes it out. */
    readonly how: 'remove' | 'mark';
  };
  /**
   * Two rows of one key in one load. Equal in every column they count as one. Otherwise the load is refused, or the
   * row with the largest value of this column is taken; two with the same largest value are refused too.
   */
  readonly latestBy?: string;
}

/** What a flow says about how its loads are published. Each strategy says which of these it uses. */
export interface LoadSettings {
  /** What a load takes the place of: the rows whose `column` lies in the window, or has `value`. Absent: everything. */
  readonly scope?: { readonly column: string; readonly value?: string | number | boolean };
  readonly deleted?: NonNullable<MergeBy['deleted']>;
  readonly latestBy?: string;
  /** How long a stretch of time shares one place. */
  readonly period?: 'day' | 'week' | 'month' | 'year';
  /** How many earlier loads stay readable; all of them when absent. */
  readonly keep?: number;
  /** While records are refused: publish nothing, or what there is without them. `hold` when absent. */
  readonly onRefused?: 'hold' | 'publish';
}

/** A stretch of the calendar that has a place of its own in the sink. */
export interface Period {
  /** Fit for the end of a table's name: `2026`, `2026_11`, `2026_w47` (ISO year and week), `2026_11_19`. */
  readonly name: string;
  /** As windows of a day are called. */
  readonly firstDay: string;
  readonly lastDay: string;
}

/**
 * `opening` and `publishing` are durable before the sink is asked, so what a crash leaves there is asked again.
 * `given-up`: another generation began before this load was published. `replaced`: a later one was published instead.
 */
export const LOAD_STATES = ['opening', 'open', 'publishing', 'published', 'given-up', 'replaced'] as const;
export type LoadState = (typeof LOAD_STATES)[number];

const MOVES: Record<LoadState, readonly LoadState[]> = {
  opening: ['opening', 'open', 'given-up'],
  open: ['open', 'publishing', 'given-up'],
  publishing: ['publishing', 'open', 'published'],
  published: ['replaced'],
  'given-up': [],
  replaced: [],
};

export function moveLoad(from: LoadState, to: LoadState): LoadState {
  if (MOVES[from].includes(to)) return to;
  throw new WaybillError('MOVE_FORBIDDEN', `a load that is ${from} cannot become ${to}`, { ids: { from, to } });
}

/** How a load stands, as the ledger tells it. */
export interface LoadRow {
  readonly run: RunId;
  readonly flow: string;
  readonly window: Window;
  readonly lane: string;
  readonly generation: number;
  readonly state: LoadState;
  /** How often its present step, or its last one, was begun. */
  readonly tries: number;
  readonly beganAtMs: number;
  readonly publishedAtMs?: number;
  readonly opened?: StepReceipt;
  readonly published?: StepReceipt;
  /** Why the present step did not succeed the last time. */
  readonly reason?: string;
}

/**
 * `opening`, `publishing`: about to be asked for, once more too. `open`, `published`: done, with what it came to; also
 * back to `open`, with a reason, when publishing is proved not to have happened. `replaces`: earlier loads of the run
 * are seen no more; `undone`: neither are these, of other runs. Back to `open` with them: the sink has gone back behind
 * them, and has not come further.
 */
export interface LoadMove {
  readonly lane: string;
  readonly generation: number;
  readonly to: Exclude<LoadState, 'given-up' | 'replaced'>;
  readonly receipt?: StepReceipt;
  readonly reason?: string;
  readonly replaces?: boolean;
  /**
   * With `publishing`: not while a load of another window of the flow and lane is being published, whose outcome may be
   * unknown. What publishing does depends on what the others have brought.
   */
  readonly alone?: boolean;
  readonly undone?: readonly Pick<LoadRow, 'run' | 'lane' | 'generation'>[];
}
