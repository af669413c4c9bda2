import { parseArgs } from 'node:util';
import { flipBit, journalTarget, ledgerTarget, stagingTarget } from './bit-flips.ts';
import { Chance } from './chance.ts';
import { WasmSqlite } from './wasm-sqlite.ts';

/**
 * `node bit-flips-main.js --seed 1 --flips 28672`: that many inverted bits, shared out over all that the books consist
 * of. Prints every one after which something was handed out that was never written, and ends with 1 then.
 */
const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, flips: { type: 'string', default: '28672' } },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const sqlite = await WasmSqlite.load();
const chance = new Chance(Number(values.seed));
const flips = Number(values.flips);
const targets = [
  { share: 0.3, target: await ledgerTarget(sqlite, 'closed') },
  { share: 0.2, target: await ledgerTarget(sqlite, 'killed') },
  { share: 0.3, target: await stagingTarget(chance) },
  { share: 0.2, target: await journalTarget(chance) },
];
let wrong = 0;
for (const { share, target } of targets) {
  const fates = new Map<string, number>();
  const count = Math.ceil(flips * share);
  for (let nth = 0; nth < count; nth++) {
    const flip = await flipBit(target, chance);
    const fate = 'fate' in flip ? flip.fate : 'wrong';
    fates.set(fate, (fates.get(fate) ?? 0) + 1);
    if ('fate' in flip) continue;
    wrong++;
    say(`${target.name}: ${JSON.stringify(flip)}`);
  }
  say(`${target.name}: ${count} flips: ${[...fates].map(([fate, number]) => `${number} ${fate}`).join(', ')}`);
}
say(`${wrong} went wrong`);
process.exitCode = wrong > 0 ? 1 : 0;
