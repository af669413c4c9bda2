import { type Evidence, timesTaken } from '../evidence.ts';

/** I2: what is called delivered is in the sink: once, or, where the sink replaces, with its content. */
export function deliveredIsThere(evidence: Evidence): void {
  const { final, book, scenario, possiblyTwice } = evidence;
  for (const { row, identity } of final.records) {
    if (row.state !== 'delivered') continue;
    const times = timesTaken(evidence, row.lane, identity);
    const once = scenario.rung === 'put' || possiblyTwice.has(identity) ? times >= 1 : times === 1;
    book.check('I2', once, () => `record ${identity} of ${row.lane} is delivered and was taken ${times} times`);
  }
}
