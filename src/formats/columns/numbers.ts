import { canonicalNumber } from '../canonical.ts';
import { unfit } from './unfit.ts';

const LIMITS = {
  int16: [-(2n ** 15n), 2n ** 15n - 1n],
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
} as const;
export type IntegerKind = keyof typeof LIMITS;

const PLAIN_INTEGER = /^(?:0|-?[1-9]\d{0,14})$/;
const SMALL_LIMITS: Readonly<Record<IntegerKind, readonly [number, number]>> = {
  int16: [-(2 ** 15), 2 ** 15 - 1],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

/** Digits, a point, an exponent: what the canonical form can be asked of. */
const NUMERAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,15})?$/;

/** The digits of a whole number of this kind; `42.0` and `4.2e1` are whole, too. Throws VALUE_UNFIT. */
export function integerText(kind: IntegerKind, text: string): string {
  // Most are short and spelled as they are spelled here: no BigInt for them.
  if (PLAIN_INTEGER.test(text)) {
    const value = Number(text);
    const [min, max] = SMALL_LIMITS[kind];
    if (value >= min && value <= max) return text;
  }
  const digits = NUMERAL.test(text) ? canonicalNumber(text) : '';
  if (!/^-?\d+$/.test(digits)) throw unfit('is no whole number');
  if (digits.length > 20) throw unfit(`is out of the range of ${kind}`);
  const value = BigInt(digits);
  const [min, max] = LIMITS[kind];
  if (value < min || value > max) throw unfit(`is out of the range of ${kind}`);
  return digits;
}

const SPECIAL: Readonly<Record<string, string>> = { nan: 'NaN', infinity: 'Infinity', '-infinity': '-Infinity' };

function special(text: string): string | undefined {
  const word = text.toLowerCase();
  return Object.hasOwn(SPECIAL, word) ? SPECIAL[word] : undefined;
}

export function float64Text(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

/** The shortest text that is this number among the 32-bit ones. */
export function float32Text(value: number): string {
  if (!Number.isFinite(value) || value === 0) return float64Text(value);
  // Six digits always survive; below this value numbers have fewer, down to one.
  for (let digits = Math.abs(value) < 1.2e-38 ? 1 : 6; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}

/** A floating point number as it is spelled here. Throws VALUE_UNFIT where digits would be lost. */
export function floatText(kind: 'float32' | 'float64', text: string): string {
  if (kind === 'float64' && float64Text(Number(text)) === text) return text;
  const word = special(text);
  if (word !== undefined) return word;
  if (!NUMERAL.test(text)) throw unfit('is no number');
  const digits = canonicalNumber(text);
  const value = kind === 'float64' ? Number(text) : Math.fround(Number(text));
  if (!Number.isFinite(value)) throw unfit(`is out of the range of ${kind}`);
  if (!isRounded(value, digits)) throw unfit(`has more digits than ${kind} holds`);
  return kind === 'float64' ? float64Text(value) : float32Text(value);
}

/** Whether these are the digits of the number itself, to as many places as there are. */
function isRounded(value: number, digits: string): boolean {
  if (value === 0) return digits === '0';
  const mantissa = digits
    .replace(/e.*/, '')
    .replace(/^-?[0.]*/, '')
    .replace('.', '')
    .replace(/0+$/, '');
  if (mantissa.length > 99) return false;
  return canonicalNumber(value.toPrecision(mantissa.length)) === digits || isLowerHalf(value, digits, mantissa.length);
}

/** Right between two texts of this length JavaScript takes the larger one; others take the even one. */
function isLowerHalf(value: number, digits: string, length: number): boolean {
  const half = value.toPrecision(length + 1);
  const exact = /5(?:e|$)/.test(half) && canonicalNumber(half) === canonicalNumber(value.toPrecision(100));
  return exact && canonicalNumber(half.replace(/5(?=e|$)/, '0')) === digits;
}

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,6}))?$/;
/** What PostgreSQL can hold of a numeric: digits before and behind the point. */
const WHOLE_MAX = 131_072;
const FRACTION_MAX = 16_383;

/**
 * The digits of a decimal, without an exponent: as many behind the point as `scale` says, or as were written where the
 * type has none. Throws VALUE_UNFIT where a digit would be lost.
 */
export function decimalText(text: string, precision?: number, scale = 0): string {
  if (isPlainDecimal(text, precision, scale)) return text;
  const word = special(text);
  if (word === 'NaN' || (word !== undefined && precision === undefined)) return word;
  const match = DECIMAL.exec(text);
  if (match === null || (match[2] === '' && (match[3] ?? '') === '')) throw unfit('is no decimal number');
  const [whole, written] = shifted(match[2]!, match[3] ?? '', Number(match[4] ?? 0));
  const fraction = precision === undefined ? written : fittedFraction(whole, written, precision, scale);
  if (whole.length > WHOLE_MAX || fraction.length > FRACTION_MAX)
    throw unfit('has more digits than a decimal can have');
  const digits = fraction === '' ? whole : `${whole}.${fraction}`;
  return match[1] === '-' && /[1-9]/.test(digits) ? `-${digits}` : digits;
}

const PLAIN_DECIMAL = /^-?(?:0|[1-9]\d*)(?:\.(\d+))?$/;

/** Whether a decimal is spelled just as it is spelled here, and surely fits. */
function isPlainDecimal(text: string, precision: number | undefined, scale: number): boolean {
  // A zero may have a sign, which is not kept.
  if (text.length > 1000 || text.startsWith('-0')) return false;
  const match = PLAIN_DECIMAL.exec(text);
  if (match === null || precision === undefined) return match !== null;
  return (match[1]?.length ?? 0) === scale && text.length <= precision;
}

/** The digits before and behind the point once the exponent is carried out. */
function shifted(whole: string, fraction: string, exponent: number): readonly [string, string] {
  const all = whole + fraction;
  const point = whole.length + exponent;
  if (Math.abs(exponent) > WHOLE_MAX && /[1-9]/.test(all)) throw unfit('has more digits than a decimal can have');
  const before = point <= 0 ? '' : all.slice(0, point).padEnd(Math.min(point, WHOLE_MAX + 1), '0');
  const behind = point >= 0 ? all.slice(point) : '0'.repeat(Math.min(-point, FRACTION_MAX + 1)) + all;
  return [before.replace(/^0+/, '') || '0', behind];
}

function fittedFraction(whole: string, written: string, precision: number, scale: number): string {
  const kept = written.replace(/0+$/, '');
  if (kept.length > Math.max(scale, 0)) throw unfit(`has more than ${scale} digits behind the point`);
  const zeros = Math.max(-scale, 0);
  if (zeros > 0 && whole !== '0' && !whole.endsWith('0'.repeat(zeros))) throw unfit(`is not a multiple of 1e${zeros}`);
  const fraction = kept.padEnd(Math.max(scale, 0), '0');
  const digits = (whole + fraction).replace(/^0+/, '').length - zeros;
  if (digits > precision) throw unfit(`has more than ${precision} digits`);
  return fraction;
}

/** The whole number that a decimal of this scale is, in units of its last digit. */
export function unscaled(text: string, scale: number): bigint {
  const [whole = '', fraction = ''] = text.split('.');
  const digits = BigInt(whole + fraction.padEnd(Math.max(scale, 0), '0'));
  return scale < 0 ? digits / 10n ** BigInt(-scale) : digits;
}

export function scaledText(value: bigint, scale: number): string {
  if (scale <= 0) return value === 0n ? '0' : String(value) + '0'.repeat(-scale);
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0');
  return `${value < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
