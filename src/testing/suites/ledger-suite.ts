import { listCases } from './case-list.ts';
import { expect } from './expect.ts';
import type { LedgerBench } from './ledger-fixture.ts';
import { answerCases } from './ledger-suite-answers.ts';
import { claimCases } from './ledger-suite-claims.ts';
import { loadCases } from './ledger-suite-loads.ts';
import { placeCases } from './ledger-suite-places.ts';
import { readingCases } from './ledger-suite-readings.ts';
import { readCases } from './ledger-suite-reads.ts';
import { runCases } from './ledger-suite-runs.ts';
import { settleCases } from './ledger-suite-settles.ts';
import { sliceCases } from './ledger-suite-slices.ts';
import { walk } from './ledger-walk.ts';
import type { Suite } from './suite.ts';

export type { LedgerBench } from './ledger-fixture.ts';

export interface LedgerSubject {
  readonly name: string;
  /** Called once a case: an empty ledger. Nothing of it may be left after its `cleanup`. */
  open(): Promise<LedgerBench>;
  /** How many random walks, of up to 60 steps each, are held against the model; 60 when absent. */
  readonly walks?: number;
}

/** What every ledger must do, whatever it is kept in. */
export function ledgerSuite({ name, open, walks = 60 }: LedgerSubject): Suite {
  let bench: LedgerBench | undefined;
  const current = (): LedgerBench => bench as LedgerBench;
  const around = async (run: () => Promise<void> | void): Promise<void> => {
    bench = await open();
    let problems: unknown;
    try {
      await run();
    } finally {
      // Whatever a case did, the books must add up after it.
      problems = await current().ledger.read.verify();
      await current().cleanup();
    }
    expect(problems, 'what is wrong with the books after the case').toEqual([]);
  };
  const cases = listCases(around, (grouping) => {
    const under = { ...grouping, bench: current, ledger: () => current().ledger };
    runCases(under);
    readingCases(under);
    claimCases(under);
    placeCases(under);
    answerCases(under);
    settleCases(under);
    loadCases(under);
    sliceCases(under);
    readCases(under);
    grouping.it('agrees with a model of it after every step of random walks', async () => walk(open, walks), 240_000);
  });
  return { name: `the ledger ${name}`, claims: [], cases };
}
