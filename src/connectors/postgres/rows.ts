import { Buffer } from 'node:buffer';
import type * as Pg from 'pg';
import type { Chunk } from '../../model/chunk.ts';
import type { Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import { JsonCollector, RowCollector } from './copy-collectors.ts';
import { CopyOut } from './copy-out.ts';
import { LinePacker } from './line-packer.ts';
import type { BoundQuery } from './parameters.ts';
import { asJson, type BindBy } from './reading.ts';

/** Rows that one FETCH of a cursor brings at most, and how much they are to come to: `pg` keeps them all at once. */
const FETCH_ROWS = 2000;
const FETCH_BYTES = 4 * 1024 * 1024;
/** Of the first one, when nobody knows yet how long rows are; each of the next brings at most so many times as much. */
const FIRST_ROWS = 50;
const FETCH_GROWS = 8;
/** No text of a longer one could be made here, and `pg` makes a text of everything. */
const ROW_BYTES_MAX = 500_000_000;

export interface RowsShape {
  readonly fields: readonly Pg.FieldDef[];
  /** Where every type is known, and rows of COPY are wanted. */
  readonly columns: Columns | undefined;
  /** The reader lets go of a chunk before it asks for the next one. */
  readonly reuses: boolean;
}

/**
 * The rows of a query as chunks; with `columns` as rows of COPY, else as JSON. What is bound as settings has been set.
 * Nothing else can be asked of the client before the last chunk.
 */
export function rowsOf(client: Pg.Client, query: BoundQuery, by: BindBy, shape: RowsShape): AsyncIterable<Chunk> {
  const select = asJson(query, by, shape.fields);
  return by === 'placeholders' ? byCursor(client, select) : client.query(copyOf(query, select, shape)).chunks();
}

function copyOf(query: BoundQuery, json: BoundQuery, { columns, reuses }: RowsShape): CopyOut {
  if (columns === undefined) return new CopyOut(json.text, new JsonCollector());
  return new CopyOut(`select * from (\n${query.text}\n) as waybill_row`, new RowCollector(columns, { reuses }));
}

/** For servers and poolers that do not let COPY through. */
async function* byCursor(client: Pg.Client, select: BoundQuery): AsyncGenerator<Chunk> {
  // `offset 0`: without it the server would make the text of each row twice.
  await client.query(
    `declare waybill_cursor no scroll cursor for
      select case when octet_length(line) <= ${ROW_BYTES_MAX} then line end from (${select.text} offset 0) as l(line)`,
    [...select.values],
  );
  const packer = new LinePacker();
  let row = 0;
  for (let want = FIRST_ROWS; ; ) {
    const { rows } = await client.query<[string | null]>({
      text: `fetch ${want} from waybill_cursor`,
      rowMode: 'array',
    });
    let size = 0;
    for (const [text] of rows) {
      row++;
      if (text === null) throw tooLong(row);
      const bytes = Buffer.from(text);
      size += bytes.length;
      const full = packer.add(bytes, 0, bytes.length);
      if (full !== undefined) yield full;
    }
    if (rows.length === 0) break;
    const fits = Math.floor((FETCH_BYTES * rows.length) / Math.max(1, size));
    want = Math.max(1, Math.min(fits, want * FETCH_GROWS, FETCH_ROWS));
  }
  await client.query('close waybill_cursor');
  const last = packer.flush();
  if (last !== undefined) yield last;
}

const tooLong = (row: number): WaybillError =>
  new WaybillError('SOURCE_FAILED', `row ${row} makes more than ${ROW_BYTES_MAX} bytes of JSON`, {
    hint: 'Let the query leave out its long values, or read it with `mode: copy`.',
  });
