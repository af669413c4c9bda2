import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { RunSummary } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { ALL } from '../src/model/window.ts';
import { strategies } from '../src/strategies/all.ts';
import { drive } from '../src/testing/drive.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const BATCHES = 40;
const PER_BATCH = 64;

const root = mkdtempSync(join(tmpdir(), 'waybill-all-refused-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs 40 batches of 64 records into a sink that refuses a batch as a whole; answers what became of it. */
async function run(
  name: string,
  refused: (id: number) => boolean,
): Promise<{ summary: RunSummary; table: MemoryTable }> {
  const ports = new VirtualPorts();
  const folder = join(root, name);
  const ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
  const services = {
    ports,
    ledger,
    staging: folderStaging(join(folder, 'staging')),
    journal: fileJournal(join(folder, 'journal')),
    notice: () => undefined,
  };
  const table = new MemoryTable();
  const sink = memorySink({
    table,
    clock: ports,
    abilities: ['append'],
    rejectsAtomically: true,
    refuse: (text) =>
      refused((JSON.parse(text) as { id: number }).id) ? { code: 'unfit', message: 'no', retryable: false } : undefined,
  });
  const records = Array.from({ length: BATCHES * PER_BATCH }, (_, id) => ({ id }));
  const job = {
    flow: 'refused',
    window: ALL,
    parameters: {},
    deliver: 'after-read' as const,
    configDigest: 'c',
    source: {
      name: 'members',
      source: memorySource(records),
      key: ['id'],
      exclude: [],
      onReject: 'skip' as const,
      onDuplicate: 'report' as const,
    },
    lanes: [
      {
        name: 'api',
        connector: 'memory',
        sink,
        strategy: strategies['ledgered-append']!,
        limits: { recordsPerBatch: PER_BATCH, inFlight: 1 },
        onDoubt: 'hold' as const,
        onChanged: 'hold' as const,
        retry: { attempts: 2, firstDelayMs: 100, maxDelayMs: 1_000, maxAgeMs: 60_000 },
      },
    ],
  };
  const never = new AbortController().signal;
  const ask = { owner: 'o', leaseMs: 60_000 };
  const summary = await drive(ports, runJob(job, ask, services, { stop: never, abort: never }));
  await ledger.close();
  return { summary, table };
}

describe('a sink that refuses batches as a whole', () => {
  it('is left alone after the first records of the first batch, where it refuses all', async () => {
    const { summary, table } = await run('all', () => true);
    const [lane] = summary.lanes;
    expect(summary.stalled[0]?.reason).toContain('50 batches in a row were refused, the last one with unfit');
    // Halves of one batch down to fifty of its records: with those of all batches it would be more than two thousand.
    expect(table.calls.length).toBeLessThan(120);
    expect(lane?.balance.refused).toBe(50);
  });

  it('gets all the rest of a batch that holds one bad record before the batches behind it', async () => {
    const { summary, table } = await run('one', (id) => id === 0);
    expect(summary.lanes[0]?.balance).toMatchObject({ delivered: BATCHES * PER_BATCH - 1, refused: 1 });
    const order = table.effects.map(({ text }) => (JSON.parse(text) as { id: number }).id);
    expect(order.slice(0, PER_BATCH - 1).sort((a, b) => a - b)).toEqual(
      Array.from({ length: PER_BATCH - 1 }, (_, i) => i + 1),
    );
  });
});
