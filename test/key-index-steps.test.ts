import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { RunAsk } from '../src/engine/engine.ts';
import { KeyIndexing } from '../src/engine/key-indexing.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import type { RunId } from '../src/model/ids.ts';
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

it('brings in the keys of a window after it was read, and merges nothing for a few', async () => {
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
  expect(await run({ refresh: true })).toEqual(['read', 'index parts']);
  await ledger.close();
});

it('merges all parts before a window of millions of records is read again, as long as nobody says stop', async () => {
  const [steps, stop] = [[] as string[], new AbortController()];
  const indexKeys = async ({ only = 'all' }: { only?: string }) => ({ done: steps.push(only) === 4 });
  const indexing = new KeyIndexing({ indexKeys } as unknown as Ledger, 1 as RunId);
  await indexing.prepare(2_000_000, stop.signal);
  expect(steps).toEqual([]);
  await indexing.prepare(10_000_000, stop.signal);
  expect(steps).toEqual(['all', 'all', 'all', 'all']);
  stop.abort();
  await indexing.prepare(10_000_000, stop.signal);
  expect(steps).toHaveLength(4);
});
