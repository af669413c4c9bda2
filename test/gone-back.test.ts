import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseWindow } from '../src/app/windows.ts';
import type { LoadAbilities, Sink } from '../src/connectors/connector.ts';
import { memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { Job, Notice, RunAsk, RunSummary } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { NotAppliedError, RefusedError } from '../src/model/errors.ts';
import { strategies } from '../src/strategies/all.ts';
import { NO_FACTS } from '../src/strategies/strategy.ts';
import { drive } from '../src/testing/drive.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

/** A sink with versions, merged into by days, some of whose requests fail: what they throw, by name, each time. */
let folder: string;
let ledger: Ledger;
let notices: Notice[];
let failing: Partial<Record<'merge' | 'current', () => Error | undefined>>;
const ports = new VirtualPorts();
let table: MemoryTable;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-gone-back-'));
  ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
  table = new MemoryTable();
  notices = [];
  failing = {};
});
afterEach(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

function sink(): Sink {
  const plain = memorySink({ table, clock: ports, abilities: ['commitOnce', 'load', 'merge', 'versions'] });
  const { merge, versions } = plain.can as Required<Pick<LoadAbilities, 'merge' | 'versions'>>;
  const asked = async <T>(name: keyof typeof failing, work: () => Promise<T>): Promise<T> => {
    const error = failing[name]?.();
    if (error !== undefined) throw error;
    return await work();
  };
  const can = {
    ...plain.can,
    merge: (...ask: Parameters<typeof merge>) => asked('merge', () => merge(...ask)),
    versions: { ...versions, current: () => asked('current', () => versions.current()) },
  };
  return { ...plain, can };
}

function run(day: string, ids: readonly number[], ask: Partial<RunAsk> = {}): Promise<RunSummary> {
  const services = {
    ports,
    ledger,
    staging: folderStaging(join(folder, 'staging')),
    journal: fileJournal(join(folder, 'journal')),
    notice: (notice: Notice) => void notices.push(notice),
  };
  const job: Job = {
    flow: 'stated',
    window: parseWindow({ kind: 'day', timezone: 'UTC' }, day, ports.wallMs()),
    parameters: {},
    deliver: 'after-read',
    configDigest: 'c',
    source: {
      name: 'members',
      source: memorySource(ids.map((id) => ({ id }))),
      key: ['id'],
      exclude: [],
      onReject: 'skip',
      onDuplicate: 'report',
    },
    lanes: [
      {
        name: 'table',
        connector: 'memory',
        sink: sink(),
        strategy: strategies['stateful-merger']!,
        facts: { ...NO_FACTS, window: 'day', key: ['id'] },
        limits: { recordsPerBatch: 10, inFlight: 1 },
        onDoubt: 'hold',
        onChanged: 'hold',
        retry: { attempts: 2, firstDelayMs: 100, maxDelayMs: 1_000, maxAgeMs: 60_000 },
      },
    ],
  };
  const never = new AbortController().signal;
  const signals = { stop: never, abort: never };
  return drive(ports, runJob(job, { owner: 'test', leaseMs: 60_000, ...ask }, services, signals));
}

const states = async (): Promise<readonly string[]> =>
  (await ledger.read.loads({ flow: 'stated' }))
    .map((load) => `${load.window.name} ${load.generation} ${load.state}`)
    .sort();

const loadedTwoDays = async (): Promise<void> => {
  await run('2026-03-01', [1, 2]);
  await run('2026-03-02', [3]);
  expect(await states()).toEqual(['2026-03-01 1 published', '2026-03-02 1 published']);
};

describe('a sink that goes back first and merges then', () => {
  it.each<[string, () => Error]>([
    ['is not to be had any more', () => new NotAppliedError('nobody listens', { sinkAway: true })],
    ['refuses the merge', () => new RefusedError('a value does not fit', { reason: 'type' })],
  ])('P22: and %s: what it went back behind is told as gone, and comes again', async (_name, error) => {
    await loadedTwoDays();
    failing.merge = error;
    expect(await run('2026-03-01', [1, 2, 9], { refresh: true })).toMatchObject({ run: { state: 'open' } });
    expect(await states()).toEqual(['2026-03-01 1 replaced', '2026-03-01 2 open', '2026-03-02 1 replaced']);
    expect(notices.filter(({ kind }) => kind === 'load-undone').map(({ message }) => message)).toEqual([
      '2026-03-02 has to be loaded again: its records were taken out',
    ]);
    failing = {};
    await run('2026-03-01', [1, 2, 9]);
    await run('2026-03-02', [3]);
    expect((await states()).filter((state) => state.endsWith('published'))).toEqual([
      '2026-03-01 2 published',
      '2026-03-02 2 published',
    ]);
  });

  it('P22: a load that was merged is not called unpublished because its version was not told', async () => {
    await loadedTwoDays();
    let asked = 0;
    // Where it stands before the merge is told; where it stands after it is not, whoever asks.
    failing.current = () => (++asked % 3 === 0 ? new NotAppliedError('nobody listens', { sinkAway: true }) : undefined);
    await run('2026-03-02', [3, 4], { refresh: true });
    expect((await states()).at(-1)).toBe('2026-03-02 2 publishing');
    failing = {};
    await run('2026-03-02', [3, 4]);
    expect((await states()).at(-1)).toBe('2026-03-02 2 published');
  });
});
