import { WaybillError } from './errors.ts';

/**
 * The three machines. Every move of a batch, of a record or of a run goes through `moveBatch` or `moveRun`; a move
 * that is not in the table is refused, so a state can never be reached by a path that nobody thought of.
 *
 * A batch is born `sealed`: its members, order, bytes and digest are fixed and durable. `sending` means that an intent
 * is durable and no verdict yet; a crash leaves it so, and only recovery may decide what became of it. `in-doubt`
 * means that the last verdict is unknown for some of its records. `moved` means that every record that was still open
 * went to child batches, or was superseded by a later reading of the window.
 */
export const BATCH_STATES = [
  'sealed',
  'sending',
  'delivered',
  'partial',
  'refused',
  'in-doubt',
  'skipped',
  'moved',
] as const;
export type BatchState = (typeof BATCH_STATES)[number];

/**
 * Where a record is. `pending` covers sealed and sending: not decided yet. `superseded`: it was refused or left out,
 * and a later reading of the window has taken its place; it is kept as history and counted nowhere.
 */
export const RECORD_STATES = ['pending', 'delivered', 'refused', 'in-doubt', 'skipped', 'superseded'] as const;
export type RecordState = (typeof RECORD_STATES)[number];

export const RUN_STATES = ['open', 'complete', 'complete-with-refusals', 'in-doubt', 'failed', 'cancelled'] as const;
export type RunState = (typeof RUN_STATES)[number];

const BATCH_MOVES: Record<BatchState, readonly BatchState[]> = {
  // In doubt again where a harmless repeat was due after a lost answer, and is not to be sent any more.
  sealed: ['sending', 'skipped', 'in-doubt', 'moved'],
  // Back to `sealed` only with proof that nothing was applied.
  sending: ['delivered', 'partial', 'refused', 'in-doubt', 'sealed', 'moved'],
  // By settlement: the sink, a policy or a person, with evidence.
  'in-doubt': ['delivered', 'partial', 'refused', 'sealed', 'skipped', 'moved'],
  // What was refused for good can be sent again in a child batch, by a person or after the data was corrected.
  refused: ['moved', 'partial', 'skipped'],
  partial: ['partial', 'delivered', 'moved'],
  // Only with its load: given up before readers saw it, or taken out again by a later one.
  delivered: ['moved'],
  // What was given up before it was sent may be read again and sent by a later generation.
  skipped: ['moved'],
  moved: ['moved'],
};

const RUN_MOVES: Record<RunState, readonly RunState[]> = {
  open: ['complete', 'complete-with-refusals', 'in-doubt', 'failed', 'cancelled'],
  // A new start of the same window, a settlement or a retry opens a run that had ended.
  complete: ['open'],
  'complete-with-refusals': ['open', 'complete'],
  'in-doubt': ['open', 'complete', 'complete-with-refusals'],
  failed: ['open', 'cancelled'],
  cancelled: ['open'],
};

export function moveBatch(from: BatchState, to: BatchState): BatchState {
  return move('batch', BATCH_MOVES, from, to);
}

export function moveRun(from: RunState, to: RunState): RunState {
  return from === to ? to : move('run', RUN_MOVES, from, to);
}

function move<S extends string>(what: string, table: Record<S, readonly S[]>, from: S, to: S): S {
  if (table[from].includes(to)) return to;
  throw new WaybillError('MOVE_FORBIDDEN', `a ${what} that is ${from} cannot become ${to}`, { ids: { from, to } });
}

/** How many records are where. For a batch, a lane or a run; `read` is the sum of the rest, at every moment. */
export interface Balance {
  readonly read: number;
  readonly delivered: number;
  readonly refused: number;
  readonly skipped: number;
  readonly inDoubt: number;
  readonly pending: number;
}

export const EMPTY_BALANCE: Balance = { read: 0, delivered: 0, refused: 0, skipped: 0, inDoubt: 0, pending: 0 };

export const balances = (b: Balance): boolean => b.read === b.delivered + b.refused + b.skipped + b.inDoubt + b.pending;

export function addBalances(all: Iterable<Balance>): Balance {
  const sum = { ...EMPTY_BALANCE } as { -readonly [K in keyof Balance]: number };
  for (const one of all) for (const key of Object.keys(sum) as (keyof Balance)[]) sum[key] += one[key];
  return sum;
}

/** What a run that has nothing left to do has come to. */
export function runStateOf(balance: Balance): RunState {
  if (balance.pending > 0) return 'open';
  if (balance.inDoubt > 0) return 'in-doubt';
  return balance.refused > 0 ? 'complete-with-refusals' : 'complete';
}
