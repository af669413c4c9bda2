import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CutProxy, openCutProxy } from '../src/testing/faults/cut-proxy.ts';
import { testPermit } from '../src/testing/permit.ts';
import { LoadBench } from './postgres-load-bench.ts';
import { Places } from './postgres-place.ts';

let places: Places;
let proxy: CutProxy;
beforeAll(async () => {
  places = await Places.start();
  proxy = await openCutProxy({ target: places.server });
});
afterAll(async () => {
  await places?.closeSinks();
  await proxy?.close();
  await places?.stop();
});

/** How often the server is waited for in `send`. */
async function waits(send: () => Promise<unknown>): Promise<number> {
  const before = proxy.requests;
  await send();
  return proxy.requests - before;
}
const rows = Array.from({ length: 100 }, (_, n) => ({ n, name: `row ${n}` }));

describe('a server that is far away is waited for', () => {
  it('four times for a batch: for its transaction, its COPY, the rows and the commit', async () => {
    const { table, markerSchema } = await places.make('n int, name text');
    const sink = places.open({ table, markerSchema }, { port: proxy.port });
    const send = (batch: number) => sink.can.commitOnce!(testPermit({ records: rows, batch }));
    await send(1);
    expect(await waits(() => send(2))).toBe(4);
  });

  it('once more for a batch of a load, which may have been published by somebody else', async () => {
    const bench = await LoadBench.make(places, 'n int, name text');
    const far = bench.another({}, { port: proxy.port });
    await far.can.load.open(far.step());
    await far.can.load.add(far.permit(rows, 1));
    expect(await waits(() => far.can.load.add(far.permit(rows, 2)))).toBe(5);
    await far.can.replace(far.step(), { kind: 'all' });
    expect(await bench.rows('count(*)')).toEqual([['200']]);
  });
});
