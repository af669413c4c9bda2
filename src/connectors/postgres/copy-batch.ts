import type { Payload } from '../../model/batch.ts';
import { RefusedError } from '../../model/errors.ts';
import { BatchRows, type BatchRowsOptions } from './batch-rows.ts';
import { quoteName } from './connection.ts';
import type { Writing } from './outcome.ts';
import type { Session } from './session.ts';
import type { Table } from './table.ts';

export interface CopyAsk extends Pick<BatchRowsOptions, 'together'> {
  readonly session: Session;
  readonly table: Table;
  readonly payload: Payload;
  /** Is told what is being written. */
  readonly at: { writing?: Writing };
  /** Called before each COPY, with the columns that it brings. */
  before?(columns: readonly string[]): Promise<void>;
}

/** All records of a batch into a table. Throws RefusedError for a record that cannot be written, with its place. */
export async function copyBatch({ session, table, payload, at, together, before }: CopyAsk): Promise<void> {
  const rows = new BatchRows(payload, table, { together });
  let taken = 0;
  for (let group = rows.next(); group !== undefined; group = rows.next()) {
    const columns = group.columns.map(({ name }) => name);
    await before?.(columns);
    at.writing = { table: table.shortName, columns, records: group.records };
    const list = columns.map(quoteName).join(', ');
    taken += await session.copy(`copy ${table.name} (${list}) from stdin`, rows.frames(group));
  }
  expectAll(taken, payload.spans.length / 2);
}

/** A trigger or a rule can leave rows out without an error, and then they would be lost without a word. */
export function expectAll(taken: number, sent: number): void {
  if (taken === sent) return;
  throw new RefusedError(`the server took ${taken} of ${sent} rows: a trigger or a rule has left out the others`, {
    reason: 'rows-left-out',
    hint: 'Write to the table that the trigger writes to, or correct the trigger.',
  });
}
