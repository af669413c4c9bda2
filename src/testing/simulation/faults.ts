import type { Rung } from '../../model/guarantee.ts';
import type { Tape } from './tape.ts';

/**
 * Everything that can go wrong in a schedule. Each schedule switches on a random few of them, each at its own rate:
 * with all of them on at once, most would hide behind the commonest.
 */
export const FAULT_KINDS = [
  'kill',
  'power-cut',
  'pause',
  'clock-jump',
  'twin',
  'request-lost',
  'request-late',
  'request-reset',
  'connect-refused',
  'answer-lost',
  'answer-late',
  'answer-reset',
  'answer-garbled',
  'answer-partly-unknown',
  'half-applied',
  'duplicate-delivery',
  'throttled',
  'unavailable',
  'error-after-apply',
  'refusal',
  'refusal-for-now',
  'sink-down',
  'look-lags',
  'look-fails',
  'source-fails',
  'source-changes',
  'disk-full',
  'ledger-busy',
  'operator-settles',
  'operator-cancels',
  'operator-resends',
  'operator-pauses',
  'operator-refreshes',
  'operator-retries',
  'stop-asked',
] as const;
/** `range-differs` is drawn where ranges are: see `range-store.ts`. */
export type FaultKind = (typeof FAULT_KINDS)[number] | 'range-differs';

/** Cases of a thousand in which a fault that is switched on happens where it can. */
export type Swarm = Partial<Record<FaultKind, number>>;

/** Highest rate of each; rates between a tenth of it and all of it are drawn. */
const RATE_MAX: Readonly<Record<(typeof FAULT_KINDS)[number], number>> = {
  kill: 60,
  'power-cut': 40,
  pause: 25,
  'clock-jump': 200,
  twin: 400,
  'request-lost': 200,
  'request-late': 300,
  'request-reset': 200,
  'connect-refused': 250,
  'answer-lost': 250,
  'answer-late': 300,
  'answer-reset': 200,
  'answer-garbled': 150,
  'answer-partly-unknown': 200,
  'half-applied': 250,
  'duplicate-delivery': 250,
  throttled: 300,
  unavailable: 250,
  'error-after-apply': 250,
  refusal: 300,
  'refusal-for-now': 300,
  'sink-down': 200,
  'look-lags': 600,
  'look-fails': 300,
  'source-fails': 150,
  'source-changes': 600,
  'disk-full': 60,
  'ledger-busy': 60,
  'operator-settles': 700,
  'operator-cancels': 150,
  'operator-resends': 200,
  'operator-pauses': 300,
  'operator-refreshes': 400,
  'operator-retries': 500,
  'stop-asked': 250,
};

/**
 * What a class of sink cannot bear, because its promise rests on that not happening. Each of these is an assumption
 * that `waybill plan` prints, or the absence of the ability itself.
 */
const BEYOND: Partial<Record<FaultKind, readonly Rung[]>> = {
  // A network that delivers twice doubles what a sink adds without looking; no sender can help that.
  // Where it recognises repeats for a while only, one copy may be refused and the other be forgotten.
  'duplicate-delivery': ['none', 'look', 'fence-then-look', 'job', 'put', 'key'],
  // These apply a batch whole or not at all.
  'half-applied': ['marker', 'position', 'key', 'job'],
  // Waits that are measured by the wall clock end early when it is put forward.
  'clock-jump': ['look', 'fence-then-look', 'key', 'put'],
  'look-lags': ['none', 'marker', 'position', 'key', 'job', 'put'],
  'look-fails': ['none', 'marker', 'position', 'put'],
};

/** Switched on in every schedule that has a chance of it: without kills little else is interesting. */
const OFTEN: ReadonlySet<FaultKind> = new Set(['kill']);

export function drawSwarm(tape: Tape, rung: Rung): Swarm {
  const swarm: Swarm = {};
  const density = tape.pick([60, 150, 300]);
  for (const kind of FAULT_KINDS) {
    if (BEYOND[kind]?.includes(rung)) continue;
    if (!tape.chance(OFTEN.has(kind) ? 700 : density)) continue;
    swarm[kind] = Math.max(1, Math.ceil((RATE_MAX[kind] * tape.between(1, 10)) / 10));
  }
  return swarm;
}

/**
 * What nobody could be blamed for, each with its story in `docs/found-by-simulation.md`. A request that the network
 * doubles may be refused and applied: what is told of the one copy does not hold for the other. As long as the batch is
 * sent again that is noticed; when its run is cancelled before, it counts as never sent.
 */
export function blameless(swarm: Swarm): Swarm {
  if (swarm['operator-cancels'] === undefined) return swarm;
  const { 'duplicate-delivery': _, ...rest } = swarm;
  return rest;
}
