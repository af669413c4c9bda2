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

describe('a flow that would read what it writes', () => {
  const flow = (source: string, sink: string): string => `version: 1
connections:
  here: { type: files, root: data }
  deep: { type: files, root: data/in }
  lake: { type: s3, bucket: lake }
  pond: { type: s3, bucket: pond }
flows:
  copy:
    source: { ${source} }
    ${sink}
`;

  it.each([
    ['connection: here, path: "**/*.csv"', 'sink: { connection: deep, path: all.csv }'],
    ['connection: lake, path: "a/*"', 'sinks: { one: { connection: lake, path: "a/{{ batch }}.csv" } }'],
    [
      'connection: lake, path: "a/*.json"',
      'sink: { connection: lake, path: "b/{{ batch }}.csv", manifest: a/list.json, strategy: proxy }',
    ],
  ])('is refused, since each run would double it: %s', async (source, sink) => {
    const { findings, flows } = await load(flow(source, sink));
    expect(flows.size).toBe(0);
    expect(findings.map(({ message }) => message).join()).toContain('reads what is written here');
    expect(findings[0]?.hint).toContain('another folder');
  });

  it.each([
    ['connection: deep, path: "**/*.csv"', 'sink: { connection: here, path: all.csv }'],
    ['connection: lake, path: "a/*"', 'sink: { connection: pond, path: "a/{{ batch }}.csv" }'],
    ['connection: lake, path: all.csv', 'sink: { connection: here, path: all.csv }'],
    [
      'connection: lake, path: "a/*"',
      'sink: { connection: lake, path: "a/{{ batch }}.csv", manifest: b/list.json, strategy: proxy }',
    ],
  ])('is told from one that does not: %s', async (source, sink) => {
    expect((await load(flow(source, sink))).findings).toEqual([]);
  });
});
