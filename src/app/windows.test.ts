import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WINDOW_KINDS } from '../model/window.ts';
import {
  latestComplete,
  nextWindow,
  parseWindow,
  previousWindow,
  windowAt,
  windowParameters,
  windowsBetween,
} from './windows.ts';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-11-20T12:00:00Z');
const berlin = { kind: 'day', timezone: 'Europe/Berlin' } as const;
const hours = (window: { start?: string; end?: string }): number =>
  (Date.parse(window.end!) - Date.parse(window.start!)) / HOUR;

describe('windows', () => {
  it('reads the name of each kind', () => {
    const of = (kind: (typeof WINDOW_KINDS)[number], text: string) => parseWindow({ kind, timezone: 'UTC' }, text, NOW);
    expect(of('day', '2026-11-19')).toEqual({
      name: '2026-11-19',
      start: '2026-11-19T00:00:00.000Z',
      end: '2026-11-20T00:00:00.000Z',
    });
    expect(of('hour', '2026-11-19T05')).toEqual({
      name: '2026-11-19T05',
      start: '2026-11-19T05:00:00.000Z',
      end: '2026-11-19T06:00:00.000Z',
    });
    expect(of('week', '2026-W47')).toEqual({
      name: '2026-W47',
      start: '2026-11-16T00:00:00.000Z',
      end: '2026-11-23T00:00:00.000Z',
    });
    expect(of('month', '2026-12')).toEqual({
      name: '2026-12',
      start: '2026-12-01T00:00:00.000Z',
      end: '2027-01-01T00:00:00.000Z',
    });
    expect(of('year', '2026')).toEqual({
      name: '2026',
      start: '2026-01-01T00:00:00.000Z',
      end: '2027-01-01T00:00:00.000Z',
    });
    expect(of('all', 'all')).toEqual({ name: 'all' });
  });

  it('takes the latest complete window when none is named', () => {
    expect(parseWindow({ kind: 'day', timezone: 'UTC' }, undefined, NOW).name).toBe('2026-11-19');
    expect(parseWindow({ kind: 'day', timezone: 'UTC' }, 'yesterday', NOW).name).toBe('2026-11-19');
    expect(parseWindow({ kind: 'day', timezone: 'UTC' }, 'today', NOW).name).toBe('2026-11-20');
    expect(parseWindow({ kind: 'day', timezone: 'Pacific/Auckland' }, undefined, NOW).name).toBe('2026-11-20');
    expect(parseWindow({ kind: 'month', timezone: 'UTC' }, 'latest', NOW).name).toBe('2026-10');
    expect(parseWindow({ kind: 'week', timezone: 'UTC' }, undefined, NOW).name).toBe('2026-W46');
    expect(latestComplete({ kind: 'hour', timezone: 'UTC' }, NOW).name).toBe('2026-11-20T11');
  });

  it.each([
    ['day', '2026-02-30'],
    ['day', '2026-11'],
    ['day', '19.11.2026'],
    ['day', 'all'],
    ['week', '2025-W53'],
    ['week', '2026-W00'],
    ['week', '2026-W54'],
    ['month', '2026-13'],
    ['month', 'today'],
    ['year', '26'],
    ['hour', '2026-11-19T24'],
    ['hour', '2026-11-19'],
    ['all', '2026-11-19'],
  ] as const)('refuses %s %s with WINDOW_INVALID', (kind, text) => {
    expect(() => parseWindow({ kind, timezone: 'UTC' }, text, NOW)).toThrow(
      expect.objectContaining({ code: 'WINDOW_INVALID' }),
    );
  });

  it('gives a day of 23 hours in spring and of 25 hours in autumn', () => {
    expect(hours(parseWindow(berlin, '2026-03-29', NOW))).toBe(23);
    expect(hours(parseWindow(berlin, '2026-10-25', NOW))).toBe(25);
    expect(parseWindow(berlin, '2026-03-29', NOW).start).toBe('2026-03-28T23:00:00.000Z');
    expect(hours(parseWindow({ kind: 'week', timezone: 'Europe/Berlin' }, '2026-W13', NOW))).toBe(167);
  });

  it('begins a day at the first moment of its date where midnight was jumped over', () => {
    const cairo = parseWindow({ kind: 'day', timezone: 'Africa/Cairo' }, '2024-04-26', NOW);
    expect(cairo.start).toBe('2024-04-25T22:00:00.000Z');
    expect(hours(cairo)).toBe(23);
  });

  it('refuses a date that a zone left out, and steps over it', () => {
    const apia = { kind: 'day', timezone: 'Pacific/Apia' } as const;
    expect(() => parseWindow(apia, '2011-12-30', NOW)).toThrow(/no such day/);
    expect(nextWindow(apia, parseWindow(apia, '2011-12-29', NOW))?.name).toBe('2011-12-31');
    expect(previousWindow(apia, parseWindow(apia, '2011-12-31', NOW))?.name).toBe('2011-12-29');
  });

  it('names an hour that comes twice so that each is meant by one name', () => {
    const cut = { kind: 'hour', timezone: 'Europe/Berlin' } as const;
    const names = windowsBetween(
      cut,
      parseWindow(cut, '2026-10-25T01', NOW),
      parseWindow(cut, '2026-10-25T03', NOW),
    ).map((w) => w.name);
    expect(names).toEqual(['2026-10-25T01', '2026-10-25T02', '2026-10-25T02+01:00', '2026-10-25T03']);
    expect(parseWindow(cut, '2026-10-25T02', NOW).start).toBe('2026-10-25T00:00:00.000Z');
    expect(parseWindow(cut, '2026-10-25T02+02:00', NOW).start).toBe('2026-10-25T00:00:00.000Z');
    expect(parseWindow(cut, '2026-10-25T02+01:00', NOW).start).toBe('2026-10-25T01:00:00.000Z');
    expect(() => parseWindow(cut, '2026-03-29T02', NOW)).toThrow(/no such hour/);
  });

  it('cuts hours of a zone whose offset is not whole hours and that moves by half an hour', () => {
    const cut = { kind: 'hour', timezone: 'Australia/Lord_Howe' } as const;
    const at = Date.parse('2026-04-04T13:30:00Z');
    const names = windowsBetween(cut, windowAt(cut, at), windowAt(cut, at + 2.5 * HOUR)).map((w) => [w.name, hours(w)]);
    expect(names).toEqual([
      ['2026-04-05T00', 1],
      ['2026-04-05T01', 1],
      ['2026-04-05T01+10:30', 0.5],
      ['2026-04-05T02', 1],
    ]);
  });

  it('P09: gives the week the ISO year, across the end of a year', () => {
    const cut = { kind: 'week', timezone: 'UTC' } as const;
    expect(windowAt(cut, Date.parse('2027-01-03T12:00:00Z')).name).toBe('2026-W53');
    expect(windowAt(cut, Date.parse('2024-12-30T00:00:00Z')).name).toBe('2025-W01');
    expect(nextWindow(cut, parseWindow(cut, '2026-W53', NOW))?.name).toBe('2027-W01');
    expect(previousWindow(cut, parseWindow(cut, '2025-W01', NOW))?.name).toBe('2024-W52');
  });

  it('binds the local date of the start, both ends and the name', () => {
    expect(windowParameters(berlin, parseWindow(berlin, '2026-11-19', NOW))).toEqual({
      date: { type: 'date', value: '2026-11-19' },
      window_start: { type: 'timestamp', value: '2026-11-18T23:00:00.000Z' },
      window_end: { type: 'timestamp', value: '2026-11-19T23:00:00.000Z' },
      window: { type: 'text', value: '2026-11-19' },
    });
    expect(windowParameters({ kind: 'all', timezone: 'UTC' }, { name: 'all' }).date).toEqual({
      type: 'date',
      value: null,
    });
  });

  const zones = [
    'UTC',
    'Europe/Berlin',
    'America/New_York',
    'Asia/Kolkata',
    'Australia/Lord_Howe',
    'Pacific/Apia',
    'Africa/Cairo',
    'America/Sao_Paulo',
    'Asia/Beirut',
    'Asia/Kathmandu',
    'Africa/Casablanca',
    'America/St_Johns',
    'Antarctica/Troll',
  ];
  const instants = fc.integer({ min: Date.parse('1990-01-01'), max: Date.parse('2040-01-01') });
  // Half of the instants fall where clocks are usually set, which is where the faults are.
  const nearChange = fc
    .tuple(
      fc.integer({ min: 1990, max: 2039 }),
      fc.constantFrom(2, 3, 9, 10),
      fc.integer({ min: 1, max: 31 }),
      fc.integer({ min: 0, max: 24 * 60 }),
    )
    .map(([year, month, day, minute]) => Date.UTC(year, month, day, 0, minute));

  it.each(WINDOW_KINDS.filter((kind) => kind !== 'all' && kind !== 'pull'))(
    'holds every instant in exactly one %s, whose name means it',
    (kind) => {
      fc.assert(
        fc.property(fc.constantFrom(...zones), fc.oneof(instants, nearChange), (timezone, atMs) => {
          const cut = { kind, timezone };
          const window = windowAt(cut, atMs);
          expect(Date.parse(window.start!)).toBeLessThanOrEqual(atMs);
          expect(Date.parse(window.end!)).toBeGreaterThan(atMs);
          expect(parseWindow(cut, window.name, NOW)).toEqual(window);
          expect(windowAt(cut, Date.parse(window.start!))).toEqual(window);
          expect(windowAt(cut, Date.parse(window.end!) - 1)).toEqual(window);
          expect(nextWindow(cut, window)!.start).toBe(window.end);
          expect(previousWindow(cut, window)!.end).toBe(window.start);
        }),
        { numRuns: 200 },
      );
    },
  );
});
