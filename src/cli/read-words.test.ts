import { describe, expect, it } from 'vitest';
import { readDuration } from './read-words.ts';

describe('a duration on the command line', () => {
  it.each([
    ['30', 30_000],
    [' 1.5 ', 1500],
    ['30s', 30_000],
    ['10 min', 600_000],
  ])('%j is %s ms', (text, ms) => expect(readDuration(text, '--older-than')).toBe(ms));

  it.each(['', '-1s', '1 year', 'soon'])('%j is none, and the error says what would be', (text) => {
    expect(() => readDuration(text, '--older-than')).toThrow(/--older-than .* is not a duration/);
  });
});
