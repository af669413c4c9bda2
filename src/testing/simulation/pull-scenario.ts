import type { Rung } from '../../model/guarantee.ts';
import { HISTORY_COLUMNS, type HistoryMerge, type HistorySettings, needsKey } from '../../model/history.ts';
import { blameless, drawSwarm, type Swarm } from './faults.ts';
import { Tape } from './tape.ts';

/** What pulls make of the rows they bring; snapshots need a source that always brings the whole. */
export const PULLED = ['as they are', 'append', 'ledger', 'upsert-stream'] as const satisfies readonly (
  | 'as they are'
  | HistoryMerge
)[];

/** The windows of the scenario are pulls from a log that grows; a scenario without it reads each window as a whole. */
export interface PullScenario {
  readonly merge: (typeof PULLED)[number];
}

/** So that rows differ in what they say, not in where they stood. */
export const PLACE = 'at';
export const OPERATION_COLUMN = 'op';

export function historyOf({ merge }: PullScenario): HistorySettings | undefined {
  if (merge === 'as they are') return undefined;
  return { merge, operation: OPERATION_COLUMN, ignore: [PLACE], allowEmpty: false, columns: HISTORY_COLUMNS };
}

/** Rows are compared with those before, so keys come again. */
export const compares = ({ merge }: PullScenario): boolean => merge !== 'as they are' && needsKey(merge);

/** So many schedules of a thousand that are not about loads are about pulls. */
const SHARE = 120;

/** What a scenario about pulls has instead of what was drawn for it. */
export interface DrawnPulls {
  readonly pull: PullScenario;
  readonly windows: number;
  readonly rows: number;
  readonly keyed: boolean;
  readonly repeats: false;
  readonly swarm: Swarm;
}

/** From a tape of their own, as loads are: every other seed makes the schedule that it has always made. */
export function drawPulls(
  seed: number,
  { keyed, rung }: { readonly keyed: boolean; readonly rung: Rung },
): DrawnPulls | undefined {
  const tape = Tape.ofSeed(seed ^ 0x9a119a11);
  if (!tape.chance(SHARE)) return undefined;
  const pull: PullScenario = { merge: tape.pick(PULLED) };
  // A pull cannot be read again: what was new then is not new now.
  const { 'operator-refreshes': _, 'operator-resends': __, ...swarm } = blameless(drawSwarm(tape, rung));
  return {
    pull,
    windows: tape.pick([2, 3]),
    // The log grows with every look, so a schedule has more rows than a window does.
    rows: tape.pick([3, 5]),
    keyed: keyed || compares(pull),
    repeats: false,
    swarm,
  };
}
