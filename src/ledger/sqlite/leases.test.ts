import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Book, LEASE_MS, shardClaim } from '../../testing/suites/ledger-fixture.ts';
import { showOwner } from '../books/tables/leases.ts';
import { openSqliteLedger } from './open.ts';

const ownerOf = (pid: number): string =>
  `waybill-owner-1/host-a/${'0123456789abcdef'.repeat(5)}/${pid}/77/instance-${pid}`;

it('shows a long owner by its two ends, and a short one whole', () => {
  expect(showOwner('worker 7 on host-a')).toBe('worker 7 on host-a');
  expect(showOwner(ownerOf(4711))).toBe('waybill-owner-1/host-a/0…nstance-4711');
  expect(showOwner(ownerOf(4711))).not.toBe(showOwner(ownerOf(4712)));
});

it('says in one short sentence whose a lost attempt was, when it was sent, and who took over', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-lease-'));
  let nowMs = Date.UTC(2026, 10, 19, 6);
  const ports = { wallMs: () => nowMs, monotonicMs: () => nowMs, id: () => 'abcdef00-0000-4000-8000-000000000000' };
  const ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
  const { book, ids } = await Book.sealed(ledger, [2]);
  const held = shardClaim((await book.claimShard({ owner: ownerOf(1) }))!);
  await ledger.intend({ ...held, batch: ids[0]!, deadlineMs: 1_000 });
  nowMs += LEASE_MS;
  const taken = await book.claimShard({ owner: ownerOf(2) });
  const [first, second] = [showOwner(ownerOf(1)), showOwner(ownerOf(2))];
  expect(taken?.doubts[0]?.attempt.reason).toBe(
    `no answer: sent 2026-11-19T06:00:00.000Z by ${first}; ${second} took over 2026-11-19T06:01:00.000Z`,
  );
  await ledger.close();
  rmSync(folder, { recursive: true });
});
