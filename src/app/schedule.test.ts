import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Ledger, LedgerReader, RunRow } from '../ledger/ledger.ts';
import { openSqliteLedger } from '../ledger/sqlite/open.ts';
import type { FlowConfig } from './flow-config.ts';
import { realPorts } from './ports.ts';
import { dueWindows } from './schedule.ts';
import { parseWindow } from './windows.ts';

const NOW = Date.parse('2026-11-20T12:00:00Z');
const names = async (flow: Partial<FlowConfig>, reader?: LedgerReader, nowMs = NOW): Promise<string[]> =>
  (await dueWindows({ ...FLOW, ...flow }, reader, nowMs)).map((due) => due.window.name);

const FLOW = {
  name: 'f',
  window: 'day',
  timezone: 'UTC',
  schedule: '0 6 * * *',
  start: undefined,
} as FlowConfig;

/** A real ledger with some runs of the flow, each carried to an end. */
async function withRuns(
  windows: Readonly<Record<string, 'complete' | 'failed' | 'open' | 'cancelled' | 'paused'>>,
  test: (ledger: Ledger) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-schedule-'));
  const ledger = await openSqliteLedger({
    path: join(folder, 'ledger.db'),
    ports: realPorts(),
    thread: 'main',
    create: true,
  });
  try {
    for (const [name, end] of Object.entries(windows)) await makeRun(ledger, name, end);
    await test(ledger);
  } finally {
    await ledger.close();
    await rm(folder, { recursive: true });
  }
}

async function makeRun(ledger: Ledger, name: string, end: string): Promise<RunRow> {
  const window = name === 'all' ? { name } : parseWindow({ kind: 'day', timezone: 'UTC' }, name, NOW);
  const lane = {
    lane: 'l',
    connector: 'memory',
    strategy: 'keyed',
    rung: 'put',
    onDoubt: 'hold',
    mappingDigest: 'none',
  } as const;
  const { run, fence } = await ledger.openRun({
    flow: 'f',
    window,
    lanes: [lane],
    owner: 'test',
    leaseMs: 1000,
    configDigest: 'x',
  });
  const claim = { run: run.id, fence };
  const { generation } = await ledger.startGeneration({ ...claim, kind: 'first', reason: 'test' });
  if (end === 'complete') {
    await ledger.closeGeneration({ ...claim, generation, vanished: [] });
    await ledger.concludeRun(claim);
  } else if (end === 'failed') await ledger.failRun({ ...claim, code: 'SOURCE_FAILED', message: 'test' });
  else if (end === 'cancelled') await ledger.cancel({ run: run.id, who: 'test', reason: 'test' });
  else if (end === 'paused') await ledger.pause({ run: run.id, who: 'test', reason: 'test' });
  return run;
}

describe('due windows', () => {
  it('U18: owes a flow that never ran only the latest window, once its schedule has struck', async () => {
    expect(await names({})).toEqual(['2026-11-19']);
    expect(await names({}, undefined, Date.parse('2026-11-20T05:59:59.999Z'))).toEqual(['2026-11-18']);
    expect(await names({}, undefined, Date.parse('2026-11-20T06:00:00Z'))).toEqual(['2026-11-19']);
  });

  it('U18: catches up from the given start, oldest first', async () => {
    expect(await names({ start: '2026-11-16' })).toEqual(['2026-11-16', '2026-11-17', '2026-11-18', '2026-11-19']);
    expect(await names({ start: '2026-12-01' })).toEqual([]);
  });

  it('U18: runs each day once and catches up the ones that were missed since the first run', async () => {
    const runs = {
      '2026-11-15': 'complete',
      '2026-11-16': 'failed',
      '2026-11-17': 'cancelled',
      '2026-11-18': 'open',
    } as const;
    await withRuns(runs, async (ledger) => {
      const due = await dueWindows(FLOW, ledger.read, NOW);
      expect(due.map((one) => [one.window.name, one.run?.state])).toEqual([
        ['2026-11-16', 'failed'],
        ['2026-11-18', 'open'],
        ['2026-11-19', undefined],
      ]);
    });
  });

  it('leaves alone what a person has paused', async () => {
    await withRuns({ '2026-11-18': 'paused', '2026-11-19': 'complete' }, async (ledger) => {
      expect(await names({}, ledger.read)).toEqual([]);
    });
  });

  it('owes a flow without windows a new start for each time that its schedule has struck since', async () => {
    await withRuns({ all: 'complete' }, async (ledger) => {
      const endedMs = (await ledger.read.runs({}))[0]!.endedAtMs!;
      const flow = { window: 'all', schedule: '* * * * *' } as const;
      expect(await names(flow, ledger.read, endedMs)).toEqual([]);
      expect(await names(flow, ledger.read, endedMs + 61_000)).toEqual(['all']);
    });
    expect(await names({ window: 'all' })).toEqual(['all']);
  });

  it('goes on with the first window of a new cut that nothing of the old one covers', async () => {
    await withRuns({ '2026-11-19': 'complete' }, async (ledger) => {
      const hours = await names(
        { window: 'hour', schedule: '5 * * * *' },
        ledger.read,
        Date.parse('2026-11-19T03:30:00Z'),
      );
      expect(hours).toEqual(['2026-11-19T00', '2026-11-19T01', '2026-11-19T02']);
      expect(
        await names({ window: 'week', schedule: '0 6 * * 1' }, ledger.read, Date.parse('2026-12-07T07:00:00Z')),
      ).toEqual(['2026-W48', '2026-W49']);
    });
  });

  it('owes nothing to a flow without a schedule', async () => {
    expect(await names({ schedule: undefined, start: '2026-11-01' })).toEqual([]);
  });
});
