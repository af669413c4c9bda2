// What a campaign has come to, for people.
import { cpus } from 'node:os';

const number = (value) => value.toLocaleString('en-US', { maximumFractionDigits: 1 });

const list = (counts) =>
  Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `  ${number(count).padStart(12)}  ${name}`)
    .join('\n');

/** Below such a share of their cores workers wait for others, whose work also drives theirs out of the caches. */
const FAIR_SHARE = 0.8;

/**
 * Returns how many schedules were run in a minute by the clock. `focused`: not drawn as they come, so what they count
 * and how fast they are is no figure of a whole campaign, and is told in other words.
 */
export function printReport(totals, { seconds, cpuMs, workers, focused }) {
  const perMinute = (totals.schedules / seconds) * 60;
  const schedules = focused ? 'focused schedules' : 'schedules';
  console.log(`\n${number(totals.schedules)} ${schedules} in ${number(seconds)} s on ${workers} workers`);
  console.log(`${number(perMinute)} ${schedules} a minute, ${number(totals.events / totals.schedules)} events each`);
  if (!focused) printSpeed(totals, { seconds, cpuMs, workers });
  console.log(`${number(totals.virtualMs / 3_600_000)} simulated hours, ${number(totals.kills)} processes killed`);
  console.log(`${number(totals.replayed)} schedules run twice to the same trace`);
  console.log(`\nclasses of sinks\n${list(totals.classes)}`);
  console.log(`\nfaults\n${list(totals.faults)}`);
  console.log(`\nchecks of invariants\n${list(totals.checks)}`);
  console.log(`\nstates that were reached${focused ? ' in focus' : ''}\n${list(totals.marks)}`);
  return perMinute;
}

/**
 * How fast the simulator itself is, says the time of the processor: by the clock it is a figure of the machine as well,
 * and of all that it does beside.
 */
function printSpeed(totals, { seconds, cpuMs, workers }) {
  const twoCores = 2 * 60_000;
  const schedules = number((totals.schedules / cpuMs) * twoCores);
  console.log(`${schedules} schedules for each minute that two cores have worked`);
  const share = cpuMs / (seconds * 1000 * Math.min(workers, cpus().length));
  if (share >= FAIR_SHARE)
    console.log(`${number((totals.events / cpuMs) * twoCores)} events for each minute that two cores have worked`);
  else
    console.log(`SKIPPED: G2 events: the workers had ${Math.round(share * 100)} % of their cores: no fair judgement`);
}

/** Invariants that were never checked and states that were never reached: such a campaign proves less than it says. */
export function unexercised(totals, { invariants, missingMarks }) {
  const unchecked = invariants.filter((name) => (totals.checks[name] ?? 0) === 0);
  const missing = missingMarks(new Map(Object.entries(totals.marks)));
  return [...unchecked.map((name) => `${name} was never checked`), ...missing.map((mark) => `never: ${mark}`)];
}
