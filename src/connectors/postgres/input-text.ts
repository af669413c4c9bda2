import { Buffer } from 'node:buffer';
import { rawItems, rawMembers } from '../../formats/json-members.ts';
import { exactNumber, parseObject } from '../../formats/rows.ts';
import { RefusedError, WaybillError } from '../../model/errors.ts';
import type { TableColumn } from './table.ts';

/**
 * A JSON value, as it is spelled, as the text that PostgreSQL reads for a column of this type; undefined is null.
 * No number passes a double. Throws RefusedError, without the value, for what the type cannot hold.
 *
 * - json: the value itself. A JSON null is the null of the column.
 * - bytea: text of base64, or `\x` and hex digits.
 * - arrays: a JSON array, nested ones for more dimensions, also as a text; or a text that the server reads by itself.
 * - hstore and composite types: an object, in the same two ways; or a text that the server reads by itself.
 * - text: numbers, booleans and nested values as JSON spells them.
 * - anything else: the text or the digits that stand in the record, which the server reads.
 */
export function inputText(column: TableColumn, raw: string): string | undefined {
  if (raw === 'null') return undefined;
  const value = nestedIn(column, raw) ?? raw;
  if (!column.array) return scalarText(column, value);
  return value.startsWith('[') ? arrayText(column, value) : scalarText({ ...column, kind: 'other' }, value);
}

const WORD = /^(?:true|false|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;

function scalarText(column: TableColumn, raw: string): string {
  const { kind, name } = column;
  if (kind === 'json') return raw;
  if (raw.startsWith('"')) {
    const text = parsedText(raw, name);
    return kind === 'bytes' ? bytesText(text, name) : text;
  }
  if (kind === 'bytes') throw unfit(name, 'takes bytes as a text of base64 or of `\\x` and hex digits');
  if (raw.startsWith('{') && kind === 'hstore') return hstoreText(name, raw);
  if (raw.startsWith('{') && kind === 'composite') return rowText(column, raw);
  const nested = /^[[{]/.test(raw);
  if (nested && kind !== 'text') throw unfit(name, 'takes no nested value');
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

/** What a text spells in JSON, where the column takes an array or an object: CSV has no other way to hold one. */
function nestedIn({ name, kind, array }: TableColumn, raw: string): string | undefined {
  const begin = array ? '[' : kind === 'hstore' || kind === 'composite' ? '{' : undefined;
  if (begin === undefined || !raw.startsWith('"')) return undefined;
  const text = parsedText(raw, name).trim();
  return text.startsWith(begin) && isJson(text) ? text : undefined;
}

/** What begins like JSON may also be an array of PostgreSQL that tells its bounds. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function arrayText(column: TableColumn, raw: string): string {
  const parts = rawItems(raw).map((item) => {
    if (item === 'null') return 'NULL';
    // Of an array of json, an item that is an array is a value; of others, it is a further dimension.
    if (item.startsWith('[') && column.kind !== 'json') return arrayText(column, item);
    return quotedItem(scalarText(column, item));
  });
  return `{${parts.join(column.delimiter ?? ',')}}`;
}

function hstoreText(column: string, raw: string): string {
  const pairs = [...rawMembers(raw)].map(([name, value]) => {
    const text = value.startsWith('"') ? parsedText(value, column) : value;
    return `${quotedItem(name)}=>${value === 'null' ? 'NULL' : quotedItem(text)}`;
  });
  return pairs.join(',');
}

/** A row of a composite type; a field that the object lacks is null. */
function rowText({ name, fields = [] }: TableColumn, raw: string): string {
  const members = rawMembers(raw);
  const unknown = [...members.keys()].find((member) => fields.every((field) => field.name !== member));
  if (unknown !== undefined) throw unfit(name, `has no field ${JSON.stringify(unknown)}`);
  const texts = fields.map((field) => inputText(field, members.get(field.name) ?? 'null'));
  return `(${texts.map((text) => (text === undefined ? '' : quotedItem(text))).join(',')})`;
}

const quotedItem = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;

export const unfit = (column: string, message: string, reason = 'value-unfit'): RefusedError =>
  new RefusedError(`the column ${JSON.stringify(column)} ${message}`, { reason });
