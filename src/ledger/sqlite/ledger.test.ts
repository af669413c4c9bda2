import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ledgerSuite } from '../../testing/suites/ledger-suite.ts';
import type { Ledger } from '../ledger.ts';
import { openSqliteLedger } from './open.ts';

ledgerSuite('on SQLite, written to from the main thread', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-ledger-'));
  let [nowMs, ids] = [Date.UTC(2026, 10, 19, 6), 0];
  const ports = { wallMs: () => nowMs, monotonicMs: () => nowMs, id: () => `00000000-0000-4000-8000-${++ids}` };
  const opened: Ledger[] = [];
  const open = async (): Promise<Ledger> => {
    const ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
    opened.push(ledger);
    return ledger;
  };
  return {
    ledger: await open(),
    reopen: open,
    advance: (ms) => {
      nowMs += ms;
    },
    cleanup: async () => {
      for (const ledger of opened) await ledger.close();
      rmSync(folder, { recursive: true });
    },
  };
});
