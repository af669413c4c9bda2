import type * as Lance from '@lancedb/lancedb';
import type { Batch } from '../../model/batch.ts';
import { RefusedError } from '../../model/errors.ts';
import { quoteName, quoteText } from './predicate.ts';

/** Names for the rows of a batch, which no other batch of any ledger has: the rows are the marker of their batch. */
export function rowNames({ idempotencyKey, digest, records }: Batch): readonly string[] {
  return Array.from({ length: records }, (_, at) => `${idempotencyKey}:${digest.slice(0, 16)}:${at}`);
}

/** Whether the rows of a batch are there. Throws RefusedError for rows of the same batch with other content. */
export async function holdsBatch(table: Lance.Table, rowColumn: string, batch: Batch): Promise<boolean> {
  const name = quoteName(rowColumn);
  // The character after the colon in ASCII ends the names that begin with the key and one.
  const [from, to] = [`${batch.idempotencyKey}:`, `${batch.idempotencyKey};`].map(quoteText);
  const [row] = await table
    .query()
    .where(`${name} >= ${from} and ${name} < ${to}`)
    .select([rowColumn])
    .limit(1)
    .toArray();
  if (row === undefined) return false;
  if (String(row[rowColumn]).startsWith(rowNames({ ...batch, records: 1 })[0]!.slice(0, -1))) return true;
  throw new RefusedError('the rows of this batch are there with another digest', { reason: 'marker' });
}
