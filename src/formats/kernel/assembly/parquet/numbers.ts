// AssemblyScript. Numbers and UUIDs from their commonest spellings. What is spelled in another way, or does not fit, is
// refused here and left to the caller: it knows all spellings, and which error to give.
import { isRounded, nearest } from './exact';
import { byteAt } from './memory';

const TENS: usize = memory.data<f64>([
  1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
  1e21, 1e22,
]);
const WHOLE_TENS: usize = memory.data<u64>([
  1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000, 1000000000000,
  10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000,
]);
/** So many digits of a decimal number come back from a double, or a float, whatever they are. */
const DOUBLE_DIGITS: u32 = 15;
const FLOAT_DIGITS: u32 = 6;
/** More than so many never come back from a double, and as many fit into the integers that are counted with. */
const DIGITS_MAX: u32 = 17;
/** Powers of ten up to this one are doubles. */
const TENS_MAX: i32 = 22;

/** The whole number that was read last. */
export let whole: i64 = 0;

@inline
export function digitAt(p: usize): u32 {
  return byteAt(p) - 0x30;
}

/** Digits, and a sign of minus: up to 19 of them, so that no product is cut off. */
export function readWhole(p: usize, end: usize): bool {
  const negative = p < end && byteAt(p) == 0x2d;
  if (negative) p++;
  const length = end - p;
  if (length - 1 > 18) return false;
  let value: u64 = 0;
  while (p < end) {
    const digit = digitAt(p++);
    if (digit > 9) return false;
    value = value * 10 + digit;
  }
  if (value > <u64>i64.MAX_VALUE + (negative ? 1 : 0)) return false;
  whole = negative ? <i64>(0 - value) : <i64>value;
  return true;
}

let negative: bool = false;
/** The digits without the point; what it is means something only for up to 19 of them. */
let mantissa: u64 = 0;
/** Digits of it, from the first that is no zero. */
let significant: u32 = 0;
/** Digits behind the point. */
let fraction: u32 = 0;

/** Digits with or without a point among them; answers what is behind them, 0 where they are no number. */
@inline
function readNumeral(p: usize, end: usize): usize {
  negative = p < end && byteAt(p) == 0x2d;
  if (negative) p++;
  mantissa = 0;
  significant = 0;
  fraction = 0;
  const start = p;
  p = readDigits(p, end);
  if (p == start) return 0;
  if (p >= end || byteAt(p) != 0x2e) return p;
  const point = p + 1;
  p = readDigits(point, end);
  fraction = <u32>(p - point);
  return fraction > 0 ? p : 0;
}

@inline
function readDigits(p: usize, end: usize): usize {
  while (p < end) {
    const digit = digitAt(p);
    if (digit > 9) break;
    mantissa = mantissa * 10 + digit;
    if (significant > 0 || digit > 0) significant++;
    p++;
  }
  return p;
}

/** The double that was read last. */
export let double: f64 = 0;

/** The power of ten of the digits that were read last. */
let tens: i32 = 0;

/** Digits with or without an exponent behind them, which goes into `tens`. */
@inline
function readScaled(p: usize, end: usize): bool {
  const stop = readNumeral(p, end);
  if (stop == 0) return false;
  tens = 0;
  if (stop < end) {
    if ((byteAt(stop) | 0x20) != 0x65 || !readWhole(stop + (byteAt(stop + 1) == 0x2b ? 2 : 1), end)) return false;
    // `e+-5` is no number.
    if (byteAt(stop + 1) == 0x2b && byteAt(stop + 2) == 0x2d) return false;
    if (whole > 400 || whole < -400) return false;
    tens = <i32>whole;
  }
  tens -= <i32>fraction;
  return tens <= TENS_MAX && tens >= -TENS_MAX;
}

/** The nearest double. Where digits and power of ten are doubles themselves it takes one rounding to get there. */
@inline
function readNearest(p: usize, end: usize): bool {
  if (!readScaled(p, end) || significant > DIGITS_MAX) return false;
  if (significant > DOUBLE_DIGITS) {
    if (tens > 0) return false;
    double = nearest(mantissa, <u32>-tens);
    return true;
  }
  const value = <f64>mantissa;
  double = tens < 0 ? value / load<f64>(TENS + (<usize>-tens << 3)) : value * load<f64>(TENS + (<usize>tens << 3));
  return true;
}

export function readDouble(p: usize, end: usize): bool {
  if (!readNearest(p, end)) return false;
  if (significant > DOUBLE_DIGITS && !isRounded(double, mantissa, <u32>-tens)) return false;
  if (negative) double = -double;
  return true;
}

/** A float, as a double: rounded twice, as it is elsewhere. */
export function readFloat(p: usize, end: usize): bool {
  if (!readNearest(p, end)) return false;
  double = <f64>(<f32>double);
  if (significant > FLOAT_DIGITS && (tens > 0 || !isRounded(double, mantissa, <u32>-tens))) return false;
  if (negative) double = -double;
  return true;
}

/** A decimal in units of its last digit, of 18 digits at most. */
export function readDecimal(p: usize, end: usize, precision: u32, scale: u32): bool {
  const stop = readNumeral(p, end);
  if (stop != end || fraction > scale || significant > 18) return false;
  const zeros = scale - fraction;
  if (mantissa == 0) {
    whole = 0;
    return true;
  }
  if (significant + zeros > 18 || significant + zeros > precision) return false;
  const value = <i64>(mantissa * load<u64>(WHOLE_TENS + (<usize>zeros << 3)));
  whole = negative ? -value : value;
  return true;
}

/** Whether the text of a decimal is spelled just as Waybill spells it: no zero before it, no sign of a zero. */
export function isPlainDecimal(p: usize, end: usize): bool {
  if (end - p > 1000) return false;
  const stop = readNumeral(p, end);
  if (stop != end) return false;
  const first = negative ? p + 1 : p;
  if (byteAt(first) != 0x30) return true;
  return !negative && (end - first == 1 || byteAt(first + 1) == 0x2e);
}

/** Sixteen digits of hex as the lower four bits of each; `valid` is false where one is none. */
@inline
function nibbles(text: v128): v128 {
  const digit = i8x16.sub(text, i8x16.splat(0x30));
  const letter = i8x16.sub(v128.or(text, i8x16.splat(0x20)), i8x16.splat(0x61));
  const isDigit = i8x16.le_u(digit, i8x16.splat(9));
  const isLetter = i8x16.le_u(letter, i8x16.splat(5));
  valid = valid && i8x16.all_true(v128.or(isDigit, isLetter));
  const bits = v128.bitselect(digit, i8x16.add(letter, i8x16.splat(10)), isDigit);
  return v128.or(i16x8.shl(v128.and(bits, i16x8.splat(0xff)), 4), i16x8.shr_u(bits, 8));
}
let valid: bool = false;

/** A UUID of 36 characters, of letters of either case. */
export function readUuid(p: usize, end: usize, to: usize): bool {
  if (end - p != 36) return false;
  const dashes = byteAt(p + 8) == 0x2d && byteAt(p + 13) == 0x2d && byteAt(p + 18) == 0x2d && byteAt(p + 23) == 0x2d;
  if (!dashes) return false;
  const a = v128.load(p);
  const b = v128.load(p + 16);
  const c = v128.load(p + 20);
  valid = true;
  const first = nibbles(i8x16.shuffle(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17));
  const last = nibbles(i8x16.shuffle(b, c, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 28, 29, 30, 31));
  v128.store(to, i8x16.narrow_i16x8_u(first, last));
  return valid;
}
