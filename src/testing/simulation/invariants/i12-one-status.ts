import { WaybillError } from '../../../model/errors.ts';
import { balances } from '../../../model/states.ts';
import type { Seen } from '../book.ts';
import type { Evidence } from '../evidence.ts';

/** What a start may end with, here: the rest of the catalogue would mean that something is broken. */
const EXPLAINED = new Set([
  'LEASE_HELD',
  'FENCED',
  'SOURCE_FAILED',
  'STAGING_WRITE',
  'JOURNAL_WRITE',
  'LEDGER_BUSY',
  'INTERRUPTED',
  'RUN_UNKNOWN',
  // Of loads: the sink did not answer when a place was to be made, or the window cannot be loaded again alone.
  'LOAD_FAILED',
  'PERIOD_PARTIAL',
]);

/** I12: every failure has one status that says why, every answer balances, and "finished" is never taken back. */
export function oneStatus(evidence: Evidence): void {
  const { final, book } = evidence;
  for (const { row } of final.records) {
    if (row.state !== 'refused' && row.state !== 'in-doubt') continue;
    const told = (row.reason ?? '') !== '';
    book.check('I12', told, () => `a record is ${row.state} and nothing says why: ${JSON.stringify(row)}`);
  }
  for (const { process, error } of book.endings) {
    const explained = error === undefined || (error instanceof WaybillError && isExplained(error, evidence));
    book.check('I12', explained, () => `${process} ended with ${(error as Error).stack ?? String(error)}`);
  }
  for (const [name, balance] of final.balances) {
    book.check('I12', balances(balance), () => `${name} does not balance: ${JSON.stringify(balance)}`);
  }
  fencedIsNoRefusal(evidence);
  finishedStays(evidence);
}

/** A range is lost only where something else came than what was read; bytes that nobody keeps, where nobody does. */
const isExplained = ({ code }: WaybillError, { machine }: Evidence): boolean =>
  EXPLAINED.has(code) ||
  (code === 'RANGE_LOST' && machine.world.faults.has('range-differs')) ||
  (code === 'BYTES_NOT_KEPT' && machine.scenario.unkept === true);

/** That somebody else holds the shard says nothing about the record: it may not be the status that it ends with. */
function fencedIsNoRefusal({ final, book }: Evidence): void {
  for (const { row } of final.records) {
    const fenced = row.state === 'refused' && (row.reason ?? '').startsWith('fenced');
    book.check('I12', !fenced, () => `a record is refused since a sender was fenced: ${row.reason}`);
  }
}

function finishedStays({ book }: Evidence): void {
  const finished = new Map<number, Seen & { readonly state: string }>();
  for (const seen of book.seen) {
    const { run, orders, sinceMs } = seen;
    const before = finished.get(run.id);
    if (before !== undefined && before.orders === orders && sinceMs >= before.atMs) {
      book.check('I12', run.state === before.state, () => `run ${run.id} was ${before.state}, then ${run.state}`);
    }
    if (run.state === 'complete' || run.state === 'complete-with-refusals') {
      finished.set(run.id, { ...seen, state: run.state });
    }
  }
}
