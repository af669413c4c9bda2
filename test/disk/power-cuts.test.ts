import { beforeAll, describe, expect, it } from 'vitest';
import { type CaseResult, cutPower } from '../../src/testing/disk/power-cuts.ts';
import { WasmSqlite } from '../../src/testing/disk/wasm-sqlite.ts';
import { PLANTED } from './mistakes.ts';

/** The stage of CI cuts more often: `npm run powercuts`. */
const CUTS = 100;
const CASES_MAX = 120;
let sqlite: WasmSqlite;

beforeAll(async () => {
  sqlite = await WasmSqlite.load();
});

describe('ledger, staged bytes and journal on a disk that loses power', () => {
  it('hold everything that was acknowledged, and nothing half, wherever the power goes', async () => {
    let cuts = 0;
    const wrong: CaseResult[] = [];
    for (let seed = 1; cuts < CUTS; seed++) {
      const result = await cutPower(sqlite, { seed });
      cuts += result.cuts.length;
      if (result.found.length > 0) wrong.push(result);
    }
    console.info(`${cuts} power cuts`);
    expect(wrong).toEqual([]);
  }, 120_000);

  it.each(PLANTED)(
    'and it is found out when $name',
    async ({ mistake, found }) => {
      for (let seed = 1; seed <= CASES_MAX; seed++) {
        const result = await cutPower(sqlite, { seed, mistake });
        if (result.found.some((line) => found.test(line))) return;
      }
      expect.fail(`not found in ${CASES_MAX} cases`);
    },
    120_000,
  );
});
