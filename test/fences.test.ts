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
import { strategies } from '../src/strategies/all.ts';
import { drive } from '../src/testing/drive.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const root = mkdtempSync(join(tmpdir(), 'waybill-fences-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('a fence that was raised in a sink', () => {
  it('shuts out older claims of its shard, and no other run of the same lane', async () => {
    const ports = new VirtualPorts();
    const path = join(root, 'ledger.db');
    const ledger = await openSqliteLedger({ path, ports, thread: 'main', create: true });
    const table = new MemoryTable();
    const start = (window: string, before: () => void = () => undefined, stop = new AbortController()) => {
      const sink = memorySink({ table, clock: ports, abilities: ['append', 'find', 'fence'], before });
      const job = {
        flow: 'f',
        window: { name: window },
        parameters: {},
        deliver: 'after-read' as const,
        configDigest: 'c',
        source: {
          name: 'rows',
          source: memorySource([{ id: window }], {}),
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
            limits: { recordsPerBatch: 1, inFlight: 1 },
            onDoubt: 'hold' as const,
            onChanged: 'hold' as const,
            retry: { attempts: 3, firstDelayMs: 10, maxDelayMs: 10, maxAgeMs: 10_000 },
          },
        ],
      };
      const journal = fileJournal(join(root, 'journal'));
      const services = {
        ports,
        ledger,
        staging: folderStaging(join(root, 'staging')),
        journal,
        notice: () => undefined,
      };
      const signals = { stop: stop.signal, abort: new AbortController().signal };
      return drive(ports, runJob(job, { owner: 'test', leaseMs: 600_000 }, services, signals));
    };
    const delivered = (summary: RunSummary) => summary.lanes[0]!.balance.delivered;
    const stop = new AbortController();
    const lost = await start(
      'monday',
      () => {
        stop.abort();
        throw new TypeError('the answer was lost');
      },
      stop,
    );
    expect(lost.lanes[0]!.balance.inDoubt).toBe(1);
    expect(delivered(await start('monday'))).toBe(1);
    expect([...table.fences.values()], 'the second claim has raised the fence').toEqual([2]);
    expect(delivered(await start('tuesday')), 'the first claim of another run has fence 1').toBe(1);
    await ledger.close();
  });
});
