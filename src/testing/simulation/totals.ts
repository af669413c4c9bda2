import type { ScheduleResult } from './schedule.ts';

/** What a campaign, or a part of one, has come to. Plain data: workers send it to whoever started them. */
export interface Totals {
  schedules: number;
  kills: number;
  virtualMs: number;
  events: number;
  boundaries: number;
  /** Schedules that were run twice to compare their traces. */
  replayed: number;
  violations: number;
  readonly faults: Record<string, number>;
  readonly marks: Record<string, number>;
  readonly checks: Record<string, number>;
  readonly classes: Record<string, number>;
}

export const noTotals = (): Totals => ({
  schedules: 0,
  kills: 0,
  virtualMs: 0,
  events: 0,
  boundaries: 0,
  replayed: 0,
  violations: 0,
  faults: {},
  marks: {},
  checks: {},
  classes: {},
});

const SUMS = ['schedules', 'kills', 'virtualMs', 'events', 'boundaries', 'replayed', 'violations'] as const;
const COUNTS = ['faults', 'marks', 'checks', 'classes'] as const;

export function addSchedule(totals: Totals, result: ScheduleResult, sinkClass: string): void {
  totals.schedules++;
  totals.violations += result.violations.length;
  for (const name of ['kills', 'virtualMs', 'events', 'boundaries'] as const) totals[name] += result[name];
  for (const of of ['faults', 'marks', 'checks'] as const) {
    for (const [name, count] of result[of]) totals[of][name] = (totals[of][name] ?? 0) + count;
  }
  totals.classes[sinkClass] = (totals.classes[sinkClass] ?? 0) + 1;
}

export function addTotals(to: Totals, more: Totals): void {
  for (const name of SUMS) to[name] += more[name];
  for (const of of COUNTS) {
    for (const [name, count] of Object.entries(more[of])) to[of][name] = (to[of][name] ?? 0) + count;
  }
}
