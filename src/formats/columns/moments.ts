import { unfit } from './unfit.ts';

/**
 * Days and microseconds, and their spelling: ISO 8601, as PostgreSQL writes them into JSON. Years before 1 end with
 * ` BC`; `infinity` and `-infinity` are later and earlier than everything. The calendar is the proleptic Gregorian one.
 */
export interface Moment {
  /** Days since 1970-01-01. */
  readonly days: number;
  /** Microseconds since midnight. */
  readonly micros: number;
}
export type Endless = 'infinity' | '-infinity';

export const DAY_MICROS = 86_400_000_000;
/** 4714-11-24 BC and 5874897-12-31: the first and last day of PostgreSQL. */
const DAYS_MIN = -2_440_588;
const DAYS_MAX = 2_145_042_905;
/** The last day of a timestamp, 294276-12-31. */
const MOMENT_DAYS_MAX = 106_762_939;

export function isEndless(text: string): text is Endless {
  return text === 'infinity' || text === '-infinity';
}

const two = (n: number): string => (n < 10 ? `0${n}` : String(n));

/** Year (astronomical: 0 is 1 BC), month and day of a day number. */
function civil(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  // Counted from 0000-03-01 in eras of 400 years, so that leap days come last.
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const ofEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365,
  );
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * ofYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: ofYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  };
}

function dayNumber(year: number, month: number, day: number): number {
  const shiftedYear = month <= 2 ? year - 1 : year;
  const era = Math.floor(shiftedYear / 400);
  const ofEra = shiftedYear - era * 400;
  const ofYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468;
}

function daysOfMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** The date, and what comes behind everything else: ` BC` or nothing. */
function spelled(days: number): readonly [date: string, era: string] {
  const { year, month, day } = civil(days);
  const shown = year > 0 ? year : 1 - year;
  return [`${String(shown).padStart(4, '0')}-${two(month)}-${two(day)}`, year > 0 ? '' : ' BC'];
}

export function showDate(days: number): string {
  const [date, era] = spelled(days);
  return date + era;
}

export function showTime(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  const rest = micros - seconds * 1_000_000;
  const fraction = rest === 0 ? '' : `.${String(rest).padStart(6, '0').replace(/0+$/, '')}`;
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${fraction}`;
}

/** `zone`: nothing, or `+00:00`. `separator`: `T`, or the blank of PostgreSQL's own text. */
export function showMoment({ days, micros }: Moment, zone: string, separator = 'T'): string {
  const [date, era] = spelled(days);
  return `${date}${separator}${showTime(micros)}${zone}${era}`;
}

const DATE = String.raw`([+-]?\d{4,7})-(\d\d)-(\d\d)`;
const TIME = String.raw`(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?`;
const ZONE = String.raw`(Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?`;
const DATE_ONLY = new RegExp(`^${DATE}( BC)?$`);
const TIME_ONLY = new RegExp(`^${TIME}$`);
const MOMENT = new RegExp(`^${DATE}[T ]${TIME}${ZONE}( BC)?$`, 'i');

function daysOf(yearText: string, monthText: string, dayText: string, era: string | undefined): number {
  const written = Number(yearText);
  if (era !== undefined && written < 1) throw unfit('is no date');
  const year = era === undefined ? written : 1 - written;
  // Without a sign years are counted as people do, and there is no year 0; with one as ISO 8601 does, and there is.
  if (year === 0 && era === undefined && !/^[+-]/.test(yearText)) throw unfit('is no date: there is no year 0');
  const [month, day] = [Number(monthText), Number(dayText)];
  if (month < 1 || month > 12 || day < 1 || day > daysOfMonth(year, month)) throw unfit('is no date of the calendar');
  const days = dayNumber(year, month, day);
  if (days < DAYS_MIN || days > DAYS_MAX) throw unfit('is a date outside 4714-11-24 BC to 5874897-12-31');
  return days;
}

function microsOf(hours: string, minutes: string, seconds = '0', fraction = ''): number {
  const digits = fraction.replace(/0+$/, '');
  if (digits.length > 6) throw unfit('is more exact than a microsecond');
  const [h, m, s] = [Number(hours), Number(minutes), Number(seconds)];
  if (h > 24 || m > 59 || s > 59) throw unfit('is no time of day');
  const micros = ((h * 60 + m) * 60 + s) * 1_000_000 + Number(digits.padEnd(6, '0'));
  if (micros > DAY_MICROS) throw unfit('is no time of day');
  return micros;
}

/** Days since 1970-01-01. Throws VALUE_UNFIT. */
export function readDate(text: string): number | Endless {
  if (isEndless(text)) return text;
  const match = DATE_ONLY.exec(text);
  if (match === null) throw unfit('is no date');
  return daysOf(match[1]!, match[2]!, match[3]!, match[4]);
}

/** Microseconds since midnight; 24:00:00 is one of them. Throws VALUE_UNFIT. */
export function readTime(text: string): number {
  const match = TIME_ONLY.exec(text);
  if (match === null) throw unfit('is no time of day');
  return microsOf(match[1]!, match[2]!, match[3], match[4]);
}

/** A moment; with `zoned` one in UTC, which must say its zone. Throws VALUE_UNFIT. */
export function readMoment(text: string, zoned: boolean): Moment | Endless {
  if (isEndless(text)) return text;
  const match = MOMENT.exec(text);
  if (match === null) throw unfit('is no timestamp');
  const [, year, month, day, hours, minutes, seconds, fraction, zone, era] = match;
  if (zoned && zone === undefined) throw unfit('is a timestamp without a zone');
  if (!zoned && zone !== undefined) throw unfit('is a timestamp with a zone');
  const micros = microsOf(hours!, minutes!, seconds, fraction) - offsetMicros(zone);
  const past = Math.floor(micros / DAY_MICROS);
  const days = daysOf(year!, month!, day!, era?.toUpperCase()) + past;
  if (days < DAYS_MIN || days > MOMENT_DAYS_MAX) throw unfit('is outside 4714-11-24 BC to 294276-12-31');
  return { days, micros: micros - past * DAY_MICROS };
}

function offsetMicros(zone: string | undefined): number {
  if (zone === undefined || zone.toUpperCase() === 'Z') return 0;
  const digits = zone.slice(1).replaceAll(':', '').padEnd(6, '0');
  const [h, m, s] = [Number(digits.slice(0, 2)), Number(digits.slice(2, 4)), Number(digits.slice(4))];
  if (h > 15 || m > 59 || s > 59) throw unfit('has a zone that there is none of');
  return (zone.startsWith('-') ? -1 : 1) * ((h * 60 + m) * 60 + s) * 1_000_000;
}
