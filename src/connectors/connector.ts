import type { z } from 'zod';
import type { Batch, Framing, Limits, Payload } from '../model/batch.ts';
import type { Chunk, Format } from '../model/chunk.ts';
import type { Columns, ColumnType } from '../model/columns.ts';
import type { Load, LoadStep, MergeBy, Period, Scope, StepReceipt } from '../model/load.ts';
import type { Ports } from '../model/ports.ts';
import type { Estimate, Position } from '../model/position.ts';
import type { SourceRange } from '../model/range.ts';
import type { Carrier, SchemaAction, SinkColumns } from '../model/schema.ts';
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
    /** Where it reads and in which form, for tools that would read there too. Undefined: no place of that kind. */
    describe?(connection: Connection, settings: SourceSettings): SourceDescription | undefined;
    /**
     * What there is to be read, as the place's own catalog tells it: connects, and throws as reading does. `settings`:
     * of the flow's source, where a flow is asked about; a place without a catalog may look at the head of that.
     */
    discover?(
      connection: Connection,
      context: OpenContext,
      signal: AbortSignal,
      settings?: SourceSettings,
    ): Promise<readonly Discovered[]>;
  };
  readonly sink?: {
    readonly settings: z.ZodType<SinkSettings>;
    open(connection: Connection, settings: SinkSettings, context: OpenContext): Sink;
    /**
     * What it writes to, as far as its settings tell; all that write there spell it alike. Of sinks that can take the
     * place of what they hold.
     */
    place?(connection: Connection, settings: SinkSettings, lane: LaneNames): string;
    /** One for each way of being set up that makes other strategies fit; shown with those that do. */
    readonly samples?: readonly SinkSample[];
  };
  /** Whether a source reads what a sink of the same flow writes, as far as their settings tell. */
  readsBack?(source: Setup<Connection, SourceSettings>, sink: Setup<Connection, SinkSettings>): ReadBack;
}

/**
 * `all`: the source reads nothing else, so a strategy that takes the place of what was there adds nothing. `among`: it
 * reads that beside other records, so each run finds them once more whatever the strategy does.
 */
export type ReadBack = 'all' | 'among' | 'no';

/** What a run fills in that does not depend on the run. */
export interface LaneNames {
  readonly flow: string;
  readonly lane: string;
}

/** A source or a sink, as a flow file sets it up. */
export interface Setup<Connection, Settings> {
  readonly connection: Connection;
  readonly settings: Settings;
}

/** A place that anybody can read, without what opens it: nothing here is secret. */
export interface SourceDescription {
  readonly place:
    | {
        readonly kind: 'url';
        readonly url: string;
        readonly headers?: readonly { readonly name: string; readonly value: string }[];
      }
    /** Relative paths are meant from the folder of the flow file. */
    | { readonly kind: 'files'; readonly pattern: string };
  readonly format: 'csv' | 'ndjson' | 'json' | 'parquet';
  /** `columns` where no row of the file names them. */
  readonly csv?: {
    readonly separator: string;
    readonly quote: string;
    readonly header: boolean;
    readonly columns?: Columns;
  };
  /** Where the records are in a JSON document: `data.items`. */
  readonly recordsAt?: string;
  /** What has to be unpacked first; `entries`: which files of an archive are meant. */
  readonly packed?: { readonly kind: 'gzip' | 'zip'; readonly entries?: string };
}

/** A table or a stream that a source can be pointed at. */
export interface Discovered {
  /** As `source` of a flow names it. */
  readonly name: string;
  /** `type` as the place spells it. */
  readonly columns: readonly { readonly name: string; readonly type: string; readonly nullable: boolean }[];
  /** Columns that tell its records apart, in order; none where the place names none. */
  readonly key: readonly string[];
  /** Columns that a pull may go on by, as far as their types tell; those that are never null come first. */
  readonly cursors: readonly string[];
}

/** Settings as they would stand in a flow file, complete enough to open the sink with. */
export interface SinkSample {
  /** `with a key`; what sets it apart from the other samples of its connector. */
  readonly name: string;
  readonly connection: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, unknown>>;
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
  /**
   * The reader lets go of the bytes of a chunk before it asks for the next one, so the source may use the room again.
   * Without it chunks are the reader's for good.
   */
  readonly letsGo?: boolean;
  /**
   * The flow keeps ranges instead of copies: a source that has `reread` says of each chunk where it stands
   * (`Chunk.range`), as far as it can bring that once more.
   */
  readonly ranges?: boolean;
  /** Read strictly after this; in a pull it is one that `Pulls.refuses` has nothing against. */
  readonly from?: Position;
  /** Present in a pull: only what is new is read. */
  readonly pull?: PullRange;
  /** Told, for people, why nothing comes while the place is waited for; and nothing once it goes on. */
  readonly waits?: (why: string | undefined) => void;
}

/** What a pull knows beside the position that it goes on from. */
export interface PullRange {
  /** Names of the parts that were committed so far (`Chunk.closes`), those of earlier pulls included. */
  taken(): Promise<ReadonlySet<string>>;
  /** Parts that a person wants read although they lie before the position; it stays where it is meanwhile. */
  readonly take?: readonly string[];
  /** A person wants it read although nobody can tell whether anything is new. */
  readonly force?: boolean;
  /**
   * A folder of this machine for downloads of this source, and of no other; it may not be there yet, and may be lost
   * at any time. What lies there may be used again for the same settings and the same position, never for others.
   */
  readonly downloads: string;
}

/** What a source found that may be read only where something is new. */
export type Look = (
  | { readonly kind: 'new'; readonly estimate?: Estimate }
  | { readonly kind: 'unchanged'; readonly why: string }
  /** It was read before and nobody can tell whether it has changed since: read again only when forced. */
  | { readonly kind: 'uncacheable'; readonly why: string }
) & { readonly notices?: readonly LookNotice[] };

/** Something that a person may want to know of what was found: `part-skipped`, `clock-went-back`… */
export interface LookNotice {
  readonly kind: string;
  readonly message: string;
}

/**
 * Of a source that knows what is new. In a pull `read` brings what there is after `from` as of its beginning, and ends;
 * the last chunk has an `end` (an empty one will do: `endChunk`), and what stands at no `end` is not committed. Its
 * `sourceName` is the flow's, whatever the source says. So a
 * source that can say only at the end whether all of it came, such as a download, gives its position there, and an
 * error before leaves nothing behind. Where `from` is the last position of what is there it brings nothing.
 */
export interface Pulls {
  /** Why it cannot go on from a position, in words: another's kind, a value that cannot be read. Undefined: it can. */
  refuses(position: Position): string | undefined;
  /**
   * Whether there is anything after `range.from`, at the cost of one request. What it fetched for that may serve the
   * `read` with the same `from` that follows; without one, `close` lets go of it.
   */
  look(range: ReadRange & { readonly pull: PullRange }, signal: AbortSignal): Promise<Look>;
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
  /** Present where it knows what is new, and a flow may pull from it. */
  readonly pulls?: Pulls;
  /**
   * The records of a chunk that had this `range`, the same in the same order, any time later and from any process:
   * batches of such a source need no staged copy. Throws RANGE_LOST when they are not to be had any more: the object
   * is gone, or another has its place. Whoever asks still compares what comes with what it was.
   */
  reread?(range: SourceRange, signal: AbortSignal): AsyncIterable<Chunk>;
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
  /** What the batch belongs to, where the lane collects its batches and publishes them as one. */
  readonly load?: Load | undefined;
  /** Aborted at the deadline, and when the run is told to stop at once. Pass it to whatever waits. */
  readonly signal: AbortSignal;
  /**
   * The frozen bytes. Throws NotAppliedError (PERMIT_EXPIRED as its cause) when the deadline has passed: nothing may
   * leave any more, since somebody else may hold the lease.
   */
  payload(): Promise<Payload>;
}

/** A send whose answer was lost. `fence`: of whoever asks; that of the send, or a higher one. */
export interface LostSend extends Pick<Permit, 'batch' | 'attempt' | 'shard' | 'fence'> {
  readonly signal: AbortSignal;
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
  /**
   * Of a sink with `commitOnce`: whether the marker of a batch is there. False is final: neither this attempt nor one
   * before it can be applied any more, of whatever claim of the shard. So a lost answer is settled without its bytes.
   * As final is what such a sink proves of a send: a wire that delivers one twice could belie it.
   */
  marked(lost: LostSend): Promise<boolean>;
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

/**
 * What a sink can do with what it was sent as a load: collected in a place of its own first, published in one step at
 * the end. The step is asked again after a lost answer and after a crash, so none of these may do anything twice.
 */
export interface LoadAbilities {
  /** A place of its own for what one load brings. No reader sees it, and it outlives the process. */
  load: {
    /**
     * Makes the place, empty; what it holds stays when it is there already. Removes those of the same family that
     * belong to earlier generations and were never published, and shuts out steps with an older fence.
     */
    open(step: LoadStep): Promise<StepReceipt>;
    /** Adds the records of `permit.batch` to the place of `permit.load`, at most once, whole or not at all. */
    add(permit: Permit): Promise<Verdict | 'already'>;
  };

  // What follows publishes a load: readers see what was there before or all of it, and nothing between, unless
  // `facts.seenByHalves` says otherwise. A second call for the same load changes nothing and tells what the first has
  // come to, whether its place is still there or not. Throws NotAppliedError or RefusedError with proof that nothing
  // has changed; anything else is asked again. A load whose place is gone and that was not published: RefusedError.

  /** Adds the load to what is there. */
  appendLoad(step: LoadStep): Promise<StepReceipt>;
  /** The scope holds the load and nothing else; what lies outside of it is untouched. RefusedError: rows outside it. */
  replace(step: LoadStep, scope: Scope): Promise<StepReceipt>;
  /** Inserts, changes, removes or marks rows by key; what the load does not name is left alone. */
  merge(step: LoadStep, by: MergeBy): Promise<StepReceipt>;
  /**
   * As `merge`, and keeps every load with the time `at` that it was meant for: what later times have brought is taken
   * out first, so what is there afterwards is what was there after `at`, corrected.
   */
  mergeAt(step: LoadStep, by: MergeBy, at: string): Promise<StepReceipt>;
  /**
   * The load joins the period's own place; `fresh` empties that first, by metadata alone, so what it costs does not
   * grow with what lies elsewhere. The sink's name shows every period once.
   */
  addToPeriod(step: LoadStep, period: Period, fresh: boolean): Promise<StepReceipt>;
  /** The sink's name shows this load alone. Its place can not be written any more; the last `keep` others stay too. */
  publish(step: LoadStep, keep: number): Promise<StepReceipt>;
  /** What the sink keeps of its own past. */
  versions: {
    /** Names the content as it is now. */
    current(): Promise<string>;
    /** What can still be had, oldest first. */
    kept(): Promise<readonly string[]>;
    /**
     * The content is again that of `version`; null: nothing at all. The same twice is the same. For a load that was
     * merged already it changes nothing: whoever asks for both steps again must not lose what the load has brought.
     */
    restore(step: LoadStep, version: string | null): Promise<StepReceipt>;
  };
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
  /** Once it has answered with a verdict it reads nothing of the payload any more: its room is used again. */
  readonly letsGo?: boolean;
  /** What publishes a load cannot do it in one step: readers may meet the old and the new side by side meanwhile. */
  readonly seenByHalves?: boolean;
  /** `replace` knows no rows, only all that the sink names: a scope by a column is refused. */
  readonly replacesWhole?: boolean;
  /**
   * What the sink names depends on the window. `replace`: another window's load is not what is replaced; `appendAt`:
   * windows of a flow do not add to one place.
   */
  readonly placePerWindow?: boolean;
  /** How the sink tells a repeated `load.add`: by a marker in its own transaction, or since it writes what is there. */
  readonly loadRung?: 'marker' | 'put';
  /** For how long, and how many, old loads or versions can be had; in words, for the plan. */
  readonly retention?: string;
  /** `put`: the sink is a log. Who reads all of it sees what was replaced, and each repeat, until it is compacted. */
  readonly keepsReplaced?: boolean;
  /**
   * `put`: the fields of a record, as they are sent, whose values name its place; nested ones with dots. Absent where
   * only the other side knows: the key of the source is taken for it then.
   */
  readonly putKey?: readonly string[];
  /** What every promise on this sink rests on beside what its abilities say: whole sentences, for people. */
  readonly assumes?: readonly string[];
}

/** A sink that knows its columns, and lets them be changed. It decides nothing about them: whoever asks has decided. */
export interface SinkSchema {
  /** How values of a type are kept in a column that this sink makes. No I/O. */
  carrier(type: ColumnType): Carrier;
  /** The columns as they are now; undefined when there is nothing of the sink's name. */
  read(signal: AbortSignal): Promise<SinkColumns | undefined>;
  /**
   * Changes them, or finds that they are so already: asked again after a lost answer and after a crash. What was frozen
   * before can still be sent afterwards. Throws NotAppliedError or RefusedError with proof that nothing has changed.
   */
  change(actions: readonly SchemaAction[], how: SchemaHow): Promise<void>;
}

export interface SchemaHow {
  /** Records are collected as this load first: its place follows, if it is there already. */
  readonly load?: Load | undefined;
  /** The load makes what is not there when it is published, and `create` only says how. */
  readonly later: boolean;
  readonly signal: AbortSignal;
}

export interface Sink {
  /**
   * Formats it takes, each with the framing in which a batch reaches it byte for byte. Records are converted into the
   * first; the others are taken as they are where the source gives them, and `Payload.format` then says so.
   */
  readonly accepts: readonly Framing[];
  readonly limits: Limits;
  readonly can: Partial<Abilities & LoadAbilities>;
  readonly facts: AbilityFacts;
  /** Absent: whatever comes is taken as it comes, or the sink cannot be asked. */
  readonly schema?: SinkSchema;
  /** Records cannot be written without the types of their columns, so each batch has to bring them. */
  readonly needsTypes?: boolean;
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
