/** What a replay of a stored case needs; entry of the bundle. */
export { readCase } from './case-file.ts';
export { LedgerBench } from './ledger-bench.ts';
export { replay } from './schedule.ts';
