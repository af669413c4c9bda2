import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../src/cli/cli.ts';
import { RecordedProcess } from '../src/cli/recorded-process.ts';
import { newFolder } from './connectors/place.ts';

const FLOW = `
version: 1
connections:
  here: { type: files, root: . }
flows:
  orders:
    window: pull
    source: { connection: here, path: 'in/*.ndjson', settleSeconds: 0, key: [n] }
    sink: { connection: here, path: out.ndjson, strategy: ledgered-append }
`;

let folder = '';
beforeEach(() => {
  folder = newFolder('pull-runs');
  mkdirSync(join(folder, 'in'));
  writeFileSync(join(folder, 'waybill.yaml'), FLOW);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (name: string, ...numbers: readonly number[]): void =>
  writeFileSync(join(folder, 'in', name), numbers.map((n) => `{"n":${n}}\n`).join(''));
const held = (): readonly number[] =>
  readFileSync(join(folder, 'out.ndjson'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { n: number }).n);

async function waybill(...words: string[]): Promise<{ code: number; said: string }> {
  const io = new RecordedProcess({ cwd: folder, env: {} });
  const code = await run(words, io);
  return { code, said: `${io.stdout.text}${io.stderr.text}` };
}

describe('a flow that pulls from a folder', () => {
  it('F05, F16: commits each file for itself, says what it has passed by, and takes that in by a command', async () => {
    put('b.ndjson', 1, 2);
    put('d.ndjson', 3);
    expect(await waybill('run', 'orders')).toMatchObject({ code: 0 });
    expect(held()).toEqual([1, 2, 3]);
    put('a.ndjson', 10, 11);
    put('e.ndjson', 4);
    const second = await waybill('run', 'orders');
    expect(second).toMatchObject({ code: 0, said: expect.stringContaining('in/a.ndjson') });
    expect(second.said).toContain('never taken');
    expect(held()).toEqual([1, 2, 3, 4]);
    const third = await waybill('run', 'orders', '--take', 'in/a.ndjson');
    expect(third, third.said).toMatchObject({ code: 0 });
    expect(held()).toEqual([1, 2, 3, 4, 10, 11]);
    const { code, said } = await waybill('run', 'orders');
    expect(code, said).toBe(0);
    expect(said).not.toContain('never taken');
    expect(held()).toEqual([1, 2, 3, 4, 10, 11]);
    const state = await waybill('state', 'orders', 'show');
    expect(state.said).toContain('in/e.ndjson');
  });

  it('F05: leaves the position before a file that cannot be read, and goes on from there', async () => {
    put('a.ndjson', 1);
    writeFileSync(join(folder, 'in', 'b.ndjson'), Buffer.from([0xff, 0xfe, 0x7b, 0]));
    put('c.ndjson', 3);
    const failed = await waybill('run', 'orders');
    expect(failed.code, failed.said).not.toBe(0);
    expect(failed.said).toContain('b.ndjson');
    put('b.ndjson', 2);
    const mended = await waybill('run', 'orders');
    expect(mended.code, mended.said).toBe(0);
    expect(held()).toEqual([1, 2, 3]);
  });
});
