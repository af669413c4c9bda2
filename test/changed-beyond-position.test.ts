import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { Job, LaneJob, Notice } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { balances } from '../src/model/states.ts';
import { ALL } from '../src/model/window.ts';
import { strategies } from '../src/strategies/all.ts';
import { drive } from '../src/testing/drive.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const root = mkdtempSync(join(tmpdir(), 'waybill-changed-beyond-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let worlds = 0;

type Rows = readonly object[];
/** So long that few rows are worth sealing also when nothing is sent before all is read. */
const row = (id: number) => ({ id, name: 'member'.repeat(35_000) });
/** It has no key, so it gets into no batch. */
const keyless = { name: 'nobody' };
const TEN: Rows = Array.from({ length: 10 }, (_, nth) => row(nth + 1));
const WITH_KEYLESS: Rows = [...TEN.slice(0, 5), keyless, ...TEN.slice(5)];

/**
 * Chunks of five rows, batches of three in one lane and of four in the other. The first reading fails before the tenth
 * row, so it leaves a position after five, one lane that has decided six rows and one that has decided eight.
 */
class World {
  readonly ports = new VirtualPorts();
  readonly tables = { threes: new MemoryTable(), fours: new MemoryTable() };
  readonly notices: Notice[] = [];
  readonly #folder = join(root, String(++worlds));
  rows: Rows = [];
  failAt: number | undefined;

  async start(deliver: Job['deliver']) {
    const path = join(this.#folder, 'ledger.db');
    const ledger = await openSqliteLedger({ path, ports: this.ports, thread: 'main', create: true });
    const services = {
      ports: this.ports,
      ledger,
      staging: folderStaging(join(this.#folder, 'staging')),
      journal: fileJournal(join(this.#folder, 'journal')),
      notice: (notice: Notice) => void this.notices.push(notice),
    };
    try {
      const never = new AbortController().signal;
      const ask = { owner: 'one', leaseMs: 600_000 };
      const running = runJob(this.#job(deliver), ask, services, { stop: never, abort: never });
      const summary = await drive(this.ports, running);
      expect(await ledger.read.verify()).toEqual([]);
      return { summary, kinds: (await ledger.read.generations(summary.run.id)).map((one) => one.kind) };
    } finally {
      await ledger.close();
    }
  }

  #job(deliver: Job['deliver']): Job {
    return {
      flow: 'changed',
      window: ALL,
      parameters: {},
      deliver,
      configDigest: 'c',
      source: {
        name: 'members',
        source: memorySource(() => [...this.rows], {
          chunkRecords: 5,
          failAt: () => this.failAt,
        }),
        key: ['id'],
        exclude: [],
        onReject: 'skip',
        onDuplicate: 'report',
      },
      lanes: [this.#lane('threes', 3), this.#lane('fours', 4)],
    };
  }

  #lane(name: 'threes' | 'fours', recordsPerBatch: number): LaneJob {
    return {
      name,
      connector: 'memory',
      sink: memorySink({ table: this.tables[name], clock: this.ports, abilities: ['commitOnce'] }),
      strategy: strategies['ledgered-append']!,
      limits: { recordsPerBatch, inFlight: 2 },
      onDoubt: 'hold',
      onChanged: 'append',
      retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 1_000, maxAgeMs: 60_000 },
    };
  }
}

const idsOf = (table: MemoryTable): number[] => table.effects.map((one) => JSON.parse(one.text).id as number);

const CHANGES: readonly (readonly [what: string, before: Rows, after: Rows])[] = [
  ['was deleted', TEN, TEN.filter((_, nth) => nth !== 5)],
  ['was inserted', TEN, [...TEN.slice(0, 5), row(77), ...TEN.slice(5)]],
  ['took the place of another', TEN, [...TEN.slice(0, 5), row(77), ...TEN.slice(6)]],
  ['that could not be read got its key', WITH_KEYLESS, [...TEN.slice(0, 5), row(77), ...TEN.slice(5)]],
  ['that could not be read was deleted', WITH_KEYLESS, TEN],
  ['and all after it were deleted', TEN, TEN.slice(0, 5)],
  ['changed places with another', TEN, [...TEN.slice(0, 5), row(7), row(6), ...TEN.slice(7)]],
];

/** The first reading fails before its last row; the second one is made when the source holds `after`. */
async function twice(deliver: Job['deliver'], before: Rows, after: Rows) {
  const world = new World();
  world.rows = before;
  world.failAt = before.length - 1;
  await expect(world.start(deliver)).rejects.toThrow(`record ${before.length - 1}`);
  world.failAt = undefined;
  world.rows = after;
  return { world, ...(await world.start(deliver)) };
}

describe('a reading that goes on', () => {
  it.each(
    CHANGES.flatMap(([what, before, after]) =>
      (['while-reading', 'after-read'] as const).map((deliver) => [what, deliver, before, after] as const),
    ),
  )('U09: leaves nothing out when a row beyond the position %s meanwhile (%s)', async (_, deliver, before, after) => {
    const { world, summary, kinds } = await twice(deliver, before, after);
    expect(kinds).toEqual(['first', 'again']);
    expect(world.notices.map((one) => one.kind)).toContain('source-changed');
    for (const [name, table] of Object.entries(world.tables)) {
      const ids = idsOf(table);
      expect(new Set(ids).size, name).toBe(ids.length);
      expect(ids, name).toEqual(expect.arrayContaining(after.map((one) => (one as { id: number }).id)));
    }
    // What is in no batch any more is not told of: the row that had no key is gone, or has one.
    for (const { balance } of summary.lanes) expect([balances(balance), balance.refused]).toEqual([true, 0]);
  });

  it.each([
    ['no row has changed', TEN, TEN],
    ['a row has changed that nobody had decided', TEN, [...TEN.slice(0, 9), row(99)]],
    ['one of the rows cannot be read, as before', WITH_KEYLESS, WITH_KEYLESS],
  ])('U09: does go on when %s', async (_, before, after) => {
    const { world, kinds } = await twice('while-reading', before, after);
    expect(kinds).toEqual(['first']);
    const wanted = after.flatMap((one) => ('id' in one ? [Number(one.id)] : []));
    for (const table of Object.values(world.tables)) expect(idsOf(table).sort((a, b) => a - b)).toEqual(wanted);
  });
});
