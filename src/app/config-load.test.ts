import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { strategies } from '../strategies/all.ts';
import { loadConfig } from './config.ts';
import { allConnectors } from './connector-list.ts';
import type { Config } from './flow-config.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waybill-load-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function load(text: string): Promise<Config> {
  const path = join(folder, 'waybill.yaml');
  await writeFile(path, text);
  return loadConfig(path, { cwd: folder, env: {}, connectors: await allConnectors(), strategies });
}

describe('what a lane says about its loads', () => {
  it('is typed, with defaults, and may say nothing that its strategy does not use', async () => {
    const withLoad = (strategy: string, load: string): string =>
      `version: 1
connections:
  here: { type: files }
flows:
  copy:
    source: { connection: here, path: in.csv }
    sink: { connection: here, path: out.csv, strategy: ${strategy}, load: ${load} }
    window: day
`;
    const merged = await load(withLoad('merger', '{ deleted: { column: gone }, latestBy: at }'));
    expect(merged.findings).toEqual([]);
    expect(merged.flows.get('copy')?.lanes[0]?.load).toEqual({
      deleted: { column: 'gone', values: [true], how: 'remove' },
      latestBy: 'at',
      onRefused: 'hold',
    });
    const replaced = await load(withLoad('data-overwrite', '{ scope: { column: day }, onRefused: publish }'));
    expect(replaced.flows.get('copy')?.lanes[0]?.load).toEqual({ scope: { column: 'day' }, onRefused: 'publish' });

    const wrong = await load(withLoad('merger', '{ period: month, keep: 2, scop: { column: day }, latestBy: "" }'));
    expect(wrong.flows.has('copy')).toBe(false);
    const texts = wrong.findings.map(({ message, hint }) => `${message} ${hint ?? ''}`).join('\n');
    expect(texts).toMatch(/load.period: the strategy merger does not use it .*metadata-cleaner/);
    expect(texts).toMatch(/load.keep: the strategy merger does not use it .*proxy/);
    expect(texts).toMatch(/scop.*scope/);
    expect(texts).toMatch(/latestBy/);

    const none = await load(withLoad('ledgered-append', '{ onRefused: hold }'));
    expect(none.findings.map(({ message }) => message).join()).toContain('ledgered-append does not use it');
    const plain = await load(withLoad('keyed', '{}'));
    expect(plain.flows.get('copy')?.lanes[0]?.load).toEqual({ onRefused: 'hold' });
  });
});
