import type { Sink } from '../../connectors/connector.ts';
import { memorySink } from '../../connectors/memory/sink.ts';
import { memorySource } from '../../connectors/memory/source.ts';
import { MemoryTable } from '../../connectors/memory/store.ts';
import type { Job, LaneJob, PullJob, RunSummary } from '../../engine/engine.ts';
import { runJob } from '../../engine/run.ts';
import { fileJournal } from '../../ledger/journal-file.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { folderStaging } from '../../ledger/staging-folder.ts';
import { HISTORY_COLUMNS, type HistorySettings } from '../../model/history.ts';
import { applied } from '../../model/verdict.ts';
import { ALL, isPull, pullNumber, pullWindow, type Window } from '../../model/window.ts';
import { strategies } from '../../strategies/all.ts';
import { NO_FACTS } from '../../strategies/strategy.ts';
import type { VirtualPorts } from '../virtual-ports.ts';
import { NEVER } from './disk-plan.ts';
import type { SimDisk } from './sim-disk.ts';
import { asText } from './witness.ts';

const STAGING = '/books/staging';
const JOURNAL = '/books/ledger.db.journal';
const LEASE_MS = 600_000;

/** A process that starts flows: what it has of its own. */
export interface Starting {
  readonly ledger: Ledger;
  readonly disk: SimDisk;
  readonly ports: VirtualPorts;
  readonly owner: string;
}

/** What the outside world saw of one start. */
export interface Seen {
  /** Every record and every step of a load that left for a sink, with its lane, in order. */
  readonly sent: string[];
  /** Called when the process is to die: it is in the middle of a request that never comes back. */
  died?(): void;
}

/** What becomes of the nth request of a lane (1-based) in one start. */
type Fault = 'lost' | 'dies';
type Faults = Readonly<Record<string, Readonly<Record<number, Fault>>>>;

interface Flow {
  readonly name: string;
  readonly window: Window | 'pull';
  readonly lanes: readonly string[];
  readonly key: readonly string[] | null;
  readonly strategy: 'ledgered-append' | 'data-overwrite';
  readonly history?: HistorySettings;
}

/** One start of one flow: with what the source holds then. */
export interface StartOf {
  readonly flow: Flow;
  readonly rows: readonly object[];
  readonly refresh?: boolean;
  readonly faults?: Faults;
}

const day = (date: number): Window => ({
  name: `2026-11-${date}`,
  start: `2026-11-${date}T00:00:00Z`,
  end: `2026-11-${date + 1}T00:00:00Z`,
});
const rowsUpTo = (count: number): object[] => Array.from({ length: count }, (_, nth) => ({ id: nth + 1, v: 'first' }));

const append = { lanes: ['api'], key: ['id'], strategy: 'ledgered-append' } as const;
const HISTORY: HistorySettings = {
  merge: 'upsert-stream',
  operation: 'op',
  ignore: [],
  allowEmpty: false,
  columns: HISTORY_COLUMNS,
};
/** Two lanes, which are left in the middle of delivering. */
const DAILY: Flow = { ...append, name: 'daily', window: day(19), lanes: ['api', 'archive'] };
/** Read again and compared with what was delivered. */
const KEPT: Flow = { ...append, name: 'kept', window: day(19) };
/** Only what is new. */
const LOG: Flow = { ...append, name: 'log', window: 'pull' };
const TABLE: Flow = { ...append, name: 'table', window: 'pull', history: HISTORY };
/** Seen by readers only as a whole. */
const WHOLE: Flow = { ...append, name: 'whole', window: ALL, strategy: 'data-overwrite' };
const SHOWN: Flow = { ...WHOLE, name: 'shown' };
const done = (date: number): Flow => ({ ...append, name: 'done', window: day(date), key: null });

/** The past: one process each. */
export const PAST: readonly StartOf[] = [
  ...[1, 2, 3, 4, 5, 6].map((date): StartOf => ({ flow: done(date + 9), rows: rowsUpTo(3) })),
  { flow: KEPT, rows: rowsUpTo(7) },
  { flow: LOG, rows: rowsUpTo(5) },
  { flow: TABLE, rows: rowsUpTo(5) },
  { flow: SHOWN, rows: rowsUpTo(3) },
  { flow: WHOLE, rows: rowsUpTo(4), faults: { api: { 4: 'dies' } } },
  { flow: LOG, rows: rowsUpTo(8) },
  { flow: KEPT, rows: rowsUpTo(12), refresh: true, faults: { api: { 2: 'dies' } } },
  { flow: DAILY, rows: rowsUpTo(12), faults: { api: { 2: 'lost', 4: 'dies' }, archive: { 3: 'lost', 4: 'dies' } } },
];

/** What is started on the books that were damaged, in one process. */
export const NEXT: readonly StartOf[] = [
  { flow: DAILY, rows: rowsUpTo(12) },
  { flow: KEPT, rows: [...rowsUpTo(12), { id: 13, v: 'new' }], refresh: true },
  { flow: LOG, rows: rowsUpTo(10) },
  { flow: TABLE, rows: [...rowsUpTo(5), { id: 2, v: 'second' }, { id: 3, v: 'first' }, { id: 6, v: 'first' }] },
  { flow: WHOLE, rows: rowsUpTo(4) },
  { flow: SHOWN, rows: rowsUpTo(3) },
  { flow: done(12), rows: rowsUpTo(3) },
];

/** Starts a flow as the app does. What was seen outside is in `seen`, however it ends. */
export async function startFlow(start: StartOf, by: Starting, seen: Seen): Promise<RunSummary> {
  const { ledger, disk, ports, owner } = by;
  const window = start.flow.window === 'pull' ? await nextPull(ledger, start.flow) : start.flow.window;
  const pull = start.flow.window === 'pull' ? await pulling(ledger, start.flow) : undefined;
  const wired = jobOf(start, window, seen);
  const job: Job = pull === undefined ? wired : { ...wired, pull };
  const services = {
    ports,
    ledger,
    staging: folderStaging(STAGING, { disk }),
    journal: fileJournal(JOURNAL, disk),
    notice: () => undefined,
  };
  const { signal } = new AbortController();
  const ask = { owner, leaseMs: LEASE_MS, refresh: start.refresh ?? false };
  const summary = await runJob(job, ask, services, { stop: signal, abort: signal });
  await services.journal.close();
  return summary;
}

/** As the app counts them. */
async function nextPull(ledger: Ledger, { name }: Flow): Promise<Window> {
  const runs = await ledger.read.runs({ flow: name, newestFirst: true, limit: 100 });
  const last = runs.find((run) => isPull(run.window.name));
  return pullWindow(last === undefined ? 1 : (pullNumber(last.window.name) ?? 0) + 1);
}

async function pulling(ledger: Ledger, { name, history }: Flow): Promise<PullJob> {
  const [stored] = await ledger.read.positions(name);
  return {
    range: { taken: async () => new Set(await ledger.read.parts({ flow: name, source: 'rows' })), downloads: '/none' },
    ...(stored === undefined ? {} : { from: stored.position }),
    ...(history === undefined ? {} : { history }),
  };
}

function jobOf(start: StartOf, window: Window, seen: Seen): Job {
  const { name, key, lanes } = start.flow;
  return {
    flow: name,
    window,
    parameters: {},
    deliver: 'after-read',
    configDigest: 'c',
    correlationId: name,
    source: {
      name: 'rows',
      source: memorySource(start.rows, { name: 'rows', chunkRecords: 4 }),
      key,
      exclude: [],
      onReject: 'skip',
      onDuplicate: 'report',
    },
    lanes: lanes.map((lane) => laneOf(lane, start, seen)),
  };
}

function laneOf(name: string, { flow, faults }: StartOf, seen: Seen): LaneJob {
  let nth = 0;
  const comes = async (): Promise<void> => {
    const fault = faults?.[name]?.[++nth];
    if (fault === 'lost') throw new TypeError('the connection was cut');
    if (fault !== 'dies') return;
    seen.died?.();
    await NEVER;
  };
  const tell = (what: string): void => void seen.sent.push(`${flow.name}/${name}: ${what}`);
  const sink = flow.strategy === 'data-overwrite' ? loadingSink(tell, comes) : appendingSink(tell, comes);
  return {
    name,
    connector: 'memory',
    sink,
    strategy: strategies[flow.strategy]!,
    facts: { ...NO_FACTS, key: flow.key, window: 'all' },
    limits: { recordsPerBatch: 2, inFlight: 1 },
    intendAhead: 0,
    onDoubt: 'hold',
    onChanged: 'hold',
    retry: { attempts: 2, firstDelayMs: 100, maxDelayMs: 1_000, maxAgeMs: 60_000 },
  };
}

/** It can be asked nothing, so what is lost stays in doubt; every third record of a kind is refused. */
function appendingSink(tell: (what: string) => void, comes: () => Promise<void>): Sink {
  const table = new MemoryTable();
  return memorySink({
    table,
    abilities: ['append'],
    refuse: (text) => {
      tell(text);
      return text.includes('"id":5') ? { code: '422', message: 'not this one', retryable: false } : undefined;
    },
    after: comes,
  });
}

/** Whatever it was told before, it takes a step once; here it only counts who asks for what. */
function loadingSink(tell: (what: string) => void, comes: () => Promise<void>): Sink {
  const step = (name: string) => async () => {
    tell(name);
    await comes();
    return { summary: name };
  };
  return {
    ...memorySink({ abilities: ['load', 'replace'] }),
    can: {
      load: {
        open: step('open'),
        add: async (permit) => {
          const { bytes } = await permit.payload();
          tell(Buffer.from(bytes).toString());
          await comes();
          return applied(permit.batch.records, { summary: 'added' });
        },
      },
      replace: step('replace'),
    },
  };
}

/** What the books say about the windows that were started, and about what their flows have in common, as text. */
export async function booksAsText(ledger: Ledger): Promise<string> {
  const { read } = ledger;
  const all: unknown[] = [];
  for (const { flow, window } of NEXT.map((start) => start.flow).map((flow) => ({
    flow: flow.name,
    window: flow.window,
  }))) {
    const named = window === 'pull' ? { newestFirst: true } : { window: window.name };
    const [run] = await read.runs({ flow, ...named, limit: 1 });
    if (run === undefined) throw new RangeError(`nothing was started for ${flow}`);
    const of = { run: run.id };
    all.push(run, await read.lanes(run.id), await read.generations(run.id), [...(await read.balance(run.id))]);
    all.push(await read.batches(of), await read.doubts(of), await read.events(of), await read.records(of));
    for (const { lane } of await read.lanes(run.id)) all.push(await read.laneKeys({ ...of, lane }));
    all.push(await read.positions(flow), await read.slices({ flow }), await read.looks(flow));
    const loads = await read.loads({ flow });
    all.push(
      loads.filter((load) => load.run === run.id),
      await read.historyAfter({ flow }),
    );
  }
  return asText(all);
}
