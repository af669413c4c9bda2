import { describe, expect, it } from 'vitest';
import type { Batch } from '../model/batch.ts';
import { NotAppliedError } from '../model/errors.ts';
import { asBatchId, asRunId } from '../model/ids.ts';
import { VirtualPorts } from '../testing/virtual-ports.ts';
import { LeaseKeeper } from './lease.ts';
import { PermitDesk } from './permit.ts';

const batch: Batch = {
  id: asBatchId(7),
  ledger: 'l',
  run: asRunId(1),
  flow: 'f',
  window: 'all',
  lane: 'api',
  seq: 1,
  records: 1,
  bytes: 2,
  digest: '00',
  idempotencyKey: 'k',
};
const payload = { bytes: Buffer.from('{}'), spans: Uint32Array.of(0, 2), keys: new Uint8Array(16) };
const issue = (desk: PermitDesk, deadlineMs: number) =>
  desk.issue({ batch, attempt: 1, shard: 's', fence: 1, correlationId: 'c', payload, deadlineMs });

describe('a permit', () => {
  it('hands out the bytes before its deadline and refuses them after, as proof that nothing left', async () => {
    const ports = new VirtualPorts();
    const desk = new PermitDesk(ports);
    const permit = issue(desk, 1_000);
    expect((await permit.payload()).bytes).toBe(payload.bytes);
    await ports.advance(1_000);
    await expect(permit.payload()).rejects.toBeInstanceOf(NotAppliedError);
    await desk.close();
  });

  it('refuses the bytes to a process that was paused past the deadline, before any timer has run', async () => {
    const ports = new VirtualPorts();
    let nowMs = 0;
    const paused = Object.assign(Object.create(ports), { monotonicMs: () => nowMs, sleep: ports.sleep.bind(ports) });
    const desk = new PermitDesk(paused);
    const permit = issue(desk, 1_000);
    nowMs = 5_000;
    await expect(permit.payload()).rejects.toBeInstanceOf(NotAppliedError);
    await desk.close();
  });

  it('aborts what is under way at its deadline, each permit at its own', async () => {
    const ports = new VirtualPorts();
    const desk = new PermitDesk(ports);
    const [early, late] = [issue(desk, 1_000), issue(desk, 2_000)];
    await ports.advance(1_500);
    expect([early.signal.aborted, late.signal.aborted]).toEqual([true, false]);
    await ports.advance(1_000);
    expect(late.signal.aborted).toBe(true);
    await desk.close();
  });

  it('is left alone once the attempt is over', async () => {
    const ports = new VirtualPorts();
    const desk = new PermitDesk(ports);
    const permit = issue(desk, 1_000);
    desk.giveBack(permit);
    await ports.advance(5_000);
    expect(permit.signal.aborted).toBe(false);
    await desk.close();
    expect(ports.sleeping).toBe(0);
  });
});

describe('a lease', () => {
  it('is renewed in the background until it is closed', async () => {
    const ports = new VirtualPorts();
    let renewed = 0;
    const lease = new LeaseKeeper(ports, { grantedAtMs: 0, leaseMs: 3_000 }, async () => renewed++);
    await ports.advance(10_000);
    expect(renewed).toBe(10);
    expect(lease.untilMs).toBe(13_000);
    await lease.close();
    expect(ports.sleeping).toBe(0);
  });

  it('runs out when it cannot be renewed, and is lost only after it has', async () => {
    const ports = new VirtualPorts();
    const lease = new LeaseKeeper(ports, { grantedAtMs: 0, leaseMs: 3_000 }, () => Promise.reject(new Error('away')));
    await ports.advance(2_900);
    expect(lease.lost.aborted).toBe(false);
    await ports.advance(2_000);
    expect(lease.lost.aborted).toBe(true);
    expect(lease.untilMs).toBe(3_000);
    await lease.close();
  });
});
