// AssemblyScript. Numbers of more digits than a double surely keeps: the nearest double of a whole number over a power
// of ten, and whether its own digits are these. Exact, in integers of 128 bits: powers of five up to 5^22 have 52.

const FIVES: usize = memory.data<u64>([
  1, 5, 25, 125, 625, 3125, 15625, 78125, 390625, 1953125, 9765625, 48828125, 244140625, 1220703125, 6103515625,
  30517578125, 152587890625, 762939453125, 3814697265625, 19073486328125, 95367431640625, 476837158203125,
  2384185791015625,
]);
export const FIVES_MAX: u32 = 22;

const FRACTION_BITS: u32 = 52;
/** What is added to the power of two of a whole mantissa of 53 bits. */
const BIAS: i32 = 1075;

@inline
function powerOfFive(power: u32): u64 {
  return load<u64>(FIVES + (<usize>power << 3));
}

let high: u64 = 0;
let rest: u64 = 0;

/** Answers the lower half of a product and leaves the upper one in `high`. */
@inline
function multiply(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffffffff;
  const bHigh = b >> 32;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >> 32);
  const other = aLow * bHigh + (middle & 0xffffffff);
  high = aHigh * bHigh + (middle >> 32) + (other >> 32);
  return (other << 32) | (low & 0xffffffff);
}

/** One of two digits of 32 bits of a quotient: `upper` and the next digit of the dividend by `divisor`. */
@inline
function quotientDigit(upper: u64, next: u64, divisor: u64): u64 {
  const first = divisor >> 32;
  const second = divisor & 0xffffffff;
  let digit = upper / first;
  let remainder = upper % first;
  while (digit >> 32 != 0 || digit * second > ((remainder << 32) | next)) {
    digit--;
    remainder += first;
    if (remainder >> 32 != 0) break;
  }
  rest = ((upper << 32) | next) - digit * divisor;
  return digit;
}

/** `upper` and `lower` by a divisor whose first bit is set and that is more than `upper`; leaves `rest`. */
@inline
function divide(upper: u64, lower: u64, divisor: u64): u64 {
  const first = quotientDigit(upper, lower >> 32, divisor);
  return (first << 32) | quotientDigit(rest, lower & 0xffffffff, divisor);
}

/** The double nearest to `whole / 10 ** tens`; `whole` is not 0, `tens` at most FIVES_MAX. */
export function nearest(whole: u64, tens: u32): f64 {
  const five = powerOfFive(tens);
  const wholeShift = clz<u64>(whole);
  const fiveShift = clz<u64>(five);
  const dividend = whole << wholeShift;
  const quotient = divide(dividend >> 1, dividend << 63, five << fiveShift);
  let drop: i32 = 11 - <i32>clz<u64>(quotient);
  let mantissa = quotient >> drop;
  const dropped = quotient & ((<u64>1 << drop) - 1);
  const half = <u64>1 << (drop - 1);
  if (dropped > half || (dropped == half && (rest != 0 || (mantissa & 1) != 0))) mantissa++;
  // All ones have become a power of two.
  if (mantissa >> (FRACTION_BITS + 1) != 0) {
    mantissa >>= 1;
    drop++;
  }
  const power = <i32>fiveShift - <i32>wholeShift - 63 - <i32>tens + drop;
  const bits = (mantissa & ((<u64>1 << FRACTION_BITS) - 1)) | (<u64>(power + BIAS) << FRACTION_BITS);
  return reinterpret<f64>(bits);
}

/**
 * Whether `whole / 10 ** tens` is the value rounded to so many digits: less than half a unit of its last digit apart.
 * False, too, for what it cannot tell.
 */
export function isRounded(value: f64, whole: u64, tens: u32): bool {
  const bits = reinterpret<u64>(value);
  const exponent = <i32>((bits >> FRACTION_BITS) & 0x7ff);
  if (exponent == 0 || exponent == 0x7ff) return false;
  const mantissa = (bits & ((<u64>1 << FRACTION_BITS) - 1)) | (<u64>1 << FRACTION_BITS);
  // The value times 10 ** tens is this product by 2 ** shift.
  const low = multiply(mantissa, powerOfFive(tens));
  const shift = BIAS - exponent - <i32>tens;
  if (shift < 1 || shift > 126) return false;
  const upper = shift < 64 ? (whole >> 1) >> (63 - shift) : whole << (shift - 64);
  const lower = shift < 64 ? whole << shift : 0;
  // Beyond 128 bits they are not near.
  if (shift > <i32>clz<u64>(whole) + 63) return false;
  const less = high < upper || (high == upper && low < lower);
  const apart = less ? lower - low : low - lower;
  const borrow: u64 = less ? (lower < low ? 1 : 0) : low < lower ? 1 : 0;
  const apartHigh = (less ? upper - high : high - upper) - borrow;
  const half = shift - 1;
  return half < 64 ? apartHigh == 0 && apart >> half == 0 : apartHigh >> (half - 64) == 0;
}
