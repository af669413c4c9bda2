import type { Payload } from '../model/batch.ts';
import { KEY_BYTES } from '../model/chunk.ts';
import type { Verdict } from '../model/verdict.ts';
import { KeyTable } from './key-table.ts';

/**
 * How many records of a batch the sink has no row of their own for, though no two of these have one key: `01` and `1`
 * in a column of numbers, `Ada` and `ada` where case does not count. The last of them is there, the others are not.
 */
export function keysMet({ keys }: Payload, verdict: Verdict): number {
  const records = keys.length / KEY_BYTES;
  if (verdict.keyCount === undefined || verdict.keyCount >= records) return 0;
  const seen = new KeyTable();
  let distinct = 0;
  for (let nth = 0; nth < records; nth++) {
    if (!seen.has(keys, nth)) distinct++;
    seen.add(keys, nth);
  }
  return Math.max(0, distinct - verdict.keyCount);
}
