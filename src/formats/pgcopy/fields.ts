import { assert } from '../../model/assert.ts';
import type { Chunk } from '../../model/chunk.ts';
import type { Column, Columns } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';
import { inColumn, unfit } from '../columns/unfit.ts';
import { jsonOf } from '../columns/values.ts';
import { binaryText } from './binary-values.ts';
import { plainOfPg } from './text-values.ts';

/** The formats of COPY: rows whose fields have a place and a type, and no name of their own. */
export function isCopy(format: string): format is 'pgcopy' | 'pgcopy-text' {
  return format === 'pgcopy' || format === 'pgcopy-text';
}

/** Names and types of a chunk of COPY. */
export function copyColumns(chunk: Chunk): Columns {
  assert(chunk.types !== undefined, 'formats.copy-has-types', { format: chunk.format });
  return chunk.types;
}

/**
 * Plain texts of the fields of one record; null is null. With `only`, the others are null, too, and not looked at.
 * Throws VALUE_UNFIT with the column.
 */
export function copyFields(chunk: Chunk, index: number, only?: readonly number[]): (string | null)[] {
  const columns = copyColumns(chunk);
  const start = chunk.spans[index * 2]!;
  const end = chunk.spans[index * 2 + 1]!;
  const bytes = Buffer.from(chunk.bytes.buffer, chunk.bytes.byteOffset, chunk.bytes.byteLength);
  if (chunk.format === 'pgcopy') return binaryFields(bytes, start, columns, only);
  return textFields(bytes.toString('utf8', start, end).split('\t'), columns, only);
}

function binaryFields(bytes: Buffer, start: number, columns: Columns, only?: readonly number[]): (string | null)[] {
  const fields: (string | null)[] = [];
  let at = start + 2;
  for (const [nth, column] of columns.entries()) {
    const size = bytes.readInt32BE(at);
    at += 4;
    const wanted = size >= 0 && only?.includes(nth) !== false;
    fields.push(wanted ? binaryField(column, bytes, at, at + size) : null);
    at += Math.max(size, 0);
  }
  return fields;
}

function binaryField(column: Column, bytes: Buffer, at: number, end: number): string {
  try {
    return binaryText(column.type, bytes, at, end);
  } catch (error) {
    if (error instanceof RangeError) throw inColumn(unfit('is cut off'), column);
    throw inColumn(error, column);
  }
}

function textFields(raw: readonly string[], columns: Columns, only?: readonly number[]): (string | null)[] {
  return columns.map((column, nth) => {
    const field = raw[nth] ?? '\\N';
    if (field === '\\N' || only?.includes(nth) === false) return null;
    try {
      return plainOfPg(column.type, field.includes('\\') ? unescaped(field) : field);
    } catch (error) {
      throw inColumn(error, column);
    }
  });
}

const LETTERS: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** A field of text COPY without its backslashes. */
function unescaped(field: string): string {
  return field.replaceAll(/\\([\s\S])/g, (_whole, letter: string) => LETTERS[letter] ?? letter);
}

/** One record as the text of a JSON object; `only` these places, where given. */
export function copyJson(chunk: Chunk, index: number, heads: readonly string[], only?: readonly number[]): string {
  const columns = copyColumns(chunk);
  const fields = copyFields(chunk, index, only);
  let line = '';
  for (const at of only ?? fields.keys()) {
    const field = fields[at] ?? null;
    line += `${line === '' ? '{' : ','}${heads[at]!}${field === null ? 'null' : jsonOf(columns[at]!.type, field)}`;
  }
  return line === '' ? '{}' : `${line}}`;
}

/** The names of the members as JSON spells them, colon included: spelled once for many records. */
export function jsonHeads(columns: Columns): readonly string[] {
  return columns.map(({ name }) => `${JSON.stringify(name)}:`);
}

/** Places of the named columns. Throws SOURCE_INVALID for a name that there is none of. */
export function copyPlaces(columns: Columns, names: readonly string[]): number[] {
  return names.map((name) => {
    const place = columns.findIndex((column) => column.name === name);
    if (place >= 0) return place;
    throw new WaybillError('SOURCE_INVALID', `the column ${JSON.stringify(name)} is not among those of the COPY`, {
      hint: `Its columns are: ${columns.map((column) => column.name).join(', ')}.`,
    });
  });
}
