import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHttpDate, isEtag, toHttpDate } from './validators.ts';

describe('the dates of HTTP', () => {
  it.each([
    ['Sun, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37Z'],
    ['Sunday, 06-Nov-94 08:49:37 GMT', '1994-11-06T08:49:37Z'],
    ['Sun Nov  6 08:49:37 1994', '1994-11-06T08:49:37Z'],
    ['Thu, 29 Feb 2024 23:59:59 GMT', '2024-02-29T23:59:59Z'],
    ['1994-11-06T08:49:37Z', undefined],
    ['0', undefined],
    ['Sun, 06 Nov 1994 08:49:37 +0100', undefined],
    ['Sun, 99 Nov 1994 08:49:37 GMT', undefined],
    ['', undefined],
  ])('F04: %j is %s', (text, wanted) => {
    expect(fromHttpDate(text)).toBe(wanted);
  });

  it('F04: go to RFC 3339 and back without a loss, and agree with what JavaScript writes', () => {
    const second = fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1000);
    fc.assert(
      fc.property(second, (ms) => {
        const text = new Date(ms).toUTCString();
        expect(toHttpDate(fromHttpDate(text)!)).toBe(text);
      }),
    );
  });

  it.each(['yesterday', '2026-13-01T00:00:00Z', '2026-11-21', '2026-11-21T10:00:00', ''])(
    'F08: %j is no time that could be asked by',
    (text) => {
      expect(toHttpDate(text)).toBeUndefined();
    },
  );
});

describe('an ETag', () => {
  it('F03: that a header cannot hold is never one, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        if (isEtag(text)) expect(text).toMatch(/^(W\/)?"?[\x21-\x7e]*"?$/);
      }),
    );
    expect(isEtag(`"${'x'.repeat(5000)}"`)).toBe(false);
  });
});
