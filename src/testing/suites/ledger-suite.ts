import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LedgerBench, UnderTest } from './ledger-fixture.ts';
import { answerCases } from './ledger-suite-answers.ts';
import { claimCases } from './ledger-suite-claims.ts';
import { readingCases } from './ledger-suite-readings.ts';
import { readCases } from './ledger-suite-reads.ts';
import { runCases } from './ledger-suite-runs.ts';
import { settleCases } from './ledger-suite-settles.ts';
import { walk } from './ledger-walk.ts';

export type { LedgerBench } from './ledger-fixture.ts';

/**
 * What every ledger must do, whatever it is kept in. `open` makes an empty one; nothing of it may be left after
 * `cleanup`. To be run with vitest, in a test file of the ledger's own. `walks`: how many random walks, of up to 60
 * steps each, are held against the model.
 */
export function ledgerSuite(name: string, open: () => Promise<LedgerBench>, { walks = 60 } = {}): void {
  describe(`the ledger ${name}`, () => {
    let bench: LedgerBench | undefined;
    const current = (): LedgerBench => bench as LedgerBench;
    beforeEach(async () => {
      bench = await open();
    });
    afterEach(async () => {
      // Whatever a test did, the books must add up after it.
      const problems = await current().ledger.read.verify();
      await current().cleanup();
      expect(problems).toEqual([]);
    });
    const under: UnderTest = { bench: current, ledger: () => current().ledger };
    runCases(under);
    readingCases(under);
    claimCases(under);
    answerCases(under);
    settleCases(under);
    readCases(under);
    it('agrees with a model of it after every step of random walks', async () => walk(open, walks), 60_000);
  });
}
