import { describe, expect, it } from 'vitest';
import { parseDuration, parseSize } from './quantities.ts';

describe('quantities as people write them', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5 h', 5_400_000],
    ['10 min', 600_000],
    ['2d', 172_800_000],
    ['0s', 0],
    ['30', undefined],
    ['', undefined],
    ['-1s', undefined],
    ['1 year', undefined],
    ['1e3s', undefined],
  ])('the duration %j is %s ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each([
    ['512KiB', 524_288],
    ['1MB', 1_000_000],
    ['900kB', 900_000],
    ['1.5 GiB', 1_610_612_736],
    ['1mb', undefined],
    ['5', undefined],
  ])('the size %j is %s bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));
});
