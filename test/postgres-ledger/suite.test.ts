import { afterAll, beforeAll, describe, it } from 'vitest';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openPostgresLedger } from '../../src/ledger/postgres/open.ts';
import { type LedgerBench, ledgerSuite } from '../../src/testing/suites/ledger-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { ledgerPorts, parsed } from './bench.ts';

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => server.stop());

async function open(): Promise<LedgerBench> {
  let nowMs = Date.UTC(2026, 10, 19, 6);
  const address = parsed(server);
  const opened: Ledger[] = [];
  const reopen = async (): Promise<Ledger> => {
    const clock = (): string => `${nowMs}::bigint`;
    const ledger = await openPostgresLedger({ address, ports: ledgerPorts(), create: true, clock });
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
      const client = await server.client();
      await client.query(`DROP SCHEMA "${address.schema}" CASCADE`);
      await client.end();
    },
  };
}

register({ describe, it }, ledgerSuite({ name: 'on PostgreSQL', open, walks: 12 }));
