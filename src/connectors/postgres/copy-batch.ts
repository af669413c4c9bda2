import type { Payload } from '../../model/batch.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import { BatchRows, type BatchRowsOptions } from './batch-rows.ts';
import { quoteName } from './connection.ts';
import { asLines, copyMessages, fitsAsItIs } from './copy-binary.ts';
import { isReadAlike } from './copy-csv.ts';
import { inMessages } from './copy-in.ts';
import type { Course } from './outcome.ts';
import type { Session } from './session.ts';
import { shapeText, type Table } from './table.ts';

export interface CopyAsk extends Pick<BatchRowsOptions, 'together'> {
  readonly session: Session;
  readonly table: Table;
  readonly payload: Payload;
  /** Is told what is being written. */
  readonly at: Course;
  /** Statements to be carried out before each COPY, in the same round trip. `columns`: those that it brings. */
  before?(columns: readonly string[]): readonly string[];
}

/** All records of a batch into a table. Throws RefusedError for a record that cannot be written, with its place. */
export async function copyBatch(ask: CopyAsk): Promise<void> {
  if (fitsAsItIs(ask.payload, ask.table)) await copyAsItIs(ask);
  else if (ask.at.looks !== true && isReadAlike(ask.payload, ask.table)) await copyUnread(ask);
  else await copyAsText({ ...ask, payload: asLines(ask.payload) });
}

/** Rows of binary COPY go on as they came: nothing of them is looked at. */
async function copyAsItIs({ session, table, payload, at, before }: CopyAsk): Promise<void> {
  const columns = (payload.types ?? []).map(({ name }) => name);
  at.writing = { table: table.shortName, columns };
  const list = columns.map(quoteName).join(', ');
  // From the COPY on the table is locked against changes; before it, one may have been made since it was looked at.
  const after = shapeText(session.client, table.name);
  const copy = `copy ${table.name} (${list}) from stdin (format binary)`;
  const { rows, found } = await session.copy([...(before?.(columns) ?? []), copy, after], copyMessages(payload));
  expectAll(rows, payload.spans.length / 2);
  if (found === table.shape) return;
  throw new NotAppliedError(`the columns of ${table.name} were changed while rows were written; nothing was kept`);
}

/** Rows of CSV go on as they came, where the server makes of each field what would be made of it here. */
async function copyUnread({ session, table, payload, at, before }: CopyAsk): Promise<void> {
  const columns = payload.columns ?? [];
  at.unread = true;
  const list = columns.map(quoteName).join(', ');
  const copy = `copy ${table.name} (${list}) from stdin (format csv)`;
  const { rows } = await session.copy([...(before?.(columns) ?? []), copy], inMessages(payload.bytes));
  expectAll(rows, payload.spans.length / 2);
}

async function copyAsText({ session, table, payload, at, together, before }: CopyAsk): Promise<void> {
  const rows = new BatchRows(payload, table, { together });
  let taken = 0;
  for (let group = rows.next(); group !== undefined; group = rows.next()) {
    const columns = group.columns.map(({ name }) => name);
    at.writing = { table: table.shortName, columns, records: group.records };
    const list = columns.map(quoteName).join(', ');
    const copy = `copy ${table.name} (${list}) from stdin`;
    taken += (await session.copy([...(before?.(columns) ?? []), copy], rows.frames(group))).rows;
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
