import { describe, expect, it } from 'vitest';
import { openLedgerOn } from '../../src/testing/disk/ledger-on-disk.ts';
import { SimDisk } from '../../src/testing/disk/sim-disk.ts';
import { WasmSqlite } from '../../src/testing/disk/wasm-sqlite.ts';
import { everyAnswer, tellStory } from '../../src/testing/suites/ledger-story.ts';

describe('the ledger on a simulated disk', () => {
  it('tells a whole story and is the same when it is opened again', async () => {
    const sqlite = await WasmSqlite.load();
    let nowMs = Date.UTC(2026, 10, 19, 6);
    const ports = { wallMs: () => nowMs, monotonicMs: () => nowMs, id: () => '00000000-0000-4000-8000-000000000001' };
    const disk = new SimDisk({ names: 'strict' });
    const one = openLedgerOn(sqlite, disk, { path: '/w/ledger.db', ports });
    await tellStory(one.ledger, (ms) => {
      nowMs += ms;
    });
    const answers = await everyAnswer(one.ledger);
    expect(await one.ledger.read.verify()).toEqual([]);
    await one.ledger.close();
    const again = openLedgerOn(sqlite, disk, { path: '/w/ledger.db', ports });
    expect(await everyAnswer(again.ledger)).toEqual(answers);
    expect(await again.ledger.read.verify()).toEqual([]);
    await again.ledger.close();
  });
});
