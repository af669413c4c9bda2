import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CONNECTORS } from '../connectors/all.ts';
import { strategies } from '../strategies/all.ts';
import { fitMatrix } from './fit-matrix.ts';
import { openWaybill } from './open.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waybill-fits-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const flowOf = (sink: string, more: string): string => `version: 1
connections:
  store: { type: sqlite, file: store.db }
  api: { type: http, url: https://api.example.com }
flows:
  copy:
    source: { connection: store, query: "select 1 as id", key: [id] }
    sink: ${sink}
    ${more}
`;
const HTTP = '{ connection: api, path: /v1, receipt: { shape: none }, upsert: true }';
const FILE = '{ connection: files, path: out.ndjson }';
const TABLE = '{ connection: store, table: items }';

async function opened(text: string) {
  await writeFile(join(folder, 'waybill.yaml'), text);
  return await openWaybill({ cwd: folder, env: {} });
}

describe('a policy for the columns of a sink', () => {
  it('is refused where the sink takes no JSON: only there do records carry the names of their fields', async () => {
    const waybill = await opened(flowOf('{ connection: files, path: out.csv }', 'schema: discard-column'));
    expect(await waybill.check()).toMatchObject([
      { level: 'error', code: 'PROMISE_IMPOSSIBLE', message: expect.stringMatching(/a sink that takes no JSON/) },
    ]);
    await waybill.close();
  });
});

describe('a strategy that does not fit', () => {
  it.each([
    [HTTP, 'strategy: merger', 'keyed', /no load/],
    [HTTP, 'strategy: transactional-writer', 'ledgered-append', /no load/],
    [FILE, 'strategy: data-overwrite\n    window: day', 'ledgered-append', /replace all that the sink holds/],
    [TABLE, 'strategy: keyed', 'merger', /no put/],
    [TABLE, 'strategy: stateful-merger', 'merger', /no windows/],
  ])(
    'on %s with %s is refused with the reason, and with %s as the nearest that fits',
    async (sink, more, nearest, why) => {
      const waybill = await opened(flowOf(sink, more));
      const [finding, ...others] = await waybill.check();
      expect(others).toEqual([]);
      expect(finding).toMatchObject({ level: 'error', code: 'PROMISE_IMPOSSIBLE' });
      expect(finding?.message).toMatch(why);
      expect(finding?.hint).toContain(`strategy: ${nearest}\``);
      await expect(waybill.plan('copy', undefined)).rejects.toMatchObject({
        code: 'PROMISE_IMPOSSIBLE',
        hint: finding?.hint,
      });
      await waybill.close();
      // What is named does fit, or the advice would be worth nothing.
      const advised = await opened(flowOf(sink, `strategy: ${nearest}`));
      expect(await advised.check()).toEqual([]);
      await advised.close();
    },
  );

  it('is told before anything is sent that files know no rows to be replaced', async () => {
    const sink = '{ connection: files, path: "{{ window }}.ndjson", load: { scope: { column: day } } }';
    const waybill = await opened(flowOf(sink, 'strategy: data-overwrite\n    window: day'));
    const [finding] = await waybill.check();
    expect(finding?.message).toContain('no rows by the values of a column');
    await waybill.close();
  });

  it('names sinks that it fits elsewhere', async () => {
    const waybill = await opened(flowOf(HTTP, 'strategy: data-overwrite'));
    const [finding] = await waybill.check();
    expect(finding?.hint).toMatch(/data-overwrite itself fits sinks of .*sqlite/);
    await waybill.close();
  });
});

describe('the matrix of strategies and sinks', () => {
  it('has every sink that shows a sample, opened without I/O, and every strategy', async () => {
    const rows = await fitMatrix();
    for (const row of rows) expect(row.cells.map(({ strategy }) => strategy)).toEqual(Object.keys(strategies));
    for (const [type, load] of Object.entries(CONNECTORS)) {
      const samples = (await load()).sink?.samples ?? [];
      expect(rows.filter((row) => row.connector === type).map(({ sample }) => sample)).toEqual(
        samples.map(({ name }) => name),
      );
    }
    const sqlite = rows.find((row) => row.connector === 'sqlite' && row.sample === 'a table with a key');
    expect(sqlite?.cells.every(({ fit }) => fit.fits)).toBe(true);
    const asked = rows.find((row) => row.connector === 'http' && row.sample === 'that can be asked');
    expect(asked?.cells.find(({ strategy }) => strategy === 'ledgered-append')?.fit).toMatchObject({
      fits: true,
      rung: 'look',
    });
  });
});

describe('a keyed strategy', () => {
  const cache = (key: string): string => `{ connection: cache, key: [${key}] }`;
  const flow = (sourceKey: string, sink: string, more: string): string => `version: 1
connections:
  cache: { type: redis, host: 127.0.0.1 }
  api: { type: http, url: https://api.example.com }
flows:
  copy:
    source: { connection: files, path: in.ndjson${sourceKey} }
    sink: ${sink}
    strategy: keyed
    ${more}
`;
  it.each([
    [false, ', key: id', cache('id'), ''],
    [false, ', key: id', cache('team, id'), ''],
    [false, ', key: id', cache('member'), 'mapping: { rename: { id: member } }'],
    [false, ', key: id', HTTP, ''],
    [true, ', key: id', cache('team'), ''],
    [true, ', key: [team, id]', cache('id'), ''],
    [true, '', cache('id'), ''],
    [true, ', key: id', cache('id'), 'mapping: { rename: { id: member, team: id } }'],
    [true, ', key: id', cache('id'), 'mapping: { set: { id: "{{ record.team }}" } }'],
  ])('P27: in the order of its batches: %s, from a source%s to %s %s', async (ordered, sourceKey, sink, more) => {
    await writeFile(join(folder, 'in.ndjson'), '{"id":1,"team":2}\n');
    const waybill = await opened(flow(sourceKey, sink, more));
    const { lanes } = await waybill.plan('copy', undefined);
    expect(lanes).toMatchObject([{ ordered }]);
    await waybill.close();
  });
});
