import { describe, expect, it } from 'vitest';
import { VirtualPorts } from '../../testing/virtual-ports.ts';
import { Deadlines } from './deadlines.ts';

describe('deadlines', () => {
  it('give up what takes too long, and nothing that has ended', async () => {
    const ports = new VirtualPorts();
    const deadlines = new Deadlines(ports, 1_000);
    const expired: string[] = [];
    deadlines.start(1_000, () => expired.push('late'));
    const early = deadlines.start(1_000, () => expired.push('ended'));
    await ports.advance(500);
    deadlines.end(early);
    await ports.advance(600);
    expect(expired).toEqual(['late']);
  });

  it('expire nothing when they are closed', async () => {
    const ports = new VirtualPorts();
    const deadlines = new Deadlines(ports, 1_000);
    const expired: string[] = [];
    deadlines.start(1_000, () => expired.push('late'));
    await ports.advance(100);
    deadlines.close();
    await ports.advance(5_000);
    expect(expired).toEqual([]);
  });

  it('give up all requests when the clock fails, and let none begin without an end', async () => {
    const broken = new RangeError('the clock is broken');
    const ports = { monotonicMs: () => 0, sleep: () => Promise.reject(broken) };
    const deadlines = new Deadlines(ports, 1_000);
    const expired: string[] = [];
    deadlines.start(60_000, () => expired.push('given up'));
    await expect.poll(() => expired).toEqual(['given up']);
    expect(() => deadlines.start(1_000, () => expired.push('never'))).toThrow(broken);
  });
});
