import { type Evidence, timesTaken } from '../evidence.ts';

/** States that say that a record is not in the sink. */
const ELSEWHERE: ReadonlySet<string> = new Set(['refused', 'skipped']);

/**
 * I2: what is called delivered is in the sink: once, or, where the sink replaces, with its content. What is called
 * refused or skipped is not.
 */
export function deliveredIsThere(evidence: Evidence): void {
  const { final, book, scenario, possiblyTwice } = evidence;
  for (const { row, batch, identity } of final.records) {
    // What was given up, or sent again, without proof may be there or not: the ledger says so.
    if (ELSEWHERE.has(row.state) && batch.possibly === undefined && !possiblyTwice.has(identity)) {
      const times = timesTaken(evidence, row.lane, identity);
      book.check('I2', times === 0, () => `record ${identity} is ${row.state} and was taken ${times} times`);
    }
    if (row.state !== 'delivered') continue;
    const times = timesTaken(evidence, row.lane, identity);
    const once = scenario.rung === 'put' || possiblyTwice.has(identity) ? times >= 1 : times === 1;
    book.check('I2', once, () => `record ${identity} of ${row.lane} is delivered and was taken ${times} times`);
  }
}
