import { beforeAll, describe, expect, it } from 'vitest';
import type { Disk, DiskFile } from '../../src/ledger/disk.ts';
import type { Refusal } from '../../src/testing/disk/disk-plan.ts';
import { callsToRefuse, type RefusalResult, refuseCall } from '../../src/testing/disk/refusals.ts';
import { WasmSqlite } from '../../src/testing/disk/wasm-sqlite.ts';
import { reopened } from './mistakes.ts';

let sqlite: WasmSqlite;

beforeAll(async () => {
  sqlite = await WasmSqlite.load();
});

describe('a disk that refuses one call, whichever it is', () => {
  it.each([
    { how: 'EIO', journalFirst: true },
    { how: 'ENOSPC', journalFirst: false },
    { how: 'short', journalFirst: true },
  ] satisfies { how: Refusal; journalFirst: boolean }[])(
    'is told clearly, and after a power cut all that was acknowledged is there: $how',
    async ({ how, journalFirst }) => {
      const calls = await callsToRefuse(sqlite, { how, journalFirst, few: 1 });
      expect(calls.length).toBeGreaterThan(3);
      const results: RefusalResult[] = [];
      for (const at of calls) results.push(await refuseCall(sqlite, { at, how, journalFirst }));
      expect(results.filter(({ found }) => found.length > 0)).toEqual([]);
      expect(results.filter(({ where }) => where === undefined)).toEqual([]);
    },
    120_000,
  );

  it('and it is found out when a sync that failed is asked for again and believed', async () => {
    const mistake = { disk: (disk: Disk) => reopened(disk, syncAgain) };
    for (const at of await callsToRefuse(sqlite, { how: 'EIO', few: 3 })) {
      const { where, found } = await refuseCall(sqlite, { at, how: 'EIO', mistake });
      if (where?.endsWith('.seg') && found.some((line) => /cannot be read back/.test(line))) return;
    }
    expect.fail('not found');
  }, 120_000);
});

function syncAgain(file: DiskFile): DiskFile {
  const sync = (): Promise<void> => file.sync().catch(() => file.sync());
  return {
    write: (bytes, offset, length) => file.write(bytes, offset, length),
    sync,
    datasync: sync,
    identity: () => file.identity(),
    close: () => file.close(),
  };
}
