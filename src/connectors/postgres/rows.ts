import { Buffer } from 'node:buffer';
import type * as Pg from 'pg';
import type { Chunk } from '../../model/chunk.ts';
import type { Columns } from '../../model/columns.ts';
import { JsonCollector, RowCollector } from './copy-collectors.ts';
import { CopyOut } from './copy-out.ts';
import { LinePacker } from './line-packer.ts';
import type { BoundQuery } from './parameters.ts';
import { asJson, type BindBy } from './reading.ts';

/** Rows that one FETCH of a cursor brings. */
const FETCH_ROWS = 2000;

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
  await client.query(`declare waybill_cursor no scroll cursor for ${select.text}`, [...select.values]);
  const packer = new LinePacker();
  for (;;) {
    const { rows } = await client.query<[string]>({
      text: `fetch ${FETCH_ROWS} from waybill_cursor`,
      rowMode: 'array',
    });
    for (const [text] of rows) {
      const bytes = Buffer.from(text);
      const full = packer.add(bytes, 0, bytes.length);
      if (full !== undefined) yield full;
    }
    if (rows.length === 0) break;
  }
  await client.query('close waybill_cursor');
  const last = packer.flush();
  if (last !== undefined) yield last;
}
