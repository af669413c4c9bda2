import { isLosslessNumber } from 'lossless-json';
import { encodeJson } from './encode.ts';

/**
 * One spelling for each value, so that CSV, JSON and a database give one key for one thing: 42 and "42" are the same
 * key on purpose, and so are 1, 1.0 and 1e0. Text is not normalised: two spellings of é are two keys.
 */

/** Whole numbers up to this many digits are written out; the largest double has 309. */
const WHOLE_DIGITS_MAX = 400;
const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,15}))?$/;

/** The text of a key's value; undefined for null and for what is not there. */
export function canonicalText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
      return Number.isSafeInteger(value) ? String(value + 0) : canonicalNumber(String(value));
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'undefined':
      return undefined;
    default:
      return value === null ? undefined : canonicalObject(value);
  }
}

/** The same for numbers alone, whatever holds their digits; undefined for everything that is none. */
export const numberText = (value: unknown): string | undefined =>
  Number.isFinite(value) || typeof value === 'bigint' || isLosslessNumber(value) ? canonicalText(value) : undefined;

function canonicalObject(value: unknown): string {
  if (isLosslessNumber(value)) return canonicalNumber(value.value);
  const text = encodeJson(value);
  // Dates and bytes are encoded as strings; the key is their text, not its JSON form.
  return text.startsWith('"') ? (JSON.parse(text) as string) : text;
}

/** A decimal number by value: digits as they are when whole, else as JavaScript would print a number of any length. */
export function canonicalNumber(text: string): string {
  const match = NUMBER.exec(text);
  if (match === null) return text;
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = match;
  const written = (whole + fraction).replace(/^0+/, '');
  const digits = written.replace(/0+$/, '');
  if (digits === '') return '0';
  // The decimal point stands behind this many digits.
  const point = written.length - fraction.length + Number(exponentText);
  return (sign === '-' ? '-' : '') + layOut(digits, point);
}

function layOut(digits: string, point: number): string {
  if (point >= digits.length && point <= WHOLE_DIGITS_MAX) return digits + '0'.repeat(point - digits.length);
  if (point > 0 && point < digits.length) return `${digits.slice(0, point)}.${digits.slice(point)}`;
  if (point > -6 && point <= 0) return `0.${'0'.repeat(-point)}${digits}`;
  const mantissa = digits.length === 1 ? digits : `${digits[0]}.${digits.slice(1)}`;
  const exponent = point - 1;
  return `${mantissa}e${exponent < 0 ? '' : '+'}${exponent}`;
}

const SURROGATE = /\p{Surrogate}/u;

/** UTF-8; half of a surrogate pair, which UTF-8 cannot hold, gets its own three bytes instead of all the same mark. */
export function encodeText(text: string): Uint8Array {
  if (!SURROGATE.test(text)) return Buffer.from(text);
  const parts: Uint8Array[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    const lone = character.length === 1 && code >= 0xd800 && code <= 0xdfff;
    parts.push(
      lone
        ? Uint8Array.of(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f))
        : Buffer.from(character),
    );
  }
  return Buffer.concat(parts);
}
