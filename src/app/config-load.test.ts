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

describe('a flow that reads the table that it writes', () => {
  const flow = (source: string, sink: string): string => `version: 1
connections:
  parts: { type: postgres, host: localhost, database: shop, user: reader }
  whole: { type: postgres, url: "postgresql://writer@127.0.0.1:5432/shop" }
  secret: { type: postgres, url: "env:SHOP_URL" }
  same: { type: postgres, url: "env:SHOP_URL" }
  standby: { type: postgres, host: localhost, port: 5433, database: shop, user: reader }
  file: { type: sqlite, file: shop.db }
  again: { type: sqlite, file: ./data/../shop.db }
flows:
  copy:
    source: { ${source}, key: [id] }
    sink: { ${sink} }
`;

  it.each([
    ['connection: parts, table: items', 'connection: parts, table: items'],
    ['connection: parts, table: items', 'connection: whole, table: public.items, strategy: transactional-writer'],
    ['connection: secret, table: sales.items', 'connection: same, table: [sales, items], strategy: metadata-cleaner'],
    ['connection: file, table: items', 'connection: again, table: Items'],
  ])('is refused where each run would double it: %s -> %s', async (source, sink) => {
    const { findings, flows } = await load(flow(source, sink));
    expect(flows.size).toBe(0);
    expect(findings.map(({ message }) => message).join()).toContain('each run would double it');
    expect(findings[0]?.hint).toContain('another table');
  });

  it.each([
    ['connection: parts, table: items', 'connection: whole, table: items, strategy: data-overwrite'],
    ['connection: parts, table: items', 'connection: parts, table: items, key: [id], strategy: keyed'],
    ['connection: parts, table: items', 'connection: parts, table: items, strategy: proxy'],
    ['connection: file, table: items', 'connection: file, table: items, strategy: stateful-merger'],
  ])('is warned where it takes the place of what it has read: %s -> %s', async (source, sink) => {
    const { findings, flows } = await load(flow(source, sink));
    expect(flows.size).toBe(1);
    expect(findings).toMatchObject([{ level: 'warning', message: expect.stringContaining('what others write') }]);
  });

  it.each([
    ['connection: parts, table: items', 'connection: parts, table: Items'],
    ['connection: parts, table: items', 'connection: parts, table: sales.items'],
    ['connection: parts, table: items', 'connection: standby, table: items'],
    ['connection: parts, table: items', 'connection: secret, table: items'],
    ['connection: parts, query: "select 1 as id"', 'connection: parts, table: items'],
    ['connection: file, table: items', 'connection: file, table: others'],
  ])('is told from one that does not: %s -> %s', async (source, sink) => {
    expect((await load(flow(source, sink))).findings).toEqual([]);
  });
});

describe('flows that write to one place', () => {
  const flows = (...sinks: string[]): string => `version: 1
connections:
  in: { type: files }
  out: { type: files, root: ./lake }
  lake: { type: s3, bucket: lake }
  base: { type: postgres, host: localhost, database: shop, user: one }
  same: { type: postgres, url: "postgres://other@127.0.0.1/shop" }
  file: { type: sqlite, file: shop.db }
  vectors: { type: lancedb, uri: ./shop }
flows:
${sinks
  .map(
    (sink, nth) => `  flow${nth + 1}:
    source: { connection: in, path: in.csv, key: [id] }
    window: day
    ${sink.startsWith('{') ? `sink: ${sink}` : sink}
`,
  )
  .join('')}`;

  it.each([
    ['{ connection: base, table: items, strategy: proxy }', '{ connection: same, table: public.items }'],
    [
      '{ connection: base, table: items, strategy: data-overwrite, load: { scope: { column: day } } }',
      '{ connection: base, table: items, key: [id], strategy: merger }',
    ],
    ['{ connection: file, table: items, key: [id], strategy: stateful-merger }', '{ connection: file, table: ITEMS }'],
    ['{ connection: base, table: items, strategy: metadata-cleaner }', '{ connection: same, table: items }'],
    ['{ connection: vectors, table: t, strategy: data-overwrite }', '{ connection: vectors, table: t }'],
    [
      '{ connection: out, path: "a/{{ window }}/{{batch}}.csv", strategy: data-overwrite }',
      '{ connection: in, path: "lake/a/{{window}}/{{ batch }}.csv" }',
    ],
    [
      '{ connection: lake, path: "a/{{ batch }}.csv", manifest: list.json, strategy: proxy }',
      '{ connection: lake, path: "b/{{ batch }}.csv", manifest: list.json, strategy: proxy }',
    ],
  ])('are warned where one takes the place of the other: %s beside %s', async (one, other) => {
    const { findings, flows: read } = await load(flows(one, other));
    expect(read.size, JSON.stringify(findings)).toBe(2);
    expect(findings[0]).toMatchObject({
      level: 'warning',
      message: 'flows.flow1.sink: flow flow2 writes here too: what it has brought is gone once this flow has loaded',
      hint: expect.stringContaining('a place of its own'),
    });
  });

  it('are warned in lanes of one flow as well', async () => {
    const lane = '{ connection: base, table: items, strategy: proxy }';
    const { findings } = await load(flows(`sinks: { one: ${lane}, two: ${lane} }`));
    expect(findings.map(({ message }) => message)).toEqual([
      'flows.flow1.sinks.one: lane two writes here too: what it has brought is gone once this lane has loaded',
      'flows.flow1.sinks.two: lane one writes here too: what it has brought is gone once this lane has loaded',
    ]);
  });

  it.each([
    ['{ connection: base, table: items, strategy: proxy }', '{ connection: base, table: others, strategy: proxy }'],
    ['{ connection: base, table: items, key: [id], strategy: merger }', '{ connection: same, table: items }'],
    [
      '{ connection: base, table: items, strategy: data-overwrite, load: { scope: { column: shop, value: a } } }',
      '{ connection: base, table: items, strategy: data-overwrite, load: { scope: { column: shop, value: b } } }',
    ],
    [
      '{ connection: out, path: "{{ flow }}/{{ window }}/{{ batch }}.csv", strategy: data-overwrite }',
      '{ connection: out, path: "{{ flow }}/{{ window }}/{{ batch }}.csv", strategy: data-overwrite }',
    ],
    ['{ connection: out, path: all.csv }', '{ connection: lake, path: "all.csv" }'],
  ])('are left alone where none does: %s beside %s', async (one, other) => {
    expect((await load(flows(one, other))).findings).toEqual([]);
  });
});
