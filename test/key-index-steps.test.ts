import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { RunAsk } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { drive } from '../src/testing/drive.ts';
import { testJob } from '../src/testing/job.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'waybill-index-steps-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Which of these calls were made, in their order; of a step of the index what it was asked for. */
function listening(ledger: Ledger, heard: string[]): Ledger {
  return new Proxy(ledger, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value !== 'function') return value;
      return (ask: { only?: string }) => {
        if (name === 'indexKeys') heard.push(`index ${ask.only ?? 'all'}`);
        if (name === 'startGeneration') heard.push('read');
        return Reflect.apply(value, object, [ask]) as unknown;
      };
    },
  });
}

it('merges the parts of the key index before a window is read again, and never after it was read once', async () => {
  const ports = new VirtualPorts();
  const ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
  const heard: string[] = [];
  const services = {
    ports,
    ledger: listening(ledger, heard),
    staging: folderStaging(join(folder, 'staging')),
    journal: fileJournal(join(folder, 'journal')),
    notice: () => undefined,
  };
  const sink = memorySink({ table: new MemoryTable(), clock: ports, abilities: ['append'] });
  const job = testJob(memorySource([{ id: 1 }, { id: 2 }, { id: 3 }]), sink);
  const never = new AbortController().signal;
  const run = async (more: Partial<RunAsk> = {}): Promise<string[]> => {
    const ask = { owner: 'o', leaseMs: 60_000, ...more };
    await drive(ports, runJob(job, ask, services, { stop: never, abort: never }));
    return heard.splice(0);
  };
  // Each asks until nothing is left.
  expect(await run()).toEqual(['read', 'index parts', 'index parts']);
  expect(await run()).toEqual([]);
  expect(await run({ refresh: true })).toEqual(['index all', 'read', 'index parts']);
  await ledger.close();
});
