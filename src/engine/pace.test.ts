import { describe, expect, it } from 'vitest';
import { VirtualPorts } from '../testing/virtual-ports.ts';
import { Breaker, backoffMs, Pace, RetryBudget } from './pace.ts';

const never = new AbortController().signal;

async function countWithin(pace: Pace, ports: VirtualPorts, ms: number, size = { records: 1, bytes: 1 }) {
  let sent = 0;
  let ended = false;
  const stop = new AbortController();
  const sending = (async () => {
    while (!ended) {
      await pace.acquire(size, stop.signal);
      sent++;
    }
    // Ended by `stop` below.
  })().catch(() => undefined);
  await ports.advance(ms);
  ended = true;
  stop.abort();
  await sending;
  return sent;
}

describe('the pace of a lane', () => {
  it('keeps each budget a second, whichever is the tightest', async () => {
    const ports = new VirtualPorts();
    expect(await countWithin(new Pace(ports, 4, { requests: 10 }), ports, 9_999)).toBeLessThanOrEqual(110);
    const byRecords = new Pace(ports, 4, { requests: 1_000, records: 100 });
    const sent = await countWithin(byRecords, ports, 10_000, { records: 50, bytes: 1 });
    expect(sent).toBeGreaterThanOrEqual(20);
    expect(sent).toBeLessThanOrEqual(23);
  });

  it('lets a batch through that is larger than a whole budget, and pays for it afterwards', async () => {
    const ports = new VirtualPorts();
    const pace = new Pace(ports, 1, { bytes: 1_000 });
    expect(await countWithin(pace, ports, 9_999, { records: 1, bytes: 5_000 })).toBe(2);
  });

  it('waits for as long as the sink asked, and sends less at once', async () => {
    const ports = new VirtualPorts();
    const pace = new Pace(ports, 10, undefined);
    for (let i = 0; i < 10; i++) pace.succeeded();
    pace.throttled();
    pace.leaveAlone(3_000);
    expect(pace.inFlight).toBe(7);
    const stop = new AbortController();
    let left = false;
    const waiting = pace.acquire({ records: 1, bytes: 1 }, stop.signal).then(() => {
      left = true;
    });
    await ports.advance(2_999);
    expect(left).toBe(false);
    await ports.advance(200);
    expect(left).toBe(true);
    await waiting;
  });

  it('counts several throttled answers to one burst once, and recovers with successes', () => {
    const pace = new Pace(new VirtualPorts(), 10, undefined);
    for (let i = 0; i < 10; i++) pace.succeeded();
    for (let i = 0; i < 10; i++) pace.throttled();
    expect(pace.inFlight).toBe(7);
    for (let i = 0; i < 40; i++) pace.succeeded();
    expect(pace.inFlight).toBe(10);
  });

  it('gives up waiting when it is told to', async () => {
    const ports = new VirtualPorts();
    const pace = new Pace(ports, 1, { requests: 1 });
    await pace.acquire({ records: 1, bytes: 1 }, never);
    const stop = new AbortController();
    const waiting = pace.acquire({ records: 1, bytes: 1 }, stop.signal);
    await ports.advance(10);
    stop.abort(new Error('told to'));
    await expect(waiting).rejects.toThrow('told to');
  });
});

describe('the circuit breaker', () => {
  it('opens after failures in a row, tries one batch, and opens for longer when that fails', async () => {
    const ports = new VirtualPorts();
    const breaker = new Breaker(ports);
    for (let i = 0; i < 4; i++) breaker.failed();
    expect(breaker.state).toBe('closed');
    breaker.failed();
    expect(breaker.state).toBe('open');
    const first = breaker.waitMs();
    await ports.advance(first);
    expect(breaker.state).toBe('half-open');
    breaker.failed();
    expect(breaker.state).toBe('open');
    await ports.advance(60_000);
    expect(breaker.awayMs()).toBe(60_000 + first);
    breaker.succeeded();
    expect(breaker.state).toBe('closed');
    expect(breaker.awayMs()).toBe(0);
  });
});

describe('retries', () => {
  it('are paid for by successes, so that an outage is not amplified', () => {
    const budget = new RetryBudget();
    let spent = 0;
    while (budget.spend()) spent++;
    expect(spent).toBe(100);
    for (let i = 0; i < 5; i++) budget.refund();
    expect(budget.spend()).toBe(true);
    expect(budget.spend()).toBe(false);
  });

  it('wait anywhere below the exponential bound, never less than the sink asked', () => {
    const policy = { firstDelayMs: 100, maxDelayMs: 1_000 };
    expect(backoffMs(1, policy, 0.5)).toBe(50);
    expect(backoffMs(4, policy, 0.999)).toBeLessThanOrEqual(800);
    expect(backoffMs(50, policy, 0.999)).toBeLessThanOrEqual(1_000);
    expect(backoffMs(1, policy, 0.1, 5_000)).toBe(5_000);
  });
});
