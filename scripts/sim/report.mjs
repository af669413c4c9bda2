// What a campaign has come to, for people.
const number = (value) => value.toLocaleString('en-US', { maximumFractionDigits: 1 });

const list = (counts) =>
  Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `  ${number(count).padStart(12)}  ${name}`)
    .join('\n');

export function printReport(totals, { seconds, workers }) {
  const perMinute = (totals.schedules / seconds) * 60;
  console.log(`\n${number(totals.schedules)} schedules in ${number(seconds)} s on ${workers} workers`);
  console.log(`${number(perMinute)} schedules a minute, ${number(totals.events / totals.schedules)} events each`);
  console.log(`${number(totals.virtualMs / 3_600_000)} simulated hours, ${number(totals.kills)} processes killed`);
  console.log(`${number(totals.replayed)} schedules run twice to the same trace`);
  console.log(`\nclasses of sinks\n${list(totals.classes)}`);
  console.log(`\nfaults\n${list(totals.faults)}`);
  console.log(`\nchecks of invariants\n${list(totals.checks)}`);
  console.log(`\nstates that were reached\n${list(totals.marks)}`);
  return perMinute;
}

/** Invariants that were never checked and states that were never reached: such a campaign proves less than it says. */
export function unexercised(totals, { invariants, missingMarks }) {
  const unchecked = invariants.filter((name) => (totals.checks[name] ?? 0) === 0);
  const missing = missingMarks(new Map(Object.entries(totals.marks)));
  return [...unchecked.map((name) => `${name} was never checked`), ...missing.map((mark) => `never: ${mark}`)];
}
