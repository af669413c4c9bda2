import { describe, expect, it } from 'vitest';
import { isWithin } from './scope.ts';

/** A day in Berlin: midnight there is eleven in the evening before, in UTC. */
const range = {
  kind: 'range',
  column: 'at',
  from: '2026-11-18T23:00:00Z',
  to: '2026-11-19T23:00:00Z',
  days: { from: '2026-11-19', to: '2026-11-20' },
} as const;

describe('isWithin', () => {
  it.each([
    ['2026-11-19', true],
    ['2026-11-18', false],
    ['2026-11-20', false],
    ['2026-11-19 00:00:00', true],
    ['2026-11-19T23:59:59.999999', true],
    ['2026-11-20 00:00', false],
    ['2026-11-18T22:59:59.999Z', false],
    ['2026-11-18T23:00:00Z', true],
    ['2026-11-19T00:00:00+01:00', true],
    ['2026-11-20T00:00:00+01:00', false],
    ['2026-11-19 22:59:59.999999+0000', true],
    ['19.11.2026', false],
    ['', false],
    [1_763_500_000n, false],
    [20261119, false],
    [null, false],
    [Buffer.from('2026-11-19'), false],
  ])('P10: finds that %s lies in the window of a day with a zone, or not: %s', (value, expected) => {
    expect(isWithin(value, range)).toBe(expected);
  });

  it('takes days and times without a zone for UTC where the window has no days', () => {
    const { days: _, ...hour } = { ...range, from: '2026-11-19T10:00:00Z', to: '2026-11-19T11:00:00Z' };
    expect(isWithin('2026-11-19 10:30', hour)).toBe(true);
    expect(isWithin('2026-11-19 11:00', hour)).toBe(false);
    expect(isWithin('2026-11-19', { ...hour, from: '2026-11-19T00:00:00Z' })).toBe(true);
  });
});
