import type { ColumnKind, ColumnType } from '../../model/columns.ts';
import { rawItems } from '../json-members.ts';
import { readDate, readMoment, readTime, showDate, showMoment, showTime } from './moments.ts';
import { decimalText, floatText, integerText } from './numbers.ts';
import { unfit } from './unfit.ts';

/**
 * Every value has one text: `plain`. It is what a field of CSV holds and what stands between the quotes in JSON, so
 * every other form is made from it and read into it. Arrays and JSON are the text of their JSON. Null is null.
 */
export const UTC = '+00:00';

const UUID = /^\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$/i;
/** Nothing that repeats a group: each round of one takes from the stack, and a value of some MiB would use it up. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const HEX = /^\\x[0-9a-f]*$/i;
const HALF_PAIR = /\p{Surrogate}/u;

/** From any spelling of a value to its plain text. Throws VALUE_UNFIT for one that the type does not have. */
export function readText(type: ColumnType, text: string): string {
  if (type.array === true) return readArray(type, text);
  switch (type.kind) {
    case 'int16':
    case 'int32':
    case 'int64':
      return integerText(type.kind, text);
    case 'float32':
    case 'float64':
      return floatText(type.kind, text);
    case 'decimal':
      return decimalText(text, type.precision, type.scale);
    case 'text':
      if (HALF_PAIR.test(text)) throw unfit('holds half a surrogate pair');
      return text;
    case 'json':
    case 'jsonb':
      return readJson(text);
    default:
      return readSpelled(type.kind, text);
  }
}

function readSpelled(kind: ColumnKind, text: string): string {
  switch (kind) {
    case 'boolean':
      return readBoolean(text);
    case 'bytes':
      return readBytes(text);
    case 'date': {
      const days = readDate(text);
      return typeof days === 'string' ? days : showDate(days);
    }
    case 'time':
      return showTime(readTime(text));
    case 'uuid':
      return readUuid(text);
    default: {
      const zoned = kind === 'timestamptz';
      const moment = readMoment(text, zoned);
      return typeof moment === 'string' ? moment : showMoment(moment, zoned ? UTC : '');
    }
  }
}

function readBoolean(text: string): string {
  switch (text.toLowerCase()) {
    case 'true':
    case 't':
    case '1':
      return 'true';
    case 'false':
    case 'f':
    case '0':
      return 'false';
    default:
      throw unfit('is neither true nor false');
  }
}

/** Base64, or `\x` and hex as PostgreSQL writes it. */
function readBytes(text: string): string {
  if (text.length % 2 === 0 && HEX.test(text)) return Buffer.from(text.slice(2), 'hex').toString('base64');
  if (text.length % 4 !== 0 || !BASE64.test(text)) throw unfit('is no base64');
  return text;
}

function readUuid(text: string): string {
  const match = UUID.exec(text);
  if (match === null) throw unfit('is no UUID');
  return match.slice(1).join('-').toLowerCase();
}

/** JSON as it was spelled, white space and all. */
function readJson(text: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    if (error instanceof SyntaxError) throw unfit('is no JSON');
    throw error;
  }
}

/** On one line: the line ends of JSON can only stand between its tokens, where a blank means the same. */
function oneLine(text: string): string {
  return /[\r\n]/.test(text) ? text.replaceAll(/[\r\n]/g, ' ') : text;
}

/** From the JSON of a value, as it is spelled in a record, to its plain text. Throws VALUE_UNFIT. */
export function readJsonValue(type: ColumnType, raw: string): string | null {
  if (raw === 'null') return null;
  if (type.array === true) return readArray(type, raw);
  if (type.kind === 'json' || type.kind === 'jsonb') return readJson(raw);
  const first = raw.charCodeAt(0);
  if (first === 0x22) return readText(type, raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1));
  if (first === 0x7b || first === 0x5b) throw unfit('is an object or an array');
  return readText(type, raw);
}

/** The JSON of a plain text. Numbers that JSON does not have, NaN and the infinities, are texts. */
export function jsonOf(type: ColumnType, plain: string): string {
  if (type.array === true) return plain;
  switch (type.kind) {
    case 'boolean':
    case 'int16':
    case 'int32':
    case 'int64':
      return plain;
    case 'json':
    case 'jsonb':
      return oneLine(plain);
    case 'float32':
    case 'float64':
    case 'decimal':
      return isSpecial(plain) ? `"${plain}"` : plain;
    case 'text':
      return NEEDS_ESCAPES.test(plain) ? JSON.stringify(plain) : `"${plain}"`;
    default:
      return `"${plain}"`;
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that JSON must escape.
const NEEDS_ESCAPES = /["\\\u0000-\u001f]/;

/** NaN or an infinity, of a float or a decimal. */
export function isSpecial(plain: string): boolean {
  const last = plain.charCodeAt(plain.length - 1);
  return last > 0x39;
}

/** `undefined` for a null item. */
export type Items = readonly (string | undefined | Items)[];

/** The items of an array, as plain texts. Throws VALUE_UNFIT where they do not form a rectangle. */
export function itemsOf(type: ColumnType, text: string): Items {
  const item = itemType(type);
  const line = readJson(text).trim();
  if (!line.startsWith('[')) throw unfit('is no array');
  return nested(item, line);
}

export function itemType({ array: _, ...type }: ColumnType): ColumnType {
  return type;
}

function nested(item: ColumnType, text: string): Items {
  const raws = rawItems(text);
  // An array of JSON has one dimension: what is inside its items is JSON.
  const deep = item.kind !== 'json' && item.kind !== 'jsonb' && raws.some((raw) => raw.startsWith('['));
  const items = raws.map((raw) => {
    if (deep) return raw.startsWith('[') ? nested(item, raw) : uneven();
    return readJsonValue(item, raw) ?? undefined;
  });
  if (deep) expectEven(items as readonly Items[]);
  return items;
}

function uneven(): never {
  throw unfit('is an array whose rows differ in length, or hold nothing');
}

function expectEven(rows: readonly Items[]): void {
  const shape = (items: Items): string => {
    const first = items[0];
    return `${items.length}${Array.isArray(first) ? `,${shape(first as Items)}` : ''}`;
  };
  const first = shape(rows[0]!);
  if (first.startsWith('0') || rows.some((row) => shape(row) !== first)) uneven();
}

/** The JSON of an array from its items. */
export function jsonOfItems(item: ColumnType, items: Items): string {
  const texts = items.map((one) => {
    if (one === undefined) return 'null';
    return typeof one === 'string' ? jsonOf(item, one) : jsonOfItems(item, one);
  });
  return `[${texts.join(',')}]`;
}

function readArray(type: ColumnType, text: string): string {
  return jsonOfItems(itemType(type), itemsOf(type, text));
}
