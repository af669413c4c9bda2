import { Buffer } from 'node:buffer';
import type { Payload } from '../../model/batch.ts';
import type { InputKind, Table, TableColumn } from './table.ts';

const [RETURN, QUOTE, BACKSLASH, POINT] = [0x0d, 0x22, 0x5c, 0x2e];

/**
 * True when COPY makes the same rows of this CSV as of the JSON that its records would be otherwise: every column is
 * there and takes the text of a field as it stands, and nothing in the rows means to the server what it does not mean
 * to the framer. What is nothing at all is null to both, and `""` the empty text.
 */
export function isReadAlike({ format, columns, bytes, spans }: Payload, table: Table): boolean {
  if (format !== 'csv' || columns === undefined || columns.length === 0) return false;
  if (!columns.every((name) => takesText(table.columns.get(name)))) return false;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return !(columns.length === 1 && holdsEndMark(buffer, spans)) && !holdsBareReturn(buffer);
}

/**
 * A text is a value of its own to a column of json, and base64 to one of bytes; the server reads neither so. Of an
 * object in JSON that has `=>` in a name it may make another hstore; arrays and composites in JSON it refuses.
 */
function takesText(column: TableColumn | undefined): boolean {
  if (column === undefined || column.generated) return false;
  return column.array || !LOOKED_INTO.has(column.kind);
}
const LOOKED_INTO: ReadonlySet<InputKind> = new Set(['json', 'bytes', 'hstore']);

/** A row that is `\.` and nothing else ends the data for servers before 18; only quotes would make it a text. */
function holdsEndMark(bytes: Buffer, spans: Uint32Array): boolean {
  for (let at = 0; at < spans.length; at += 2) {
    const start = spans[at]!;
    if (spans[at + 1]! - start === 2 && bytes[start] === BACKSLASH && bytes[start + 1] === POINT) return true;
  }
  return false;
}

/** Outside of quotes it ends a row for the server, if it is not refused; to the framer it is a letter like others. */
function holdsBareReturn(bytes: Buffer): boolean {
  let quoted = false;
  let quote = bytes.indexOf(QUOTE);
  for (let at = bytes.indexOf(RETURN); at !== -1; at = bytes.indexOf(RETURN, at + 1)) {
    // A doubled quote turns it off and on again.
    for (; quote !== -1 && quote < at; quote = bytes.indexOf(QUOTE, quote + 1)) quoted = !quoted;
    if (!quoted) return true;
  }
  return false;
}
