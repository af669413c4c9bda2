import type { Days, LoadSettings, Period } from './load.ts';
import type { Window, WindowKind } from './window.ts';

type PeriodKind = NonNullable<LoadSettings['period']>;

const DAY_MS = 86_400_000;

/** Whether every window of the kind lies in one period: a week may lie in two months, and an hour has no day's name. */
export function cutsInto(window: WindowKind, period: PeriodKind): boolean {
  return FITS[period].includes(window);
}

const FITS: Record<PeriodKind, readonly WindowKind[]> = {
  day: ['day'],
  week: ['day', 'week'],
  month: ['day', 'month'],
  year: ['day', 'month', 'year'],
};

/** The period that a window lies in, by the window's name alone: names are local calendar time, whatever the zone. */
export function periodOf(window: Window, kind: PeriodKind): Period {
  const day = firstDayOf(window.name);
  const first = PERIODS[kind].first(day);
  return {
    name: PERIODS[kind].name(day),
    firstDay: dayText(first),
    lastDay: dayText(PERIODS[kind].next(first) - DAY_MS),
  };
}

/** The first day that a period does not hold any more: commands name stretches of time without their end. */
export function dayAfter({ lastDay }: Period): string {
  return dayText(Date.parse(lastDay) + DAY_MS);
}

/** The local calendar days of a window; an hour and `all` have none. */
export function daysOf(window: Window): Days | undefined {
  const kind = /-W/.test(window.name) ? 'week' : KINDS[window.name.split('-').length];
  if (kind === undefined || !/^\d{4}(-(W?\d\d)){0,2}$/.test(window.name)) return undefined;
  const period = periodOf(window, kind);
  return { from: period.firstDay, to: dayAfter(period) };
}

const KINDS: Readonly<Record<number, PeriodKind>> = { 1: 'year', 2: 'month', 3: 'day' };

/** Midnight of the first day of a window, counted as if there were no zones. */
function firstDayOf(name: string): number {
  const week = /^(\d{4})-W(\d\d)$/.exec(name);
  if (week !== null) return mondayOf(Date.UTC(Number(week[1]), 0, 4)) + (Number(week[2]) - 1) * 7 * DAY_MS;
  const [year, month = '1', day = '1'] = name.split('-');
  return Date.UTC(Number(year), Number(month) - 1, Number(day));
}

const PERIODS: Record<
  PeriodKind,
  { first(day: number): number; next(first: number): number; name(day: number): string }
> = {
  day: {
    first: (day) => day,
    next: (first) => first + DAY_MS,
    name: (day) => dayText(day).replaceAll('-', '_'),
  },
  week: {
    first: mondayOf,
    next: (first) => first + 7 * DAY_MS,
    // An ISO week belongs to the year that its Thursday lies in.
    name: (day) => {
      const thursday = mondayOf(day) + 3 * DAY_MS;
      const year = yearOf(thursday);
      const week = Math.floor((thursday - Date.UTC(year, 0, 1)) / (7 * DAY_MS)) + 1;
      return `${year}_w${String(week).padStart(2, '0')}`;
    },
  },
  month: {
    first: (day) => Date.UTC(yearOf(day), monthOf(day), 1),
    next: (first) => Date.UTC(yearOf(first), monthOf(first) + 1, 1),
    name: (day) => dayText(day).slice(0, 7).replace('-', '_'),
  },
  year: {
    first: (day) => Date.UTC(yearOf(day), 0, 1),
    next: (first) => Date.UTC(yearOf(first) + 1, 0, 1),
    name: (day) => dayText(day).slice(0, 4),
  },
};

/** Monday of the week: 1 January 1970 was a Thursday. */
function mondayOf(day: number): number {
  return day - ((((day / DAY_MS + 3) % 7) + 7) % 7) * DAY_MS;
}

const dayText = (day: number): string => new Date(day).toISOString().slice(0, 10);
const yearOf = (day: number): number => new Date(day).getUTCFullYear();
const monthOf = (day: number): number => new Date(day).getUTCMonth();
