import { hash } from 'node:crypto';
import { asBatchId, asRunId, type BatchId, NO_RUN, type RunId } from '../../../model/ids.ts';
import type { EventKind, EventRow } from '../../ledger.ts';
import type { Cell } from '../../row-digest.ts';
import { ANSWER_KIND, BATCH_STATE, type Code, EVENT_KIND, toCode, toWord } from '../codes.ts';
import { corrupt } from '../corrupt.ts';
import { type Asking, query, type Store, table } from '../store.ts';

export const CHAIN = table('chain', 12, { keys: ['run'], rest: ['events', 'last', 'head'] });
export const EVENT = table(
  'event',
  19,
  { keys: ['seq'], fixed: ['run', 'batch', 'at', 'kind', 'detail', 'hash'], rest: [] },
  { signed: false },
);

/** The events of a run so far. `last`: seq of the last one; `head`: its hash, in hex. */
export interface Chain {
  readonly run: RunId;
  events: number;
  last: number;
  head: string;
  /** There is a row for it. */
  stored: boolean;
}

/** One event as it is stored. `detail`: JSON, or null for none. */
export interface EventCells {
  readonly seq: number;
  readonly run: number;
  readonly batch: number | null;
  readonly atMs: number;
  readonly kind: number;
  readonly detail: string | null;
}

export const NO_EVENTS = '0'.repeat(32);
const CHAIN_OF = query(CHAIN, 'WHERE run = ?');

export function* findChain(store: Store, run: RunId): Asking<Chain | undefined> {
  const cells = yield* store.one(CHAIN_OF, run);
  if (cells === undefined) return undefined;
  return {
    run,
    events: cells[1] as number,
    last: cells[2] as number,
    head: (cells[3] as Buffer).toString('hex'),
    stored: true,
  };
}

export const encodeChain = (chain: Chain): Cell[] => [
  chain.run,
  chain.events,
  chain.last,
  Buffer.from(chain.head, 'hex'),
];

/** Each hash covers the one before it, so that no event can be changed, removed or put in without all later ones. */
export const nextHash = (head: string, e: EventCells): string =>
  hash('sha256', `${head}|${e.seq}|${e.run}|${e.batch ?? ''}|${e.atMs}|${e.kind}|${e.detail ?? ''}`, 'hex').slice(
    0,
    32,
  );

/** No event carries a digest of its own, so what stands there may be anything; what is no hash fits none. */
const hashIn = (cell: Cell): string => (cell instanceof Uint8Array ? Buffer.from(cell).toString('hex') : '');

export const decodeEvent = (c: readonly Cell[]): EventCells & { readonly hash: string } => ({
  seq: c[0] as number,
  run: c[1] as number,
  batch: c[2] as number | null,
  atMs: c[3] as number,
  kind: c[4] as number,
  detail: c[5] as string | null,
  hash: hashIn(c[6] as Cell),
});

/**
 * What the detail of an event holds, by kind. Stored as the bare values in this order, without those at the end that
 * are undefined: names would take more room than all else about an event. Names are only ever added at the end.
 */
const DETAIL: Readonly<Record<EventKind, readonly string[]>> = {
  'run-opened': ['owner', 'fence', 'created'],
  'generation-started': ['generation', 'kind', 'reason', 'withdrawn'],
  sealed: ['generation', 'lanes', 'position'],
  'generation-closed': ['generation', 'lanes', 'superseded', 'interrupted'],
  'generation-abandoned': ['generation', 'reason', 'records'],
  intended: ['attempt', 'fence'],
  answered: ['attempt', 'answer', 'state', 'applied', 'refused', 'unknown', 'children', 'reason'],
  settled: ['decision', 'state', 'who', 'evidence', 'records', 'children'],
  retried: ['who', 'reason', 'children'],
  paused: ['lane', 'who', 'reason'],
  resumed: ['lane', 'who'],
  cancelled: ['who', 'reason', 'skipped'],
  concluded: ['state', 'balance'],
  failed: ['code', 'message'],
  'lease-broken': ['owner', 'evidence', 'leases'],
  'position-set': ['source', 'position', 'who', 'flow', 'kind', 'before', 'beforeKind'],
  'load-moved': ['lane', 'generation', 'state', 'tries', 'summary', 'reason', 'undone'],
  'schema-kept': ['lane', 'generation', 'columns', 'changes'],
  'columns-left-out': ['lane', 'columns'],
};

/** Details that are one of a few words, by kind; stored as their numbers, since most events are of these kinds. */
const WORDS: Partial<Record<EventKind, Readonly<Record<string, Code<string>>>>> = {
  answered: { answer: ANSWER_KIND, state: BATCH_STATE },
  settled: { state: BATCH_STATE },
};

export function packDetail(kind: EventKind, detail: Readonly<Record<string, unknown>>): string | null {
  const [names, words] = [DETAIL[kind], WORDS[kind]];
  let count = names.length;
  while (count > 0 && detail[names[count - 1] as string] === undefined) count--;
  if (count === 0) return null;
  const values = names.slice(0, count).map((name) => {
    const code = words?.[name];
    return code === undefined ? (detail[name] ?? null) : toCode(code, detail[name] as string);
  });
  return JSON.stringify(values);
}

function unpackDetail(store: Store, kind: EventKind, text: string | null): Record<string, unknown> {
  const [names, words] = [DETAIL[kind], WORDS[kind]];
  const values = text === null ? [] : (JSON.parse(text) as unknown[]);
  const entries = values.flatMap((value, nth): [string, unknown][] => {
    const name = names[nth] as string;
    const code = words?.[name];
    if (value === null) return [];
    return [[name, code === undefined ? value : toWord(code, value as number, store.place)]];
  });
  return Object.fromEntries(entries);
}

export function toEventRow(store: Store, event: EventCells): EventRow {
  const kind = toWord(EVENT_KIND, event.kind, store.place);
  return {
    seq: event.seq,
    run: asRunId(event.run),
    atMs: event.atMs,
    kind,
    detail: unpackDetail(store, kind, event.detail),
    ...(event.batch === null ? {} : { batch: asBatchId(event.batch) as BatchId }),
  };
}

/** A stretch of a chain that was found whole: what comes after it can be checked from there. */
export interface ChainMark {
  readonly seq: number;
  readonly events: number;
  readonly hash: string;
}

const FROM_MARK = query(EVENT, 'WHERE run = ? AND seq > ? ORDER BY seq');
const HASH_AT = 'SELECT hash FROM event WHERE seq = ? AND run = ?';

/**
 * Recomputes the chain of a run, from `mark` on when there is one. Throws LEDGER_CORRUPT when an event is not what
 * was written, or when events are missing; returns the mark for the next time.
 */
export function* checkChain(store: Store, run: RunId, mark?: ChainMark): Asking<ChainMark> {
  const chain = yield* findChain(store, run);
  // Every run has at least the event of its opening.
  if (chain === undefined && run !== NO_RUN) throw broken(store, run, 0);
  let { seq, events, hash: head } = mark ?? { seq: 0, events: 0, hash: NO_EVENTS };
  if (mark !== undefined && mark.seq > 0) {
    if (hashIn(yield* store.scalar(HASH_AT, mark.seq, run)) !== mark.hash) throw broken(store, run, mark.seq);
  }
  yield* store.each(FROM_MARK, [run, seq], (cells) => {
    const event = decodeEvent(cells);
    head = nextHash(head, event);
    if (head !== event.hash) throw broken(store, run, event.seq);
    seq = event.seq;
    events++;
  });
  if ((chain?.events ?? 0) !== events || (chain?.last ?? 0) !== seq || (chain?.head ?? NO_EVENTS) !== head)
    throw broken(store, run, seq, ', or events after it are missing');
  return { seq, events, hash: head };
}

function broken(store: Store, run: RunId, seq: number, more = ''): Error {
  return corrupt(store.place, `event ${seq} of run r${run} breaks the chain${more}`, { table: 'event', row: seq, run });
}
