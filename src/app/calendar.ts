/**
 * Local calendar time, from nothing but `Intl`: what the clock on a wall shows at an instant, and the instants at
 * which its date or its hour changes. Offsets may be any number of minutes and may change at any moment.
 */
export interface Day {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
}

const DAY_MS = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

function format(timezone: string): Intl.DateTimeFormat {
  let made = formats.get(timezone);
  if (made === undefined) {
    made = new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(timezone, made);
  }
  return made;
}

/** What the clock shows, as milliseconds of a clock that is never set: only for comparing and for calendar sums. */
function wall(timezone: string, atMs: number): number {
  const part: Record<string, number> = {};
  for (const { type, value } of format(timezone).formatToParts(atMs)) part[type] = Number(value);
  const seconds = Date.UTC(part.year!, part.month! - 1, part.day!, part.hour!, part.minute!, part.second!);
  return seconds + (((atMs % 1000) + 1000) % 1000);
}

const offsetMs = (timezone: string, atMs: number): number => wall(timezone, atMs) - atMs;

/** `+01:00`, as it holds at an instant. */
export function offsetText(timezone: string, atMs: number): string {
  const minutes = Math.round(offsetMs(timezone, atMs) / 60_000);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

export function dayOf(timezone: string, atMs: number): Day {
  const at = new Date(wall(timezone, atMs));
  return { year: at.getUTCFullYear(), month: at.getUTCMonth() + 1, day: at.getUTCDate() };
}

export function shiftDay(day: Day, days: number): Day {
  const at = new Date(Date.UTC(day.year, day.month - 1, day.day + days));
  return { year: at.getUTCFullYear(), month: at.getUTCMonth() + 1, day: at.getUTCDate() };
}

export const dayText = (day: Day): string =>
  new Date(Date.UTC(day.year, day.month - 1, day.day)).toISOString().slice(0, 10);

/**
 * When a date begins: midnight, or the moment a clock jumped over it. A date that a zone left out begins when the
 * next one does. Found by halving, since midnight may not exist and offsets may change that very day.
 */
export function firstInstantOf(timezone: string, day: Day): number {
  const midnight = Date.UTC(day.year, day.month - 1, day.day);
  // The usual day: at midnight there was no change of the clock around.
  const guess = midnight - offsetMs(timezone, midnight);
  if (wall(timezone, guess) === midnight && wall(timezone, guess - 1) === midnight - 1) return guess;
  let [before, at] = [midnight - 1.5 * DAY_MS, midnight + 1.5 * DAY_MS];
  while (at - before > 1) {
    const middle = Math.floor((before + at) / 2);
    if (wall(timezone, middle) >= midnight) at = middle;
    else before = middle;
  }
  return at;
}

export interface LocalHour {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** The stretch around an instant in which neither the hour on the clock nor its offset changes. */
export function localHour(timezone: string, atMs: number): LocalHour {
  const shown = wall(timezone, atMs);
  const full = atMs - (((shown % 3_600_000) + 3_600_000) % 3_600_000);
  const startMs = lastChange(timezone, full, atMs) ?? full;
  const endMs = firstChange(timezone, atMs, full + 3_600_000) ?? full + 3_600_000;
  const text = new Date(wall(timezone, startMs)).toISOString().slice(0, 13);
  return { name: isRepeat(timezone, startMs) ? `${text}${offsetText(timezone, startMs)}` : text, startMs, endMs };
}

/** The clock has shown this hour before: it was set back, at this start or within the three hours before it. */
function isRepeat(timezone: string, startMs: number): boolean {
  const hour = Math.floor(wall(timezone, startMs) / 3_600_000);
  for (let at = startMs - 1; at > startMs - 4 * 3_600_000; ) {
    if (Math.floor(wall(timezone, at) / 3_600_000) === hour) return true;
    // Back by the part of an hour that the clock shows, so that no stretch is stepped over.
    at -= Math.min(((wall(timezone, at) % 1_800_000) + 1_800_000) % 1_800_000 || 1_800_000, 1_800_000) + 1;
  }
  return false;
}

function lastChange(timezone: string, fromMs: number, toMs: number): number | undefined {
  const offset = offsetMs(timezone, toMs);
  return offsetMs(timezone, fromMs) === offset
    ? undefined
    : border(fromMs, toMs, (at) => offsetMs(timezone, at) === offset);
}

function firstChange(timezone: string, fromMs: number, toMs: number): number | undefined {
  const offset = offsetMs(timezone, fromMs);
  return offsetMs(timezone, toMs - 1) === offset
    ? undefined
    : border(fromMs, toMs - 1, (at) => offsetMs(timezone, at) !== offset);
}

/** The first instant after `before` at which `holds` is true; it is not at `before`, and is at `at`. */
function border(before: number, at: number, holds: (at: number) => boolean): number {
  let [low, high] = [before, at];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}
