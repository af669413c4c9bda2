import { it } from 'vitest';
import { flipBit, journalTarget, ledgerTarget, stagingTarget } from '../../src/testing/disk/bit-flips.ts';
import { Chance } from '../../src/testing/disk/chance.ts';
import { WasmSqlite } from '../../src/testing/disk/wasm-sqlite.ts';
it('probe', async () => {
  const sqlite = await WasmSqlite.load();
  const chance = new Chance(7);
  const n = Number(process.env.N ?? 300);
  for (const target of [await journalTarget(chance), await stagingTarget(chance), await ledgerTarget(sqlite, 'closed'), await ledgerTarget(sqlite, 'killed')]) {
    const t = performance.now(); const fates: Record<string, number> = {}; let shown = 0;
    console.log(target.name, [...target.files].map(([p, b]) => [p, b.length].join(' ')));
    for (let i = 0; i < n; i++) {
      const r = await flipBit(target, chance);
      const f = 'fate' in r ? r.fate : 'WRONG';
      fates[f] = (fates[f] ?? 0) + 1;
      if ('wrong' in r && shown++ < 8) console.log(JSON.stringify(r).slice(0, 400));
    }
    console.log(target.name, fates, performance.now() - t);
  }
}, 900_000);
