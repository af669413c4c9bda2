import type { Evidence } from '../evidence.ts';

/** I14: rows, chains and balances of the ledger agree with their digests. */
export function ledgerVerifies({ final, book }: Evidence): void {
  book.check('I14', final.problems.length === 0, () => final.problems.join('; '));
}
