// The ledger on PostgreSQL beside the one on SQLite: batches a second at 1, 8 and 64 lanes, every commit on the disk.
//   npm run build && node bench/ledger-postgres.js [--small]
// The server is one of its own on this machine, so a network is not in these figures: each commit of a real one adds
// two round trips. After each stretch the books must say exactly what was done, and verify must find nothing.

import { join } from 'node:path';
import { realPorts } from '../build/app/ports.js';
import { parseAddress } from '../build/ledger/postgres/address.js';
import { openPostgresLedger } from '../build/ledger/postgres/open.js';
import { openSqliteLedger } from '../build/ledger/sqlite/open.js';
import { check, deliver, sealed } from './parts/ledger-run.js';
import { median, report, small } from './parts/measure.js';
import { startServer } from './parts/server.js';

const LANES = [1, 8, 64];
const batchesFor = (lanes) => (small ? 300 : 1_000) * Math.min(lanes, 8);
const rounds = small ? 1 : 3;
const ports = realPorts();
let ledgers = 0;
const server = await startServer('ledger-postgres');

async function perSecond(ledger, lanes) {
  const batches = batchesFor(lanes);
  const run = await sealed(ledger, batches);
  const found = await deliver(ledger, run, lanes);
  await check(ledger, run.run, batches);
  await ledger.close();
  return found;
}

const onSqlite = () =>
  openSqliteLedger({ path: join(server.folder, `${++ledgers}.db`), ports, thread: 'main', create: true });

const onPostgres = () => {
  const address = parseAddress(`${server.url('postgres')}?schema=b${++ledgers}`);
  return openPostgresLedger({ address, ports, create: true });
};

try {
  for (const lanes of LANES) {
    const found = { sqlite: [], postgres: [] };
    for (let round = 0; round < rounds; round++) {
      found.sqlite.push(await perSecond(await onSqlite(), lanes));
      found.postgres.push(await perSecond(await onPostgres(), lanes));
    }
    const [sqlite, postgres] = [median(found.sqlite), median(found.postgres)];
    report(`ledger on PostgreSQL, ${lanes} lanes`, { batchesPerSecond: postgres, sqlite, ratio: postgres / sqlite });
  }
} finally {
  await server.stop();
}
