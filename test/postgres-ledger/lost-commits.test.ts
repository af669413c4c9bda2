import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Ledger, ShardClaim } from '../../src/ledger/ledger.ts';
import { openPostgresLedger } from '../../src/ledger/postgres/open.ts';
import { asBatchId, type BatchId } from '../../src/model/ids.ts';
import { Book, delivered, refusedWith, shardClaim } from '../../src/testing/suites/ledger-fixture.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { ledgerPorts, parsed } from './bench.ts';
import { CUTS, CutProxy } from './cut-proxy.ts';

const CUTS_LEAST = 400;
const LANES = 4;

let server: TestPostgres;
let proxy: CutProxy;
beforeAll(async () => {
  server = await startPostgres();
  proxy = await CutProxy.before(server);
});
afterAll(async () => {
  await proxy.close();
  await server.stop();
});

/** Seals one batch after the other: a seal that was done twice would leave two. */
async function seal(book: Book, batches: number): Promise<BatchId[]> {
  const ids: BatchId[] = [];
  for (let n = 0; n < batches; n++) ids.push(...(await book.seal([2])));
  return ids;
}

async function send(ledger: Ledger, claim: ShardClaim, batches: BatchId[]): Promise<void> {
  for (let batch = batches.pop(); batch !== undefined; batch = batches.pop()) {
    const { attempt } = await ledger.intend({ ...claim, batch, deadlineMs: 60_000 });
    expect(attempt).toBe(1);
    expect(await ledger.answer({ ...claim, batch, attempt, answer: delivered(2) })).toMatchObject({
      state: 'delivered',
    });
  }
}

it(`knows what became of every transaction when ${CUTS_LEAST} connections are cut around their COMMIT`, async () => {
  const address = parsed(server, { port: proxy.port });
  const ledger = await openPostgresLedger({ address, ports: ledgerPorts(), create: true });
  let commits = 0;
  // Every cut is followed by others of its kind and of each other kind, and now and then by a COMMIT that goes through.
  proxy.next = () => (++commits % 5 === 0 ? undefined : CUTS[commits % CUTS.length]);
  const book = await Book.open(ledger);
  await book.start();
  const ids: BatchId[] = [];
  let rounds = 0;
  for (; proxy.cuts < CUTS_LEAST; rounds++) {
    const fresh = await seal(book, 12);
    ids.push(...fresh);
    const claim = shardClaim((await book.claimShard())!);
    await Promise.all(Array.from({ length: LANES }, () => send(ledger, claim, fresh)));
  }
  await book.close();
  const concluded = await ledger.concludeRun(book.claim);
  proxy.next = () => undefined;

  const sealed = rounds * 12;
  expect(concluded.state).toBe('complete');
  expect(new Set(ids).size).toBe(sealed);
  expect(await book.balance()).toBe(`${sealed * 2}/0/0/0/0 of ${sealed * 2}`);
  const events = await ledger.read.events({ run: book.run, limit: 1_000_000 });
  const count = (kind: string): number => events.filter((event) => event.kind === kind).length;
  expect([count('sealed'), count('intended'), count('answered')]).toEqual([sealed, sealed, sealed]);
  expect(await ledger.read.verify()).toEqual([]);
  for (const cut of CUTS) expect(proxy.made[cut]).toBeGreaterThan(CUTS_LEAST / 8);
  console.info(`${proxy.cuts} connections cut ${JSON.stringify(proxy.made)}; ${sealed} batches, each sent once`);
  await ledger.close();
}, 240_000);

it('tells what was wrong with a question, and not that its connection broke off on the way out', async () => {
  const ledger = await openPostgresLedger({
    address: parsed(server, { port: proxy.port }),
    ports: ledgerPorts(),
    create: true,
  });
  proxy.next = () => undefined;
  const { book } = await Book.sealed(ledger, [1]);
  proxy.rollbacks = Number.POSITIVE_INFINITY;
  expect(await refusedWith(ledger.read.batch(asBatchId(99)))).toBe('BATCH_UNKNOWN');
  expect((await ledger.read.run(book.run)).state, 'what was answered is believed').toBe('open');
  proxy.rollbacks = 0;
  await ledger.close();
});
