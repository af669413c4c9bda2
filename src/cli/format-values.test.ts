import { describe, expect, it } from 'vitest';
import { formatBytes, formatCount, formatDuration, formatRate, plainText, shellWord } from './format-values.ts';

describe('values', () => {
  it.each([
    [0, '0'],
    [999, '999'],
    [1000, '1,000'],
    [1234567, '1,234,567'],
  ])('the count %d reads %s', (count, text) => expect(formatCount(count)).toBe(text));

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1023, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [1024 * 1024, '1.0 MiB'],
    [17 * 1024 * 1024, '17 MiB'],
    [1023.9 * 1024, '1.0 MiB'],
  ])('the size %d reads %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [0, '0 ms'],
    [999.7, '999 ms'],
    [1200, '1.2 s'],
    [9999, '9.9 s'],
    [59_999, '59 s'],
    [185_000, '3 min 05 s'],
    [7_620_000, '2 h 07 min'],
    [356_400_000, '4 d 3 h'],
  ])('the duration %d reads %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  it.each([
    [0, '0/s'],
    [0.25, '0.3/s'],
    [512.4, '512/s'],
    [12_345, '12.3k/s'],
    [3_400_000, '3.4M/s'],
  ])('the rate %d reads %s', (rate, text) => expect(formatRate(rate)).toBe(text));

  it('a text from outside becomes one line that cannot steer the terminal', () => {
    expect(plainText('a\r\n  b\tc\u001b[31m\u009b\u202e')).toBe('a b c\\u001b[31m\\u009b\\u202e');
  });

  it('a word is quoted for the shell where it needs it', () => {
    expect(shellWord('2026-11-19')).toBe('2026-11-19');
    expect(shellWord(`it's $HOME`)).toBe(`'it'\\''s $HOME'`);
    expect(shellWord('')).toBe("''");
  });
});
