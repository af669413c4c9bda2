import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Cut } from '../../src/testing/faults/cut.ts';
import { type CutProxy, openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { DAY, DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { start } from '../hard/processes.ts';
import { expectExact } from './account.ts';
import { PowerDisk } from './disks.ts';
import { chances } from './kill-points.ts';

const missing = PowerDisk.missing();
const CUTS = Number(process.env.WAYBILL_POWER_CUTS ?? 10);
const RECORDS = 1_000;
const BATCH = 50;
const ids = members(RECORDS).map((one) => one.member_id);

let job: DailyJob | undefined;
let disk: PowerDisk;
let proxy: CutProxy | undefined;
let cuts = 0;
const sum = { delivered: 0, inDoubt: 0 };

beforeEach(({ skip }) => skip(missing !== undefined, missing));
afterEach(async () => {
  // The disk first: nothing may be removed below a folder that something is mounted on.
  disk?.close();
  await proxy?.close();
  await job?.close();
  [job, proxy] = [undefined, undefined];
});
afterAll(() => console.info(`${cuts} power cuts: ${JSON.stringify(sum)}`));

const place = (): string => join(job!.folder, '.waybill');

async function open(options: DailyJobOptions): Promise<void> {
  job = await DailyJob.open({ members: members(RECORDS), ...options });
  disk = new PowerDisk();
  expect(disk.format() ?? disk.mount(place())).toBeUndefined();
  proxy = await openCutProxy({ target: { port: Number(new URL(job.peer.url).port) }, framing: 'http' });
  job.configure({ connections: { roket: `{ type: http, url: "http://127.0.0.1:${proxy.port}" }` } });
}

const SINK = { batch: `{ maxRecords: ${BATCH}, maxBytes: 1MB }` };
const KINDS: readonly (readonly [string, DailyJobOptions])[] = [
  ['offers nothing', { sink: { ...SINK, inFlight: '4' } }],
  [
    'recognises a key',
    {
      sink: { ...SINK, inFlight: '8', idempotencyKey: '{ horizon: 24h }' },
      behaviour: { idempotency: { header: 'idempotency-key', horizonMs: 86_400_000, storesErrors: false } },
    },
  ],
];

/** Places of the traffic at which the power goes; between them lies whatever the process does meanwhile. */
const PLACES: readonly Pick<Cut, 'side' | 'at'>[] = [
  { side: 'request', at: 0 },
  { side: 'request', at: 'end' },
  { side: 'answer', at: 0 },
  { side: 'answer', at: 'end' },
];

/** Starts a process, cuts the power at the nth request, and ends the process. False when it had ended before. */
async function cutPower(cut: Pick<Cut, 'side' | 'at'>, nth: number): Promise<boolean> {
  const made = proxy!.made.length;
  proxy!.set([{ ...cut, act: 'hold', times: 1, when: { holds: 'POST /v1/events', every: nth } }]);
  const child = start(job!, ['run', 'roket-daily', '--for', DAY]);
  let over = false;
  const ended = child.ended.then(() => {
    over = true;
  });
  await job!.until(() => over || proxy!.made.length > made);
  const inTime = !over;
  expect(disk.cut(place())).toBeUndefined();
  child.kill('SIGKILL');
  await ended;
  proxy!.set([]);
  disk.restart(place());
  return inTime;
}

describe('a power cut', () => {
  it('on this disk takes what was not synced and leaves what was: the harness tells the two apart', async () => {
    await open({ members: members(1) });
    const [synced, loose] = [join(place(), 'synced'), join(place(), 'loose')];
    const file = openSync(synced, 'w');
    writeSync(file, 'kept');
    fsyncSync(file);
    closeSync(file);
    writeFileSync(loose, 'lost');
    expect(disk.cut(place())).toBeUndefined();
    disk.restart(place());
    expect(readFileSync(synced, 'utf8')).toBe('kept');
    expect(existsSync(loose) && readFileSync(loose, 'utf8') === 'lost').toBe(false);
  });

  it.each(KINDS)(
    `of a whole run, again and again, loses nothing and doubles nothing where the sink %s`,
    async (_, options) => {
      const roll = chances(20261119 + cuts);
      for (let done = 0; done < CUTS / KINDS.length; ) {
        await open(options);
        let here = 0;
        // Up to three cuts in one window: the second also meets the recovery from the first.
        for (const times = roll(1, 4); here < times; here++) {
          if (!(await cutPower(PLACES[roll(0, PLACES.length)]!, roll(1, 14)))) break;
        }
        done += Math.max(1, here);
        cuts += here;
        const summary = await job!.run();
        const account = await expectExact(job!, summary.run.id, ids);
        expect(account.pending).toBe(0);
        const most = options.sink?.idempotencyKey === undefined ? here * 4 * BATCH : 0;
        expect(account.inDoubt).toBeLessThanOrEqual(most);
        sum.delivered += account.delivered;
        sum.inDoubt += account.inDoubt;
        // The ledger lies on the disk, so it is closed before the disk goes.
        await (await job!.waybill()).close();
        disk.close();
        await proxy!.close();
        await job!.close();
      }
    },
  );
});
