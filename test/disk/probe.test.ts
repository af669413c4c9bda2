import { it } from 'vitest';
import { cutPower } from '../../src/testing/disk/power-cuts.ts';
import { WasmSqlite } from '../../src/testing/disk/wasm-sqlite.ts';
it('probe', async () => {
  const sqlite = await WasmSqlite.load();
  const t = performance.now();
  let bad = 0; let cuts = 0; const places = new Map<string, number>();
  const n = Number(process.env.N ?? 40), from = Number(process.env.S ?? 1);
  for (let seed = from; seed < from + n; seed++) {
    const result = await cutPower(sqlite, { seed });
    cuts += result.cuts.length;
    for (const c of result.cuts) { const k = c.replace(/\d+/g, 'N'); places.set(k, (places.get(k) ?? 0) + 1); }
    if (result.found.length > 0 && bad++ < 12) console.log(JSON.stringify(result, null, 1).slice(0, 1500));
  }
  console.log(n, 'cases', cuts, 'cuts', bad, 'bad', performance.now() - t, 'ms', [...places]);
}, 600_000);
