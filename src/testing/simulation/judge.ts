import { BooksReader } from '../../ledger/books/books-reader.ts';
import { answerFrom } from '../../ledger/sqlite/reader.ts';
import { type Course, gatherEvidence } from './evidence.ts';
import { finalView } from './final-view.ts';
import { INVARIANTS } from './invariants/all.ts';
import type { Machine } from './machine.ts';
import type { Supervisor } from './supervisor.ts';

/** Compares, when all is over, what happened with what the ledger says happened. */
export async function judge(machine: Machine, supervisor: Supervisor, course: Course): Promise<void> {
  const { bench, disk, book } = machine;
  const connections = bench.lend();
  try {
    const reader = new BooksReader(answerFrom(connections.reading, bench.identity.id));
    const final = await finalView(reader, disk);
    const evidence = gatherEvidence(machine, supervisor, course, final);
    for (const check of Object.values(INVARIANTS)) check(evidence);
  } catch (error) {
    // A ledger that cannot be read at the end is the worst that can be found, not a fault of the harness.
    book.check('I14', false, () => `the ledger cannot be read: ${(error as Error).stack}`);
  } finally {
    bench.giveBack(connections);
  }
}
