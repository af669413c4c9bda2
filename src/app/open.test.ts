import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memoryStore } from '../connectors/memory/store.ts';
import type { Notice } from '../engine/engine.ts';
import { openWaybill } from './open.ts';
import { realPorts } from './ports.ts';
import type { RunOptions, Waybill } from './waybill.ts';

const never = new AbortController().signal;
const OPTIONS: RunOptions = { signals: { stop: never, abort: never } };
const DAY = '2026-11-19';
const ports = realPorts();

let folder: string;
let opened: Waybill[];
let children: ChildProcess[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-open-'));
  opened = [];
  children = [];
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  for (const waybill of opened) await waybill.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Each test has a store of its own: stores live as long as the process. */
const store = (): string => folder;
const FLOWS = (sink = '', more = ''): string => `version: 1
connections:
  mem: { type: memory, store: ${JSON.stringify(store())} }
flows:
  daily:
    source: { connection: mem, rows: [{ id: 1, x: a }, { id: 2, x: b }, { id: 3, x: c }], key: id }
    sink: { connection: mem, table: out, recordsPerBatch: 2${sink} }
    window: day
    schedule: "0 6 * * *"
${more}`;

/** Files below a folder that this process has open. The descriptor of the listing is gone by the time it is read. */
const openBelow = (place: string): string[] =>
  readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
        throw error;
      }
    })
    .filter((path) => path.startsWith(place));

async function open(text?: string, ledger?: string): Promise<Waybill> {
  if (text !== undefined) writeFileSync(join(folder, 'waybill.yaml'), text);
  const waybill = await openWaybill({ cwd: folder, env: {}, ...(ledger === undefined ? {} : { ledger }) });
  opened.push(waybill);
  return waybill;
}

describe('one flow file and one ledger', () => {
  it('A03: runs a flow that is only written down, and tells of it afterwards', async () => {
    const waybill = await open(FLOWS());
    expect(await waybill.check()).toEqual([]);
    const summary = await waybill.run('daily', DAY, OPTIONS);
    expect(summary.run.state).toBe('complete');
    expect(summary.lanes[0]).toMatchObject({ lane: 'mem', balance: { read: 3, delivered: 3 }, batches: 2 });
    const [trace] = await waybill.trace(['2'], { flow: 'daily', window: DAY });
    expect(trace!.record).toMatchObject({ state: 'delivered', keyText: '2', lane: 'mem' });
    expect(trace!.steps.map((step) => step.index)).toEqual([1]);
    expect(await waybill.trace(['2'], { window: '2026-11-18' })).toEqual([]);
    expect(await waybill.trace(['02'], {})).toEqual([]);
    expect(waybill.showKey(trace!.record)).toBe('2');
    expect(await waybill.verify()).toEqual([]);
    const { payload, batch } = await waybill.payload(trace!.steps[0]!.batch.id);
    expect(Buffer.from(payload.bytes).toString()).toBe('{"id":1,"x":"a"}\n{"id":2,"x":"b"}\n');
    expect(batch.records).toBe(2);
  });

  it('holds no file open once it is closed, however much it has read', async () => {
    const waybill = await open(FLOWS());
    await waybill.run('daily', DAY, OPTIONS);
    expect(await waybill.verify()).toEqual([]);
    if (process.platform === 'linux') expect(openBelow(folder)).not.toEqual([]);
    else console.warn('SKIPPED: only Linux tells which files a process has open');
    await waybill.close();
    if (process.platform === 'linux') expect(openBelow(folder)).toEqual([]);
  });

  it('U08: says that nothing is left when a window is run again, in another process too', async () => {
    const first = await open(FLOWS());
    await first.run('daily', DAY, OPTIONS);
    await first.close();
    const second = await open();
    expect(await second.run('daily', DAY, OPTIONS)).toMatchObject({ nothingToDo: true, run: { state: 'complete' } });
  });

  it('creates no ledger for looking: plan, due, doctor and check leave the folder as it was', async () => {
    const waybill = await open(FLOWS());
    expect(await waybill.plan('daily', DAY)).toMatchObject({
      reading: { reads: true },
      lanes: [{ fresh: { batches: 2, records: 3 } }],
    });
    expect((await waybill.due()).map((due) => due.flow)).toEqual(['daily']);
    expect((await waybill.doctor()).filter((one) => !one.ok)).toEqual([]);
    await expect(waybill.reader()).rejects.toMatchObject({ code: 'LEDGER_MISSING' });
    await expect(waybill.trace(['1'], {})).rejects.toMatchObject({ code: 'LEDGER_MISSING' });
    expect(() => readFileSync(join(folder, '.waybill/ledger.db'))).toThrow(/ENOENT/);
  });

  it('narrows what a sink takes, and gives a lane without a strategy the ledgered append', async () => {
    const waybill = await open(FLOWS(', limits: { maxRecords: 1, inFlight: 1 }'));
    expect(waybill.flows()[0]).toMatchObject({
      name: 'daily',
      window: 'day',
      schedule: '0 6 * * *',
      lanes: [{ name: 'mem', strategy: 'ledgered-append' }],
    });
    expect((await waybill.run('daily', DAY, OPTIONS)).lanes[0]!.batches).toBe(3);
  });

  it('feeds several sinks from one read, each with its own mapping', async () => {
    const text = FLOWS().replace(
      / {4}sink: .*\n/,
      '    sinks:\n      whole: { connection: mem, table: whole }\n' +
        '      ids: { connection: mem, table: ids, mapping: { select: [id] } }\n',
    );
    const waybill = await open(text);
    const summary = await waybill.run('daily', DAY, OPTIONS);
    expect(summary.lanes.map((lane) => [lane.lane, lane.balance.delivered])).toEqual([
      ['whole', 3],
      ['ids', 3],
    ]);
    expect(memoryStore(store()).table('ids').records).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
  });

  it('refuses to run while the flow file has a fault, and still shows the ledger', async () => {
    await (await open(FLOWS())).run('daily', DAY, OPTIONS);
    const waybill = await open(FLOWS().replace('window: day', 'windows: day'));
    await expect(waybill.run('daily', DAY, OPTIONS)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('waybill.yaml:8:5'),
    });
    await expect(waybill.run('dayly', DAY, OPTIONS)).rejects.toMatchObject({
      code: 'FLOW_UNKNOWN',
      message: expect.stringContaining('did you mean `daily`?'),
    });
    expect(await (await waybill.reader()).runs({})).toHaveLength(1);
  });

  it('P41: finds a strategy that cannot keep its promise before anything runs', async () => {
    const waybill = await open(FLOWS(', abilities: [append], strategy: keyed'));
    expect(await waybill.check()).toEqual([
      expect.objectContaining({
        level: 'error',
        code: 'PROMISE_IMPOSSIBLE',
        message: expect.stringContaining('lane mem'),
      }),
    ]);
    await expect(waybill.run('daily', DAY, OPTIONS)).rejects.toMatchObject({ code: 'PROMISE_IMPOSSIBLE' });
  });

  it('looks into a ledger without any flow file when the ledger is named', async () => {
    await (await open(FLOWS())).run('daily', DAY, OPTIONS);
    const ledger = join(folder, '.waybill/ledger.db');
    rmSync(join(folder, 'waybill.yaml'));
    const waybill = await open(undefined, ledger);
    expect(waybill.flows()).toEqual([]);
    expect((await (await waybill.reader()).runs({}))[0]!.state).toBe('complete');
    await expect(openWaybill({ cwd: folder, env: {} })).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' });
  });

  it('lists the windows between two, the second left out', async () => {
    const waybill = await open(FLOWS());
    expect(waybill.windows('daily', '2026-02-27', '2026-03-02').map((window) => window.name)).toEqual([
      '2026-02-27',
      '2026-02-28',
      '2026-03-01',
    ]);
    expect(waybill.windows('daily', '2026-03-02', '2026-03-02')).toEqual([]);
    expect(() => waybill.windows('daily', 'soon', '2026-03-02')).toThrow(
      expect.objectContaining({ code: 'WINDOW_INVALID' }),
    );
  });

  it('finds staged bytes that were changed behind its back', async () => {
    const waybill = await open(FLOWS());
    await waybill.run('daily', DAY, OPTIONS);
    const { staged } = (await (await waybill.reader()).batches({}))[0]!;
    const path = join(folder, '.waybill/staging', staged.segment);
    writeFileSync(path, readFileSync(path, 'latin1').replace('"x":"a"', '"x":"z"'), 'latin1');
    expect(await waybill.verify()).toEqual([expect.stringMatching(/^b1: /)]);
  });

  it('moves and forgets positions', async () => {
    const waybill = await open(FLOWS());
    await waybill.setPosition('daily', 'mem', { sourceName: 'mem', kind: 'odf/etag', value: 'abc' });
    expect((await waybill.positions('daily')).map((one) => one.position)).toEqual([
      { sourceName: 'mem', kind: 'odf/etag', value: 'abc' },
    ]);
    await waybill.setPosition('daily', 'mem', null);
    expect(await waybill.positions('daily')).toEqual([]);
  });
});

describe('a window that another process holds', () => {
  /** A real process that opens the run of the day and then does nothing for a long time. */
  async function hold(): Promise<ChildProcess> {
    const script = join(folder, 'hold.ts');
    writeFileSync(
      script,
      `import { openWaybill } from ${JSON.stringify(resolve(import.meta.dirname, 'open.ts'))};
import { ownerOf } from ${JSON.stringify(resolve(import.meta.dirname, 'owner.ts'))};
const waybill = await openWaybill({ cwd: ${JSON.stringify(folder)}, env: {} });
const ledger = await waybill.ledger();
const rest = { rung: 'marker', onDoubt: 'hold', mappingDigest: 'none' } as const;
const lanes = [{ lane: 'mem', connector: 'memory', strategy: 'ledgered-append', ...rest }];
const window = { name: '${DAY}', start: '2026-11-19T00:00:00.000Z', end: '2026-11-20T00:00:00.000Z' };
const owner = ownerOf({ id: () => 'held' });
await ledger.openRun({ flow: 'daily', window, lanes, owner, leaseMs: 3_600_000, configDigest: 'x' });
process.stdout.write('held\\n');
setInterval(() => {}, 1000);
`,
    );
    const jiti = resolve(import.meta.dirname, '../../node_modules/jiti/lib/jiti-cli.mjs');
    const child = spawn(process.execPath, [jiti, script], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    await once(child.stdout!, 'data');
    return child;
  }
  const stateOf = (pid: number): string => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]![0]!;

  it('U18: is refused, naming process, machine and end of lease, while that one lives or is only stopped', async () => {
    const waybill = await open(FLOWS());
    const child = await hold();
    const refusal = {
      code: 'LEASE_HELD',
      message: expect.stringMatching(new RegExp(`process ${child.pid} on .*, until 20`)),
    };
    await expect(waybill.run('daily', DAY, OPTIONS)).rejects.toMatchObject(refusal);
    child.kill('SIGSTOP');
    const deadline = ports.monotonicMs() + 5000;
    while (stateOf(child.pid!) !== 'T' && ports.monotonicMs() < deadline) await ports.sleep(5);
    await expect(waybill.run('daily', DAY, OPTIONS)).rejects.toMatchObject(refusal);
    expect(memoryStore(store()).table('out').records).toHaveLength(0);
  });

  it('U17: is taken over at once when that process was killed, with the proof in the ledger', async () => {
    const waybill = await open(FLOWS());
    const child = await hold();
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await waybill.run('daily', DAY, OPTIONS)).run.state).toBe('complete');
    const events = await (await waybill.reader()).events({});
    expect(events.find((event) => event.kind === 'lease-broken')?.detail).toMatchObject({
      evidence: expect.stringContaining(`process ${child.pid} on`),
    });
  });
});

describe('statuses of a run', () => {
  it('S16: wait for an emitter that fails, harm nothing, and are passed on by the next run', async () => {
    const waybill = await open(FLOWS('', 'status: { log: statuses/log.txt, store: statuses/store.db }\n'));
    writeFileSync(join(folder, 'statuses'), 'a file where a folder should be');
    const notices: Notice[] = [];
    const summary = await waybill.run('daily', DAY, { ...OPTIONS, notice: (notice) => notices.push(notice) });
    expect(summary.run.state).toBe('complete');
    expect(
      notices
        .filter((notice) => notice.kind === 'status-waits')
        .map((notice) => notice.ids.emitter)
        .sort(),
    ).toEqual(['log', 'store']);
    rmSync(join(folder, 'statuses'));
    await waybill.run('daily', DAY, OPTIONS);
    expect(readFileSync(join(folder, 'statuses/log.txt'), 'utf8')).toContain('every record was delivered');
  });
});
