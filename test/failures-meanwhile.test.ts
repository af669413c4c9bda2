import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { Job, RunSummary } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { WaybillError } from '../src/model/errors.ts';
import { drive } from '../src/testing/drive.ts';
import { testJob } from '../src/testing/job.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const LEASE_MS = 600_000;
let folder: string;
let ledger: Ledger;
const ports = new VirtualPorts();
let table: MemoryTable;
const unheard: unknown[] = [];
const listen = (error: unknown): void => void unheard.push(error);

beforeEach(async () => {
  table = new MemoryTable();
  folder = mkdtempSync(join(tmpdir(), 'waybill-meanwhile-'));
  ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
  process.on('unhandledRejection', listen);
});
afterEach(async () => {
  process.off('unhandledRejection', listen);
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

const broken = (): Promise<never> => Promise.reject(new WaybillError('LEDGER_WRITE', 'the device reports an error'));

/** The ledger, some methods of which fail; its reader may be another one. */
const failing = (methods: readonly (keyof Ledger)[], read = ledger.read): Ledger =>
  new Proxy(ledger, {
    get(target, name) {
      if (name === 'read') return read;
      if (methods.includes(name as keyof Ledger)) return broken;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

/** Reads chunks of one record, and waits a good while before each: long enough for Node to find what nobody heard. */
function jobOf(deliver: Job['deliver']): Job {
  const slowly = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  const rows = Array.from({ length: 8 }, (_, id) => ({ id }));
  const source = memorySource(rows, { chunkRecords: 1, onChunk: slowly });
  const sink = memorySink({ table, clock: ports, abilities: ['append'] });
  return testJob(source, sink, { deliver, lane: { limits: { recordsPerBatch: 1, inFlight: 1 } } });
}

/** No time passes, unless it is driven: so that a slow disk lets no lease run out. */
function start(deliver: Job['deliver'], using: Ledger): Promise<RunSummary> {
  const services = {
    ports,
    ledger: using,
    staging: folderStaging(join(folder, 'staging')),
    journal: fileJournal(join(folder, 'journal')),
    notice: () => undefined,
  };
  const never = new AbortController().signal;
  return runJob(jobOf(deliver), { owner: 'test', leaseMs: LEASE_MS }, services, { stop: never, abort: never });
}

describe('what fails while something else is under way', () => {
  it('is told as an error of the run where sending fails and the window is still being read', async () => {
    await expect(start('while-reading', failing(['intend']))).rejects.toMatchObject({ code: 'LEDGER_WRITE' });
    expect(unheard).toEqual([]);
    expect(table.effects).toEqual([]);
  });

  it('stops the run where the ledger no longer tells whether it was paused', async () => {
    let asked = 0;
    const read = new Proxy(ledger.read, {
      get(target, name) {
        if (name === 'run' && asked++ === 0) return broken;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    await expect(start('while-reading', failing([], read))).rejects.toMatchObject({ code: 'LEDGER_WRITE' });
    expect(unheard).toEqual([]);
    expect(table.effects.length, 'it did not go on').toBeLessThan(8);
  });

  it('is not waited for beyond the lease where it is the ledger; its journal is brought in later', async () => {
    const away: readonly (keyof Ledger)[] = ['answer', 'renewRun', 'renewShard', 'releaseRun', 'releaseShard'];
    await expect(drive(ports, start('after-read', failing(away)))).rejects.toMatchObject({ code: 'LEDGER_WRITE' });
    const sent = table.effects.length;
    expect(sent, 'it stopped').toBeLessThan(8);
    // It could not give its leases back either.
    await ports.advance(LEASE_MS);
    const summary = await start('after-read', ledger);
    expect(summary.lanes[0]!.balance).toMatchObject({ delivered: 8, inDoubt: 0, pending: 0 });
    expect(table.effects.length, 'nothing twice').toBe(8);
  });
});
