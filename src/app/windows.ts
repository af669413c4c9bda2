import { assert } from '../model/assert.ts';
import { WaybillError } from '../model/errors.ts';
import { ALL, type Parameters, pullNumber, pullWindow, type Window, type WindowKind } from '../model/window.ts';
import { type Day, dayOf, dayText, firstInstantOf, localHour, offsetText, shiftDay } from './calendar.ts';

/**
 * Windows and their names. A window is a stretch of local calendar time, so a day may have 23 or 25 hours and an hour
 * of the clock may come twice: the second one carries its offset in its name (`2026-10-25T02+01:00`). Neighbouring
 * windows of a kind always meet: the end of one is the start of the next.
 */
export interface Cut {
  readonly kind: WindowKind;
  readonly timezone: string;
}

/** The window that holds an instant. */
export function windowAt(cut: Cut, atMs: number): Window {
  if (cut.kind === 'all') return ALL;
  assert(cut.kind !== 'pull', 'window.is-a-stretch-of-time');
  if (cut.kind === 'hour') return hourAt(cut.timezone, atMs);
  let first = firstDay(cut.kind, dayOf(cut.timezone, atMs));
  // Where a clock is set back over midnight, the calendar day of an instant is not yet proof of the window.
  while (firstInstantOf(cut.timezone, following(cut.kind, first)) <= atMs) first = following(cut.kind, first);
  while (firstInstantOf(cut.timezone, first) > atMs) first = firstDay(cut.kind, shiftDay(first, -1));
  return windowOf(cut, first);
}

/** The next window of the same kind; `all` has none. */
export function nextWindow(cut: Cut, window: Window): Window | undefined {
  return window.end === undefined ? undefined : windowAt(cut, Date.parse(window.end));
}

export function previousWindow(cut: Cut, window: Window): Window | undefined {
  return window.start === undefined ? undefined : windowAt(cut, Date.parse(window.start) - 1);
}

/** The window that ended last: yesterday, for days. */
export function latestComplete(cut: Cut, nowMs: number): Window {
  const current = windowAt(cut, nowMs);
  return previousWindow(cut, current) ?? current;
}

/** Every window from one to another, both included, oldest first. Throws WINDOW_INVALID when there are too many. */
export function windowsBetween(cut: Cut, first: Window, last: Window, limit = 100_000): readonly Window[] {
  const windows: Window[] = [];
  for (let at: Window | undefined = first; at !== undefined && startMs(at) <= startMs(last); at = nextWindow(cut, at)) {
    if (windows.length === limit)
      throw invalid(cut, `${first.name} to ${last.name}`, `these are more than ${limit} windows`);
    windows.push(at);
  }
  return windows;
}

/**
 * The windows that begin at or after one moment and before another, oldest first. Each moment is the begin of a window
 * that is named, or of a day, whatever cuts time. Throws WINDOW_INVALID.
 */
export function windowsFrom(cut: Cut, ask: { from: string; to: string }, nowMs: number): readonly Window[] {
  if (cut.kind === 'pull')
    throw invalid(cut, `${ask.from} to ${ask.to}`, 'each run of it reads what is new, and no stretch of time');
  if (cut.kind === 'all') return [parseWindow(cut, ask.from, nowMs), parseWindow(cut, ask.to, nowMs)].slice(1);
  const [fromMs, toMs] = [beginOf(cut, ask.from, nowMs), beginOf(cut, ask.to, nowMs)];
  const first = windowAt(cut, fromMs);
  const all = fromMs < toMs ? windowsBetween(cut, first, windowAt(cut, toMs)) : [];
  return all.filter((window) => startMs(window) >= fromMs && startMs(window) < toMs);
}

function beginOf(cut: Cut, text: string, nowMs: number): number {
  const day = cut.kind === 'day' ? undefined : FORMS.day.parse(text);
  return day === undefined ? startMs(parseWindow(cut, text, nowMs)) : firstInstantOf(cut.timezone, day);
}

const startMs = (window: Window): number => (window.start === undefined ? 0 : Date.parse(window.start));

/**
 * The window that a person names: `2026-11-19`, `2026-11-19T05`, `2026-W47`, `2026-11`, `2026`, `all`; `latest` (the
 * last complete one, also when no name is given), and for days `today` and `yesterday`. Throws WINDOW_INVALID.
 */
export function parseWindow(cut: Cut, text: string | undefined, nowMs: number): Window {
  if (cut.kind === 'all') {
    if (text === undefined || text === 'all' || text === 'latest') return ALL;
    throw invalid(cut, text, 'the flow has one window, all');
  }
  if (cut.kind === 'pull') return parsePull(cut, text);
  if (text === undefined || text === 'latest') return latestComplete(cut, nowMs);
  if (cut.kind === 'hour') return parseHour(cut, text);
  if (cut.kind === 'day' && text === 'today') return windowAt(cut, nowMs);
  if (cut.kind === 'day' && text === 'yesterday') return latestComplete(cut, nowMs);
  const day = FORMS[cut.kind].parse(text);
  if (day === undefined) throw invalid(cut, text, `it should look like ${FORMS[cut.kind].example}`);
  const window = windowOf(cut, day);
  if (window.start === window.end) throw invalid(cut, text, `there was no such ${cut.kind} in ${cut.timezone}`);
  return window;
}

/** `pull-000007`, or the number alone. */
function parsePull(cut: Cut, text: string | undefined): Window {
  const nth = pullNumber(text ?? '') ?? Number(/^[1-9]\d{0,14}$/.exec(text ?? '')?.[0] ?? 0);
  if (nth > 0) return pullWindow(nth);
  throw invalid(cut, text ?? 'latest', 'it should look like pull-000007; what is new is read when no window is named');
}

function invalid(cut: Cut, text: string, why: string): WaybillError {
  const message = `${JSON.stringify(text)} is not a window of this flow, which cuts time by ${cut.kind}: ${why}`;
  return new WaybillError('WINDOW_INVALID', message, { ids: { window: text, kind: cut.kind, timezone: cut.timezone } });
}

// ---- days, weeks, months, years ------------------------------------------------------------------------------------

type DayKind = Exclude<WindowKind, 'all' | 'hour' | 'pull'>;

interface Form {
  readonly example: string;
  parse(text: string): Day | undefined;
  name(first: Day): string;
}

const FORMS: Readonly<Record<DayKind, Form>> = {
  day: {
    example: '2026-11-19',
    parse: (text) => read(/^([1-9]\d{3})-(\d\d)-(\d\d)$/, text, (y, m, d) => ({ year: y, month: m, day: d })),
    name: dayText,
  },
  week: {
    example: '2026-W47',
    parse: (text) => {
      const monday = read(/^([1-9]\d{3})-W(\d\d)$/, text, (y, week) => mondayOf(y, week));
      // Most years have no week 53; its Monday would belong to the next year's first week.
      return monday !== undefined && weekName(monday) === text ? monday : undefined;
    },
    name: weekName,
  },
  month: {
    example: '2026-11',
    parse: (text) => read(/^([1-9]\d{3})-(\d\d)$/, text, (y, m) => ({ year: y, month: m, day: 1 })),
    name: (first) => dayText(first).slice(0, 7),
  },
  year: {
    example: '2026',
    parse: (text) => read(/^([1-9]\d{3})$/, text, (y) => ({ year: y, month: 1, day: 1 })),
    name: (first) => dayText(first).slice(0, 4),
  },
};

function read(form: RegExp, text: string, make: (...parts: [number, number, number]) => Day): Day | undefined {
  const match = form.exec(text);
  if (match === null) return undefined;
  const day = make(...(match.slice(1).concat('1', '1').slice(0, 3).map(Number) as [number, number, number]));
  const real = shiftDay(day, 0);
  return real.year === day.year && real.month === day.month && real.day === day.day ? day : undefined;
}

function windowOf(cut: Cut, first: Day): Window {
  const kind = cut.kind as DayKind;
  return stretch(
    FORMS[kind].name(first),
    firstInstantOf(cut.timezone, first),
    firstInstantOf(cut.timezone, following(kind, first)),
  );
}

const stretch = (name: string, fromMs: number, toMs: number): Window => ({
  name,
  start: new Date(fromMs).toISOString(),
  end: new Date(toMs).toISOString(),
});

function firstDay(kind: DayKind, day: Day): Day {
  if (kind === 'day') return day;
  if (kind === 'week') return shiftDay(day, -weekday(day));
  return kind === 'month' ? { ...day, day: 1 } : { ...day, month: 1, day: 1 };
}

function following(kind: DayKind, first: Day): Day {
  if (kind === 'day') return shiftDay(first, 1);
  if (kind === 'week') return shiftDay(first, 7);
  if (kind === 'year') return { ...first, year: first.year + 1 };
  return first.month === 12 ? { year: first.year + 1, month: 1, day: 1 } : { ...first, month: first.month + 1 };
}

/** 0 for Monday. */
const weekday = (day: Day): number => (new Date(Date.UTC(day.year, day.month - 1, day.day)).getUTCDay() + 6) % 7;

/** ISO 8601: week 1 is the one that holds 4 January. */
function mondayOf(year: number, week: number): Day {
  const fourth = { year, month: 1, day: 4 };
  return shiftDay(fourth, (week - 1) * 7 - weekday(fourth));
}

function weekName(monday: Day): string {
  const { year } = shiftDay(monday, 3);
  const first = mondayOf(year, 1);
  const days =
    (Date.UTC(monday.year, monday.month - 1, monday.day) - Date.UTC(first.year, first.month - 1, first.day)) /
    86_400_000;
  return `${year}-W${String(days / 7 + 1).padStart(2, '0')}`;
}

// ---- hours ---------------------------------------------------------------------------------------------------------

function hourAt(timezone: string, atMs: number): Window {
  const hour = localHour(timezone, atMs);
  return stretch(hour.name, hour.startMs, hour.endMs);
}

function parseHour(cut: Cut, text: string): Window {
  const match = /^([1-9]\d{3}-\d\d-\d\d)T([01]\d|2[0-3])([+-]\d\d:\d\d|Z)?$/.exec(text);
  const day = match === null ? undefined : FORMS.day.parse(match[1]!);
  if (match === null || day === undefined) throw invalid(cut, text, 'it should look like 2026-11-19T05');
  // Any offset is at most a day; the hours around are looked through, and the name decides.
  const nearMs = Date.UTC(day.year, day.month - 1, day.day, Number(match[2]));
  const plain = text.replace(/(?:[+-]\d\d:\d\d|Z)$/, '');
  for (let at = hourAt(cut.timezone, nearMs - 86_400_000); Date.parse(at.start!) < nearMs + 86_400_000; ) {
    const sameOffset =
      match[3] === undefined || offsetText(cut.timezone, Date.parse(at.start!)) === match[3].replace('Z', '+00:00');
    if (at.name === text || (match[3] !== undefined && sameOffset && at.name.replace(/[+-]\d\d:\d\d$/, '') === plain))
      return at;
    at = hourAt(cut.timezone, Date.parse(at.end!));
  }
  throw invalid(cut, text, `there was no such hour in ${cut.timezone}`);
}

// ---- parameters ----------------------------------------------------------------------------------------------------

/** What every flow has without asking: the local date of the window's start, its ends, its name. */
export function windowParameters(cut: Cut, window: Window): Parameters {
  const { start, end } = window;
  return {
    date: { type: 'date', value: start === undefined ? null : dayText(dayOf(cut.timezone, Date.parse(start))) },
    window_start: { type: 'timestamp', value: start ?? null },
    window_end: { type: 'timestamp', value: end ?? null },
    window: { type: 'text', value: window.name },
  };
}
