import { Cron } from 'croner';

/** When a schedule next fires after a moment, in milliseconds since 1970; undefined when it never does again. */
export function nextFireMs(schedule: string, timezone: string, afterMs: number): number | undefined {
  // Paused: croner is asked for times only, its own timers stay off.
  return new Cron(schedule, { timezone, paused: true, mode: '5-part' }).nextRun(new Date(afterMs))?.getTime();
}
