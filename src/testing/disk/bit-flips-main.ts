import { parseArgs } from 'node:util';
import { flipBit, journalTarget, ledgerTarget, stagingTarget, type Target } from './bit-flips.ts';
import { Chance } from './chance.ts';
import { startTarget } from './start-flips.ts';
import { WasmSqlite } from './wasm-sqlite.ts';

/**
 * `node bit-flips-main.js --seed 1 --flips 28672`: that many inverted bits, shared out over all that the books consist
 * of. Prints every one after which something was handed out that was never written, or was sent that had been sent
 * before, or was hidden without a word; and ends with 1 then.
 */
const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, flips: { type: 'string', default: '28672' } },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Resolves with how many went wrong. */
async function flipBits(target: Target, count: number, chance: Chance): Promise<number> {
  const fates = new Map<string, number>();
  for (let nth = 0; nth < count; nth++) {
    const flip = await flipBit(target, chance);
    const fate = 'fate' in flip ? flip.fate : 'wrong';
    fates.set(fate, (fates.get(fate) ?? 0) + 1);
    if ('wrong' in flip) say(`${target.name}: ${JSON.stringify(flip)}`);
  }
  say(`${target.name}: ${count} flips: ${[...fates].map(([fate, number]) => `${number} ${fate}`).join(', ')}`);
  return fates.get('wrong') ?? 0;
}

/**
 * The ledger takes a hundred times as long as the others. Most of its share goes to what a next start makes of it,
 * where no bit is wasted on room that belongs to nobody.
 */
async function campaign(flips: number, chance: Chance): Promise<number> {
  const sqlite = await WasmSqlite.load();
  const part = (share: number): number => Math.ceil(flips * share);
  let wrong = await flipBits(await startTarget(sqlite, 'large'), part(0.08), chance);
  wrong += await flipBits(await startTarget(sqlite, 'small'), part(0.01), chance);
  wrong += await flipBits(await ledgerTarget(sqlite, 'closed'), part(0.04), chance);
  wrong += await flipBits(await ledgerTarget(sqlite, 'killed'), part(0.03), chance);
  wrong += await flipBits(await stagingTarget(chance), part(0.42), chance);
  return wrong + (await flipBits(await journalTarget(chance), part(0.42), chance));
}

process.exitCode = (await campaign(Number(values.flips), new Chance(Number(values.seed)))) > 0 ? 1 : 0;
