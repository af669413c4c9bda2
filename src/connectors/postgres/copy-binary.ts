import { convert } from '../../formats/convert.ts';
import { COPY_HEADER, COPY_TRAILER } from '../../formats/pgcopy/binary-framer.ts';
import { columnTypeOfOid } from '../../formats/pgcopy/oids.ts';
import type { Payload } from '../../model/batch.ts';
import type { Column } from '../../model/columns.ts';
import { RefusedError } from '../../model/errors.ts';
import { inMessages, UnframedBytes } from './copy-in.ts';
import type { Table } from './table.ts';

/** Text, character(n), character varying: the same bytes, and each server function checks them as its input does. */
const TEXTS: ReadonlySet<number> = new Set([25, 1042, 1043]);

/**
 * True when the rows of the payload can go into the table byte for byte: every column is there, may be written, and is
 * of the very type of its values. In binary COPY nothing else would tell an integer from a number of microseconds.
 */
export function fitsAsItIs({ format, types }: Payload, table: Table): boolean {
  return format === 'pgcopy' && types !== undefined && types.every((column) => isSame(column, table));
}

function isSame({ name, type }: Column, table: Table): boolean {
  const there = table.columns.get(name);
  if (there === undefined || there.generated) return false;
  const own = columnTypeOfOid(there.oid);
  if (own === undefined || own.kind !== type.kind || own.array !== type.array) return false;
  return own.kind !== 'text' || own.array === true || TEXTS.has(there.oid);
}

/** The rows with what stands around them in a file of binary COPY. */
export function* copyMessages({ bytes }: Payload): Generator<UnframedBytes> {
  yield new UnframedBytes(COPY_HEADER);
  yield* inMessages(bytes);
  yield new UnframedBytes(COPY_TRAILER);
}

/** The records as the rest of the sink reads them: JSON, whose values are spelled as the server does it itself. */
export function asLines(payload: Payload): Payload {
  const { format, columns, types, bytes, spans, keys } = payload;
  if (format === undefined || format === 'ndjson') return payload;
  const chunk = { format, bytes, spans, count: spans.length / 2, firstRow: 1 };
  const shape = { ...(columns === undefined ? {} : { columns }), ...(types === undefined ? {} : { types }) };
  const { failed, ...lines } = convert({ ...chunk, ...shape }, 'ndjson');
  if (failed[0] !== undefined) throw unreadable(failed[0].row, failed[0].message);
  return { bytes: lines.bytes, spans: lines.spans, keys };
}

const unreadable = (place: number, message: string): RefusedError =>
  new RefusedError(`record ${place + 1} of the batch: ${message}`, { reason: 'VALUE_UNFIT' });
