import { describe, expect, it } from 'vitest';
import { Interrupts } from './interrupts.ts';
import { RecordedProcess } from './recorded-process.ts';

function listen() {
  const io = new RecordedProcess();
  const heard: number[] = [];
  return { io, heard, interrupts: new Interrupts(io, (nth) => heard.push(nth)) };
}

describe('interrupts', () => {
  it('stop with the first signal and abort with the second', () => {
    const { io, heard, interrupts } = listen();
    const { stop, abort } = interrupts.signals;
    expect(interrupts.exitCode).toBeUndefined();
    io.interrupt('SIGINT');
    expect([stop.aborted, abort.aborted]).toEqual([true, false]);
    io.interrupt('SIGINT');
    expect(abort.aborted).toBe(true);
    expect(heard).toEqual([1, 2]);
  });

  it('end with 130 after Ctrl-C and with 143 when terminated; the first signal decides', () => {
    const first = listen();
    first.io.interrupt('SIGINT');
    first.io.interrupt('SIGTERM');
    expect(first.interrupts.exitCode).toBe(130);
    const second = listen();
    second.io.interrupt('SIGTERM');
    expect(second.interrupts.exitCode).toBe(143);
  });

  it('end the process at once with the third, and within a second of the second', async () => {
    const { io, interrupts } = listen();
    io.interrupt('SIGTERM');
    io.interrupt('SIGTERM');
    expect(io.exits).toEqual([]);
    io.interrupt('SIGTERM');
    expect(io.exits).toEqual([143]);
    await expect.poll(() => io.exits, { timeout: 5000 }).toEqual([143, 143]);
    expect(interrupts.signals.abort.aborted).toBe(true);
  });

  it('leave the process alone when they are released', () => {
    const { io, interrupts } = listen();
    interrupts.release();
    expect(io.interrupt('SIGINT')).toBe(0);
    expect(interrupts.exitCode).toBeUndefined();
  });
});
