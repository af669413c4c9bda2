import { describe, expect, it } from 'vitest';
import { cutsInto, dayAfter, daysOf, periodOf } from './period.ts';

const week = (name: string) => periodOf({ name }, 'week');

describe('periods', () => {
  it('P09: name weeks by the ISO year and the ISO week, across the ends of years', () => {
    expect(week('2020-12-31').name).toBe('2020_w53');
    expect(week('2021-01-03').name).toBe('2020_w53');
    expect(week('2021-01-04').name).toBe('2021_w01');
    expect(week('2024-12-30').name).toBe('2025_w01');
    expect(week('2026-01-01').name).toBe('2026_w01');
    expect(week('2027-01-03').name).toBe('2026_w53');
  });

  it('P09: give every day of forty years to the week that holds its Thursday, seven days to a week', () => {
    const days = new Map<string, string[]>();
    for (let at = Date.UTC(1999, 11, 27); at < Date.UTC(2039, 11, 31); at += 86_400_000) {
      const name = new Date(at).toISOString().slice(0, 10);
      const period = week(name);
      days.set(period.name, [...(days.get(period.name) ?? []), name]);
      expect(period.firstDay <= name && name <= period.lastDay, name).toBe(true);
    }
    for (const [name, seven] of [...days].slice(0, -1)) {
      expect(seven, name).toHaveLength(7);
      expect(seven[3]?.slice(0, 4), name).toBe(name.slice(0, 4));
    }
  });

  it('begin with the window of their first day, whatever cuts time', () => {
    expect(periodOf({ name: '2026-11-19' }, 'month')).toEqual({
      name: '2026_11',
      firstDay: '2026-11-01',
      lastDay: '2026-11-30',
    });
    expect(periodOf({ name: '2026-W47' }, 'week')).toEqual(week('2026-11-19'));
    expect(periodOf({ name: '2024-02' }, 'year').lastDay).toBe('2024-12-31');
    expect(periodOf({ name: '2024-02-10' }, 'month').lastDay).toBe('2024-02-29');
    expect(dayAfter(periodOf({ name: '2026-01' }, 'year'))).toBe('2027-01-01');
    expect(dayAfter(periodOf({ name: '2024-02-10' }, 'month'))).toBe('2024-03-01');
  });

  it('tell the days of every window but of hours', () => {
    expect(daysOf({ name: '2026-11-30' })).toEqual({ from: '2026-11-30', to: '2026-12-01' });
    expect(daysOf({ name: '2026-W53' })).toEqual({ from: '2026-12-28', to: '2027-01-04' });
    expect(daysOf({ name: '2026-02' })).toEqual({ from: '2026-02-01', to: '2026-03-01' });
    expect(daysOf({ name: '2026' })).toEqual({ from: '2026-01-01', to: '2027-01-01' });
    expect(daysOf({ name: 'all' })).toBeUndefined();
    expect(daysOf({ name: '2026-10-25T02+01:00' })).toBeUndefined();
  });

  it('take only windows that lie in one of them', () => {
    expect(cutsInto('week', 'month')).toBe(false);
    expect(cutsInto('hour', 'day')).toBe(false);
    expect(cutsInto('day', 'week')).toBe(true);
  });
});
