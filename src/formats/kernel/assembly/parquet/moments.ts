// AssemblyScript. Days and times of day from their commonest spellings: years of four digits, of this era.
import { byteAt } from './memory';
import { digitAt } from './numbers';

const DAY_MICROS: i64 = 86_400_000_000;

/** What was read last: days since 1970, microseconds since midnight, or since 1970. */
export let days: i32 = 0;
export let micros: i64 = 0;

/** Two digits; more than 99 where they are none. */
@inline
function twoAt(p: usize): u32 {
  const tens = digitAt(p);
  const ones = digitAt(p + 1);
  return tens > 9 || ones > 9 ? 100 : tens * 10 + ones;
}

function daysOfMonth(year: u32, month: u32): u32 {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/** `2026-11-19` at `p`, which ten bytes are there for. */
function dateAt(p: usize): bool {
  const century = twoAt(p);
  const rest = twoAt(p + 2);
  const month = twoAt(p + 5);
  const day = twoAt(p + 8);
  if (century > 99 || rest > 99 || byteAt(p + 4) != 0x2d || byteAt(p + 7) != 0x2d) return false;
  const year = century * 100 + rest;
  if (year == 0 || month - 1 > 11 || day == 0 || day > daysOfMonth(year, month)) return false;
  // Counted from a March, so that leap days come last.
  const shifted = month <= 2 ? year - 1 : year;
  const era = shifted / 400;
  const ofEra = shifted - era * 400;
  const ofYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  days = <i32>(era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear) - 719_468;
  return true;
}

/** `08:30:00.000001` from `p` on, up to six digits behind the point; answers what is behind it, 0 where it is none. */
function timeAt(p: usize, end: usize): usize {
  if (end - p < 8 || byteAt(p + 2) != 0x3a || byteAt(p + 5) != 0x3a) return 0;
  const hours = twoAt(p);
  const minutes = twoAt(p + 3);
  const seconds = twoAt(p + 6);
  if (hours > 23 || minutes > 59 || seconds > 59) return 0;
  micros = <i64>((hours * 60 + minutes) * 60 + seconds) * 1_000_000;
  p += 8;
  if (p >= end || byteAt(p) != 0x2e) return p;
  p++;
  let unit: u32 = 100_000;
  const start = p;
  while (p < end && digitAt(p) <= 9) {
    micros += digitAt(p++) * unit;
    if (unit == 0) return 0;
    unit /= 10;
  }
  return p > start ? p : 0;
}

export function readDate(p: usize, end: usize): bool {
  return end - p == 10 && dateAt(p);
}

export function readTime(p: usize, end: usize): bool {
  return timeAt(p, end) == end;
}

/** Microseconds since 1970. With `zoned` it must say its zone, else it must not. */
export function readMoment(p: usize, end: usize, zoned: bool): bool {
  if (end - p < 19 || (byteAt(p + 10) != 0x54 && byteAt(p + 10) != 0x20) || !dateAt(p)) return false;
  const zone = timeAt(p + 11, end);
  if (zone == 0 || (zone == end) == zoned) return false;
  micros += <i64>days * DAY_MICROS;
  return !zoned || shiftZone(zone, end);
}

/** `Z`, `+02`, `+0230` or `+02:30`. */
function shiftZone(p: usize, end: usize): bool {
  const sign = byteAt(p++);
  if (sign == 0x5a) return p == end;
  if ((sign != 0x2b && sign != 0x2d) || end - p < 2) return false;
  const hours = twoAt(p);
  let minutes: u32 = 0;
  p += 2;
  if (p < end) {
    if (byteAt(p) == 0x3a) p++;
    if (end - p != 2) return false;
    minutes = twoAt(p);
  }
  if (hours > 15 || minutes > 59) return false;
  const offset = <i64>(hours * 60 + minutes) * 60_000_000;
  micros += sign == 0x2b ? -offset : offset;
  return true;
}
