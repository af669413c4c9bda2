import { type Evidence, timesTaken } from '../evidence.ts';

/** Where a lost answer can always be settled, a run that was left in peace has no doubts. */
const ALWAYS_SETTLED = new Set(['marker', 'position', 'put', 'job', 'fence-then-look', 'look']);

/** I4: a doubt is 0 or 1 in the sink, is listed with its evidence, and does not exist where it can be settled. */
export function doubtIsListed(evidence: Evidence): void {
  const { final, book, scenario, possiblyTwice } = evidence;
  const listed = new Map(final.doubts.map((doubt) => [doubt.id as number, doubt]));
  for (const { row, batch, identity } of final.records) {
    if (row.state !== 'in-doubt') continue;
    const times = timesTaken(evidence, row.lane, identity);
    const most = scenario.rung === 'put' || possiblyTwice.has(identity) ? Number.POSITIVE_INFINITY : 1;
    book.check('I4', times <= most, () => `record ${identity} in doubt was taken ${times} times`);
    const doubt = listed.get(batch.id);
    const told = doubt?.doubtful.includes(row.index!) === true && (doubt.reason ?? '') !== '';
    book.check('I4', told, () => `record ${identity} is in doubt and is not listed with its evidence`);
    const left = final.runs.some((run) => run.id === row.run && run.state === 'cancelled');
    book.check(
      'I4',
      left || !ALWAYS_SETTLED.has(scenario.rung),
      () => `a doubt is left on a sink with ${scenario.rung}`,
    );
  }
}
