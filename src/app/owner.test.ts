import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { isGone, ownerOf, parseOwner, showOwner } from './owner.ts';
import { realPorts } from './ports.ts';

const ports = realPorts();
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A real process that names itself and then waits. */
async function start(): Promise<{ child: ChildProcess; owner: string }> {
  const jiti = fileURLToPath(new URL('../../node_modules/jiti/lib/jiti-cli.mjs', import.meta.url));
  const file = fileURLToPath(new URL('./owner.ts', import.meta.url));
  const script = `
    const { createJiti } = await import(${JSON.stringify(jiti.replace('jiti-cli.mjs', 'jiti.mjs'))});
    const { ownerOf } = await createJiti(${JSON.stringify(file)}).import(${JSON.stringify(file)});
    process.stdout.write(ownerOf({ id: () => 'one' }) + '\\n');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, owner: line.toString().trim() };
}

const stateOf = (pid: number): string => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]![0]!;

describe('owners of leases', () => {
  it('says that this process is not gone, and names it for people', () => {
    const owner = ownerOf(ports);
    expect(isGone(owner)).toBe(false);
    expect(showOwner(owner)).toBe(`process ${process.pid} on ${parseOwner(owner)!.host}`);
    expect(ownerOf(ports)).not.toBe(owner);
  });

  it('U17: says that a process that was killed is gone, at once', async () => {
    const { child, owner } = await start();
    expect(isGone(owner)).toBe(false);
    expect(parseOwner(owner)!.pid).toBe(child.pid);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isGone(owner)).toBe(true);
  });

  it('U18: says that a process that is only stopped is not gone', async () => {
    const { child, owner } = await start();
    child.kill('SIGSTOP');
    const deadline = ports.monotonicMs() + 5000;
    while (stateOf(child.pid!) !== 'T' && ports.monotonicMs() < deadline) await ports.sleep(5);
    expect(stateOf(child.pid!)).toBe('T');
    expect(isGone(owner)).toBe(false);
  });

  it('takes a later process with the same pid for another one', () => {
    const parts = ownerOf(ports).split('/');
    parts[5] = '1';
    expect(isGone(parts.join('/'))).toBe(true);
  });

  it('claims nothing about another boot, another pid namespace, or a text that it did not write', () => {
    for (const at of [2, 3]) {
      const parts = ownerOf(ports).split('/');
      parts[at] = 'another';
      parts[5] = '1';
      expect(isGone(parts.join('/'))).toBeUndefined();
    }
    expect(isGone('worker-7')).toBeUndefined();
    expect(isGone('')).toBeUndefined();
    expect(showOwner('worker-7')).toBe('worker-7');
  });
});
