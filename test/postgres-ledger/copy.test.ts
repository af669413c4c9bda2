import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { copyInto } from '../../src/ledger/postgres/copy-in.ts';
import { openPostgresLedger } from '../../src/ledger/postgres/open.ts';
import { openSource } from '../../src/ledger/sqlite/copy-out.ts';
import { openSqliteLedger } from '../../src/ledger/sqlite/open.ts';
import { everyAnswer, tellStory } from '../../src/testing/suites/ledger-story.ts';
import { counts, DAY, DailyJob, members } from '../daily/daily-job.ts';
import { expectError, start } from '../hard/processes.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { addressOf, ledgerPorts, parsed } from './bench.ts';

const RUN = ['run', 'roket-daily', '--for', DAY];

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => server.stop());
let job: DailyJob | undefined;
afterEach(async () => {
  await job?.close();
  job = undefined;
});

it('a copy answers every question as the ledger that it was made of, and goes on with its numbers', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-copy-'));
  let nowMs = Date.UTC(2026, 10, 19, 6);
  const ports = { ...ledgerPorts(), wallMs: () => nowMs };
  const path = join(folder, 'ledger.db');
  const original = await openSqliteLedger({ path, ports, thread: 'main', create: true });
  await tellStory(original, (ms) => {
    nowMs += ms;
  });
  for (let done = false; !done; ) ({ done } = await original.indexKeys({}));
  const answers = await everyAnswer(original);
  const identity = original.identity;
  await original.close();
  const address = parsed(server);
  // Leases that the story left behind have run out by then.
  const source = openSource(path, nowMs + 1e9);
  const copied = await copyInto(address, source, ledgerPorts());
  expect(copied.already).toBe(false);
  expect(copied.tables.find((one) => one.table === 'batch')!.rows).toBeGreaterThan(3);
  expect((await copyInto(address, source, ledgerPorts())).already, 'once more compares').toBe(true);
  source.close();
  const copy = await openPostgresLedger({ address, ports: ledgerPorts(), create: false });
  expect(copy.identity).toMatchObject({ id: identity.id, seed: identity.seed });
  expect(await everyAnswer(copy)).toEqual(answers);
  expect(await copy.read.verify()).toEqual([]);
  await copy.close();
  rmSync(folder, { recursive: true });
});

it('a flow whose ledger was copied goes on with it: nothing is sent twice, and the file is out of use', async () => {
  job = await DailyJob.open({ members: members(500), sink: { inFlight: '1' } });
  expect((await job.cli(RUN)).status).toBe(0);
  expect(job.peer.received).toHaveLength(5);
  const to = addressOf(server);
  const copied = await job.cli(['ledger', 'copy', '--to', to]);
  expect(copied.status, copied.stderr).toBe(0);
  expect(copied.stdout + copied.stderr).not.toContain(server.password);
  expect(copied.stdout).toContain('was copied, and agrees');
  const file = join(job.folder, '.waybill', 'ledger.db');
  expect([existsSync(file), existsSync(`${file}.copied`)]).toEqual([false, true]);
  expectError(await start(job, RUN).ended, 'LEDGER_MISSING', 2);
  Object.assign(job.env, { WAYBILL_LEDGER: to });
  job.change("insert into members values (9001, 'late', '2026-11-19')");
  const again = await job.cli([...RUN, '--refresh']);
  expect(again.status, again.stderr).toBe(0);
  expect(counts(job.held()).size).toBe(501);
  expect([...counts(job.held()).values()].every((count) => count === 1)).toBe(true);
  expect((await job.cli(['verify'])).status).toBe(0);
});

it('is refused while a run holds a lease, where another ledger is, and where a row was changed', async () => {
  // Slow enough that the run is still at work when the copy has begun, on a busy machine as well.
  job = await DailyJob.open({ members: members(600), behaviour: { delayMs: 1_500 }, sink: { inFlight: '1' } });
  const running = start(job, RUN);
  await job.until(() => job!.peer.received.length >= 1);
  const schema = `copy_${process.pid}`;
  const to = addressOf(server, { schema });
  expectError(await start(job, ['ledger', 'copy', '--to', to]).ended, 'LEASE_HELD', 6);
  job.peer.set({ delayMs: 0 });
  expect((await running.ended).status).toBe(0);
  const other = parsed(server);
  const stranger = await openPostgresLedger({ address: other, ports: ledgerPorts(), create: true });
  await stranger.close();
  const taken = await start(job, ['ledger', 'copy', '--to', addressOf(server, { schema: other.schema })]).ended;
  expectError(taken, 'LEDGER_WRITE', 5);
  const db = new Database(join(job.folder, '.waybill', 'ledger.db'));
  db.exec('update batch set delivered = delivered - 1, refused = refused + 1 where id = 2');
  db.close();
  expectError(await start(job, ['ledger', 'copy', '--to', to]).ended, 'LEDGER_CORRUPT', 1);
  const client = await server.client();
  const { rows } = await client.query('select count(*) from pg_namespace where nspname = $1', [schema]);
  await client.end();
  expect(Number(rows[0].count), 'nothing is left of a copy that was refused').toBe(0);
});
