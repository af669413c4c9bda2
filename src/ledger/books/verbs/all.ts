import type { Asking } from '../store.ts';
import type { Transaction } from '../transaction.ts';
import { answer } from './answer.ts';
import { claimShard, releaseShard, renewShard } from './claim-shard.ts';
import { concludeRun, failRun } from './conclude-run.ts';
import { cancel, pause, resume } from './control.ts';
import { abandonGeneration, closeGeneration, interruptGeneration, startGeneration } from './generation.ts';
import { indexKeys } from './index-keys.ts';
import { intend, note } from './intend.ts';
import { keepSchema } from './keep-schema.ts';
import { moveLoad } from './load.ts';
import { openRun } from './open-run.ts';
import { retry } from './retry.ts';
import { breakLeases, releaseRun, renewRun } from './run-lease.ts';
import { seal } from './seal.ts';
import { emitted, setPosition } from './set-position.ts';
import { settle } from './settle.ts';
import { looked } from './slice.ts';

/** Everything that writes. Each may throw before or after its first write, and never commits. */
export const VERBS = {
  openRun,
  renewRun,
  releaseRun,
  breakLeases,
  startGeneration,
  seal,
  closeGeneration,
  interruptGeneration,
  abandonGeneration,
  claimShard,
  renewShard,
  releaseShard,
  intend,
  note,
  answer,
  settle,
  retry,
  moveLoad,
  keepSchema,
  pause,
  resume,
  cancel,
  concludeRun,
  failRun,
  setPosition,
  looked,
  emitted,
  indexKeys,
} as const;

export type Verb = keyof typeof VERBS;
export type Ask<V extends Verb> = Parameters<(typeof VERBS)[V]>[1];
export type Result<V extends Verb> = ReturnType<(typeof VERBS)[V]> extends Asking<infer T> ? T : never;

/** One call of a verb, as it travels to the writer: the time of the call comes with it. */
export interface Command {
  readonly verb: Verb;
  readonly ask: unknown;
  readonly nowMs: number;
}

/** Those that change no lease. There are as many of them as batches, all others are few. */
const LEAVING_LEASES: ReadonlySet<Verb> = new Set(['intend', 'note', 'answer']);

/** What a command asks and does; to be begun at once and carried to its end before another is. */
export function carryOut(tx: Transaction, command: Command): Asking<unknown> {
  tx.nowMs = command.nowMs;
  const asking = (VERBS[command.verb] as (tx: Transaction, ask: unknown) => Asking<unknown>)(tx, command.ask);
  return LEAVING_LEASES.has(command.verb) ? asking : forgettingLeases(tx, asking);
}

function* forgettingLeases(tx: Transaction, asking: Asking<unknown>): Asking<unknown> {
  tx.kept.leases.clear();
  const value = yield* asking;
  tx.kept.leases.clear();
  return value;
}
