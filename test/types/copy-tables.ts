import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { Converted, FramedChunk } from '../../src/formats/formats.ts';
import { COPY_HEADER, COPY_TRAILER, copyFramer } from '../../src/formats/pgcopy/binary-framer.ts';
import { sqlType } from '../../src/formats/pgcopy/oids.ts';
import { copyTextFramer } from '../../src/formats/pgcopy/text-framer.ts';
import type { Columns } from '../../src/model/columns.ts';

export type CopyFormat = 'pgcopy' | 'pgcopy-text';

const name = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const how = (format: CopyFormat): string => (format === 'pgcopy' ? 'binary' : 'text');

export async function createTable(client: Client, table: string, columns: Columns): Promise<void> {
  const list = columns.map((column) => `${name(column.name)} ${sqlType(column.type)}`);
  await client.query(`create table ${table} (${list.join(', ')})`);
}

/** All rows of a query as chunks, cut from the stream as it comes. */
export async function copyOut(
  client: Client,
  query: string,
  columns: Columns,
  format: CopyFormat,
): Promise<FramedChunk[]> {
  const stream = client.query(copyTo(`copy (${query}) to stdout (format ${how(format)})`));
  const framer = format === 'pgcopy' ? copyFramer(columns) : copyTextFramer(columns);
  const chunks: FramedChunk[] = [];
  stream.on('data', (bytes: Buffer) => chunks.push(...framer.push(Buffer.from(bytes))));
  await once(stream, 'end');
  return [...chunks, ...framer.end()];
}

/** Rows into a table, header and trailer around them. */
export async function copyIn(client: Client, table: string, rows: Converted): Promise<void> {
  const binary = rows.format === 'pgcopy';
  const around = binary
    ? [COPY_HEADER, rows.bytes, COPY_TRAILER]
    : [rows.bytes, Buffer.from(rows.count > 0 ? '\n' : '')];
  const stream = client.query(copyFrom(`copy ${table} from stdin (format ${how(rows.format as CopyFormat)})`));
  await pipeline(Readable.from([Buffer.concat(around)]), stream);
}
