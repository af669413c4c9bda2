import { parseArgs } from 'node:util';
import type { Refusal } from './disk-plan.ts';
import { cutPower } from './power-cuts.ts';
import { callsToRefuse, refuseCall } from './refusals.ts';
import { WasmSqlite } from './wasm-sqlite.ts';

/**
 * `node power-cuts-main.js --seed 1 --cuts 5000 --refusals 1000000`: that many power cuts and, of each kind of call of
 * the disk, so many that are refused. Prints every case that went wrong, with its seed, and ends with 1 then.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    cuts: { type: 'string', default: '5000' },
    refusals: { type: 'string', default: '3' },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Resolves with how many cases went wrong. */
async function powerCuts(sqlite: WasmSqlite, first: number, wanted: number): Promise<number> {
  let [cuts, seed, wrong] = [0, first, 0];
  for (; cuts < wanted; seed++) {
    const result = await cutPower(sqlite, { seed });
    cuts += result.cuts.length;
    if (result.found.length === 0) continue;
    wrong++;
    say(`seed ${seed}: ${JSON.stringify(result)}`);
  }
  say(`${cuts} power cuts in ${seed - first} cases from seed ${first}: ${wrong} went wrong`);
  return wrong;
}

async function refusals(sqlite: WasmSqlite, few: number): Promise<number> {
  let [count, wrong] = [0, 0];
  const kinds: readonly Refusal[] = ['EIO', 'ENOSPC', 'short'];
  for (const [journalFirst, how] of [false, true].flatMap((first) => kinds.map((how) => [first, how] as const))) {
    for (const at of await callsToRefuse(sqlite, { how, journalFirst, few })) {
      const result = await refuseCall(sqlite, { at, how, journalFirst });
      count++;
      if (result.found.length === 0) continue;
      wrong++;
      say(`${how} at call ${at}: ${JSON.stringify(result)}`);
    }
  }
  say(`${count} calls of the disk refused: ${wrong} went wrong`);
  return wrong;
}

const sqlite = await WasmSqlite.load();
const lost = await powerCuts(sqlite, Number(values.seed), Number(values.cuts));
const unclear = await refusals(sqlite, Number(values.refusals));
process.exitCode = lost + unclear > 0 ? 1 : 0;
