import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { type LedgerBench, ledgerSuite } from '../../testing/suites/ledger-suite.ts';
import { register } from '../../testing/suites/suite.ts';
import type { Ledger } from '../ledger.ts';
import { openSqliteLedger } from './open.ts';

const open = async (): Promise<LedgerBench> => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-ledger-'));
  let [nowMs, ids] = [Date.UTC(2026, 10, 19, 6), 0];
  const ports = { wallMs: () => nowMs, monotonicMs: () => nowMs, id: () => `00000000-0000-4000-8000-${++ids}` };
  const opened: Ledger[] = [];
  const reopen = async (): Promise<Ledger> => {
    const ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
    opened.push(ledger);
    return ledger;
  };
  return {
    ledger: await reopen(),
    reopen,
    advance: (ms) => {
      nowMs += ms;
    },
    cleanup: async () => {
      for (const ledger of opened) await ledger.close();
      rmSync(folder, { recursive: true });
    },
  };
};

register({ describe, it }, ledgerSuite({ name: 'on SQLite, written to from the main thread', open }));
