import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { Job, Notice } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { WaybillError } from '../src/model/errors.ts';
import { drive } from '../src/testing/drive.ts';
import { testJob } from '../src/testing/job.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const root = mkdtempSync(join(tmpdir(), 'waybill-first-failure-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let runs = 0;

/** A ledger some of whose calls fail: what a disk does that fills up between two of them. */
function failing(ledger: Ledger, calls: { [call: string]: Error }): Ledger {
  const wrap = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, name) {
        const error = calls[String(name)];
        if (error !== undefined) return () => Promise.reject(error);
        const value: unknown = Reflect.get(object, name, object);
        if (name === 'read') return wrap(value as object);
        return typeof value === 'function' ? value.bind(object) : value;
      },
    });
  return wrap(ledger);
}

/** Runs three records into a memory sink; answers how it ended and what was told meanwhile. */
async function run(calls: { [call: string]: Error }, failAt?: number): Promise<{ error: unknown; notices: Notice[] }> {
  const ports = new VirtualPorts();
  const folder = join(root, String(++runs));
  const ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
  const notices: Notice[] = [];
  const services = {
    ports,
    ledger: failing(ledger, calls),
    staging: folderStaging(join(folder, 'staging')),
    journal: fileJournal(join(folder, 'journal')),
    notice: (notice: Notice) => void notices.push(notice),
  };
  const never = new AbortController().signal;
  const running = runJob(job(ports, failAt), { owner: 'o', leaseMs: 60_000 }, services, { stop: never, abort: never });
  const error = await drive(ports, running).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  await ledger.close();
  return { error, notices };
}

function job(ports: VirtualPorts, failAt: number | undefined): Job {
  const source = memorySource([{ id: 1 }, { id: 2 }, { id: 3 }], { failAt: () => failAt });
  return testJob(source, memorySink({ table: new MemoryTable(), clock: ports, abilities: ['append'] }));
}

const full = new WaybillError('LEDGER_WRITE', 'the disk is full');

describe('a start that fails twice', () => {
  it('tells the first failure, and the second as a warning', async () => {
    const { error, notices } = await run({ releaseRun: full }, 1);
    expect(error).toMatchObject({ code: 'SOURCE_FAILED' });
    expect(notices).toMatchObject([{ level: 'warning', kind: 'lease-kept' }]);
    expect(notices[0]?.message).toMatch(/could not be given back.*the disk is full/);
  });

  it('fails with what failed alone', async () => {
    expect((await run({ releaseRun: full })).error).toBe(full);
    expect((await run({}, 1)).error).toMatchObject({ code: 'SOURCE_FAILED' });
    expect((await run({})).error).toBeUndefined();
  });

  it('tells what failed while it worked, not what failed on the way out', async () => {
    const { error } = await run({ indexKeys: full }, 1);
    expect(error).toMatchObject({ code: 'SOURCE_FAILED' });
    expect((await run({ indexKeys: full })).error).toBe(full);
  });

  it('ends when it can no longer hear whether it was cancelled', async () => {
    expect((await run({ run: full })).error).toBe(full);
  });
});
