import type { BatchState, RecordState, RunState } from '../model/states.ts';

/** How values look to a person. JSON output never goes through here: it carries exact milliseconds and bytes. */

/** `1,234,567`: the same in every locale, so that what is copied from one screen reads the same on another. */
export function formatCount(count: number): string {
  return Math.trunc(count)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `312 B`, `4.2 KiB`, `17 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < SIZES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${SIZES[unit]}`;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `340 ms`, `1.2 s`, `12 s`, `3 min 05 s`, `2 h 07 min`, `4 d 3 h`. */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms < SECOND) return `${Math.floor(ms)} ms`;
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return pair(ms, MINUTE, 'min', SECOND, 's');
  if (ms < DAY) return pair(ms, HOUR, 'h', MINUTE, 'min');
  return `${Math.floor(ms / DAY)} d ${Math.floor((ms % DAY) / HOUR)} h`;
}

function pair(ms: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % big) / small);
  return `${Math.floor(ms / big)} ${bigName} ${String(rest).padStart(2, '0')} ${smallName}`;
}

/** `512/s`, `1,667/s`, `12.3k/s`, `3.4M/s`: records a second. */
export function formatRate(perSecond: number): string {
  if (perSecond >= 999_500) return `${(perSecond / 1_000_000).toFixed(1)}M/s`;
  if (perSecond >= 9_995) return `${(perSecond / 1000).toFixed(1)}k/s`;
  return perSecond >= 10 || perSecond === 0 ? `${formatCount(Math.round(perSecond))}/s` : `${perSecond.toFixed(1)}/s`;
}

/** `2026-11-19 06:00:12Z`: seconds are enough for reading; JSON has the milliseconds. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

export const isoTime = (ms: number): string => new Date(ms).toISOString();

/** `1 record`, `1,000 records`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** `in-doubt` is the word of the ledger; people read `in doubt`. */
export const showState = (state: RunState | BatchState | RecordState): string => state.replaceAll('-', ' ');

// C0 and C1 controls, and the characters that turn the direction of text: a record's key or a sink's message must not
// be able to move the cursor, clear the screen or make a line read as another.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Text from outside, made safe for a terminal and fit for one line. */
export function plainText(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, ' ').replace(UNPRINTABLE, showControl);
}

function showControl(character: string): string {
  if (character === '\t') return ' ';
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Quotes a word for a POSIX shell where it needs it, so that a command can be copied. */
export function shellWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
