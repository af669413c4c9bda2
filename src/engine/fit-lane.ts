import type { GenerationRow, LaneSpec } from '../ledger/ledger.ts';
import { WaybillError } from '../model/errors.ts';
import { type Fit, NO_FACTS } from '../strategies/strategy.ts';
import type { LaneJob } from './engine.ts';

/** What a strategy can promise on the sink of a lane. */
export type LaneFit = Fit & { readonly fits: true };

/** Throws PROMISE_IMPOSSIBLE when the strategy of a lane needs what its sink cannot do. */
export function surelyFits(lane: LaneJob): LaneFit {
  const fit = lane.strategy.fit(lane.sink, lane.facts ?? NO_FACTS);
  if (fit.fits) return fit;
  const instead = fit.instead === undefined ? {} : { hint: `The strategy ${fit.instead} fits this sink.` };
  throw new WaybillError(
    'PROMISE_IMPOSSIBLE',
    `lane ${lane.name}: ${lane.strategy.name} does not fit: ${fit.reason}`,
    instead,
  );
}

export const laneSpec = (lane: LaneJob, fit: LaneFit): LaneSpec => ({
  lane: lane.name,
  connector: lane.connector,
  strategy: lane.strategy.name,
  rung: fit.guarantee.rung,
  onDoubt: lane.onDoubt,
  mappingDigest: lane.mapping?.digest ?? 'none',
});

/** Batches keep their order when the sink needs it, and when two versions of one record could overtake each other. */
export function keepsOrder(
  ordered: LaneFit['ordered'],
  lane: string,
  generations: readonly GenerationRow[],
  reading: boolean,
): boolean {
  if (ordered !== 'repeats') return ordered === 'always';
  // A generation that sends everything again compares nothing, so nobody has counted what had changed.
  const repeated = generations.some(
    (one) => one.kind === 'resend' || one.lanes.some((row) => row.lane === lane && row.duplicates + row.changed > 0),
  );
  return reading || repeated;
}
