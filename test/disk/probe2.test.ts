import { it } from 'vitest';
import { refuseCall } from '../../src/testing/disk/refusals.ts';
import { WasmSqlite } from '../../src/testing/disk/wasm-sqlite.ts';
it('probe', async () => {
  const sqlite = await WasmSqlite.load();
  const t = performance.now();
  const saids = new Map<string, number>(); let n = 0, bad = 0;
  for (const journalFirst of [false, true])
  for (const how of ['EIO', 'ENOSPC', 'short'] as const)
  for (let at = 1; ; at += Number(process.env.STEP ?? 1)) {
    const r = await refuseCall(sqlite, { at, how, journalFirst });
    n++;
    if (r.where === undefined) { console.log(how, 'calls', at); break; }
    const k = `${how} ${r.where.replace(/\d+/g, 'N').replace(/N\/.*/, 'N..')} -> ${r.said}`;
    saids.set(k, (saids.get(k) ?? 0) + 1);
    if (r.found.length > 0 && bad++ < 25) console.log(JSON.stringify(r).slice(0, 700));
  }
  console.log(n, 'bad', bad, performance.now() - t, [...saids].map(([k, v]) => `${v} ${k}`).sort().join('\n'));
}, 900_000);
