import { Buffer } from 'node:buffer';
import { exactNumber, parseObject } from '../../formats/rows.ts';
import { RefusedError, WaybillError } from '../../model/errors.ts';
import type { InputKind, TableColumn } from './table.ts';

/**
 * A JSON value, as it is spelled, as the text that PostgreSQL reads for a column of this type; undefined is null.
 * No number passes a double. Throws RefusedError, without the value, for what the type cannot hold.
 *
 * - json: the value itself. A JSON null is the null of the column.
 * - bytea: text of base64, or `\x` and hex digits.
 * - arrays: a JSON array, nested ones for more dimensions; or a text that the server reads by itself.
 * - text: numbers, booleans and nested values as JSON spells them.
 * - anything else: the text or the digits that stand in the record, which the server reads.
 */
export function inputText(column: TableColumn, raw: string): string | undefined {
  if (raw === 'null') return undefined;
  if (column.array && raw.startsWith('[')) return arrayText(column, raw);
  return scalarText(column.array ? 'other' : column.kind, raw, column.name);
}

const WORD = /^(?:true|false|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;

function scalarText(kind: InputKind, raw: string, column: string): string {
  if (kind === 'json') return raw;
  if (raw.startsWith('"')) {
    const text = parsedText(raw, column);
    return kind === 'bytes' ? bytesText(text, column) : text;
  }
  if (kind === 'bytes') throw unfit(column, 'takes bytes as a text of base64 or of `\\x` and hex digits');
  const nested = /^[[{]/.test(raw);
  if (nested && kind !== 'text') throw unfit(column, 'takes no nested value');
  if (!nested && !WORD.test(raw)) throw new WaybillError('JSON_INVALID', 'a record is not well-formed JSON');
  return kind === 'integer' ? wholeText(raw) : raw;
}

function parsedText(raw: string, column: string): string {
  const text = (parseObject(`{"text":${raw}}`) as { text: string }).text;
  // Half of a pair would be written as another letter, without a word.
  if (/\p{Surrogate}/u.test(text)) throw unfit(column, 'is not Unicode text', 'TEXT_INVALID');
  if (text.includes('\0')) throw unfit(column, 'holds a NUL, which PostgreSQL does not store', 'TEXT_INVALID');
  return text;
}

function bytesText(text: string, column: string): string {
  if (text.startsWith('\\x')) return text;
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw unfit(column, 'takes bytes as a text of base64 or of `\\x` and hex digits');
  }
  return `\\x${Buffer.from(text, 'base64').toString('hex')}`;
}

/** `1.0` and `1e3` are whole numbers; the server would refuse these spellings of them. */
function wholeText(raw: string): string {
  if (!/\d[.eE]/.test(raw)) return raw;
  const value = exactNumber(raw);
  return typeof value === 'bigint' || Number.isInteger(value) ? String(value) : raw;
}

function arrayText(column: TableColumn, raw: string): string {
  const parts = rawItems(raw).map((item) => {
    if (item === 'null') return 'NULL';
    // Of an array of json, an item that is an array is a value; of others, it is a further dimension.
    if (item.startsWith('[') && column.kind !== 'json') return arrayText(column, item);
    return quotedItem(scalarText(column.kind, item, column.name));
  });
  return `{${parts.join(',')}}`;
}

/** The items of a JSON array as they are spelled. */
function rawItems(raw: string): string[] {
  const items: string[] = [];
  let depth = 0;
  let start = 1;
  for (let at = 0; at < raw.length; at++) {
    const letter = raw[at]!;
    if (letter === '"') at = closingQuote(raw, at);
    else if (letter === '[' || letter === '{') depth++;
    else if (letter === ']' || letter === '}') depth--;
    const ends = depth === 0 || (depth === 1 && letter === ',');
    if (!ends) continue;
    items.push(raw.slice(start, at).trim());
    start = at + 1;
    if (depth === 0) break;
  }
  return items.length === 1 && items[0] === '' ? [] : items;
}

/** Where the string that begins at `at` ends. No pattern: one that repeats a group uses up the stack. */
function closingQuote(raw: string, at: number): number {
  let end = at + 1;
  while (end < raw.length && raw[end] !== '"') end += raw[end] === '\\' ? 2 : 1;
  return end;
}

const quotedItem = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;

export const unfit = (column: string, message: string, reason = 'value-unfit'): RefusedError =>
  new RefusedError(`the column ${JSON.stringify(column)} ${message}`, { reason });
