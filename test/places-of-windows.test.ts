import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { Job, RunAsk, RunSummary } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { strategies } from '../src/strategies/all.ts';
import { drive } from '../src/testing/drive.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const root = mkdtempSync(join(tmpdir(), 'waybill-places-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folder: string;
let ports: VirtualPorts;
let ledger: Ledger;
let table: MemoryTable;
beforeEach(async () => {
  folder = mkdtempSync(join(root, 'case-'));
  ports = new VirtualPorts();
  ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
  table = new MemoryTable();
});
afterEach(async () => ledger.close());

/** Both windows bring the same content: only the ledger can tell whose it is that stands in the sink. */
const jobOf = (window: string, before: () => void): Job => ({
  flow: 'f',
  window: { name: window },
  parameters: {},
  deliver: 'after-read',
  configDigest: 'c',
  source: {
    name: 'rows',
    source: memorySource([{ id: 1 }, { id: 2 }], {}),
    key: ['id'],
    exclude: [],
    onReject: 'skip',
    onDuplicate: 'report',
  },
  lanes: [
    {
      name: 'stream',
      connector: 'memory',
      sink: memorySink({ table, clock: ports, abilities: ['appendAt'], before }),
      strategy: strategies['ledgered-append']!,
      limits: { recordsPerBatch: 1, inFlight: 1 },
      onDoubt: 'hold',
      onChanged: 'hold',
      retry: { attempts: 3, firstDelayMs: 10, maxDelayMs: 10, maxAgeMs: 10_000 },
    },
  ],
});

function start(
  window: string,
  how: { ask?: Partial<RunAsk>; before?: () => void; stop?: AbortController } = {},
): Promise<RunSummary> {
  const journal = fileJournal(join(folder, 'journal'));
  const staging = folderStaging(join(folder, 'staging'));
  const services = { ports, ledger, staging, journal, notice: () => undefined };
  const signals = { stop: (how.stop ?? new AbortController()).signal, abort: new AbortController().signal };
  const job = jobOf(window, how.before ?? (() => undefined));
  return drive(ports, runJob(job, { owner: 'test', leaseMs: 600_000, ...how.ask }, services, signals));
}

/** Nobody hears whether the first batch of the window was applied. */
async function startCutOff(window: string): Promise<RunSummary> {
  const stop = new AbortController();
  const before = (): void => {
    stop.abort();
    throw new TypeError('the connection broke');
  };
  return await start(window, { before, stop });
}

const balance = (summary: RunSummary) => summary.lanes[0]!.balance;

describe('windows that add to one place', () => {
  it('goes on where the sink stands now, and not where it stood when the window was there last', async () => {
    await start('monday');
    await start('tuesday');
    const again = await start('monday', { ask: { resendAll: { who: 'ann', reason: 'asked for' } } });
    expect([balance(again).delivered, balance(again).refused]).toEqual([4, 0]);
    expect(table.effects).toHaveLength(6);
  });

  it('settles what another window left in doubt before it writes, and goes no further with that window', async () => {
    const monday = await startCutOff('monday');
    expect([balance(monday).inDoubt, balance(monday).pending]).toEqual([1, 1]);
    const tuesday = await start('tuesday');
    expect(balance(tuesday)).toMatchObject({ delivered: 2, refused: 0 });
    expect(table.effects).toHaveLength(3);
    const [run] = await ledger.read.runs({ window: 'monday' });
    expect((await ledger.read.balance(run!.id)).get('stream')).toMatchObject({ delivered: 1, pending: 1, inDoubt: 0 });
    expect(balance(await start('monday'))).toMatchObject({ delivered: 2, pending: 0 });
    expect(table.effects).toHaveLength(4);
  });

  it('stalls, with the command that helps, while a window that was cancelled has left the place in doubt', async () => {
    const { run } = await startCutOff('monday');
    await ledger.cancel({ run: run.id, who: 'ann', reason: 'no need' });
    const tuesday = await start('tuesday');
    expect(table.effects).toHaveLength(0);
    expect(balance(tuesday)).toMatchObject({ pending: 2 });
    expect(tuesday.stalled[0]?.reason).toContain(
      'settle it with waybill settle b1, or with waybill run f --for monday',
    );
    const [doubt] = await ledger.read.doubts({ run: run.id });
    await ledger.settle({ batch: doubt!.id, decision: { kind: 'skip' }, who: 'ann', evidence: 'looked' });
    expect(balance(await start('tuesday'))).toMatchObject({ delivered: 2 });
    expect(table.effects).toHaveLength(2);
  });
});
