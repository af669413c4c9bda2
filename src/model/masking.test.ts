import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hideSecret, mask } from './masking.ts';

const escapedOnce = (text: string): string => JSON.stringify(text).slice(1, -1);

/** How encoders that are met in the wild write a text. */
const SPELLINGS: Readonly<Record<string, (text: string) => string>> = {
  'an address in lower case': (text) => encodeURIComponent(text).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
  'an address within an address': (text) => encodeURIComponent(encodeURIComponent(text)),
  'every byte in percent': (text) =>
    [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  'JSON in JSON': (text) => escapedOnce(escapedOnce(text)),
  'JSON in JSON in JSON': (text) => escapedOnce(escapedOnce(escapedOnce(text))),
  'JSON in ASCII': (text) => escapedOnce(text).replace(/[^ -~]/gu, (sign) => escapedUnits(sign)),
  'JSON with escaped slashes': (text) => escapedOnce(text).replaceAll('/', '\\/'),
  'a web page': (text) =>
    text.replace(/[&<>"']/g, (sign) => `&${{ '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot', "'": '#39' }[sign]};`),
  'hexadecimal digits': (text) => Buffer.from(text).toString('hex'),
};

const escapedUnits = (sign: string): string =>
  Array.from({ length: sign.length }, (_, at) => `\\u${sign.charCodeAt(at).toString(16).padStart(4, '0')}`).join('');

describe('masking', () => {
  it('takes no longer for a text that is almost a secret everywhere', () => {
    hideSecret('\\\\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"');
    const texts = ['\\'.repeat(200_000), 'a'.repeat(200_000), '%25'.repeat(60_000), '&amp;'.repeat(40_000)];
    const started = performance.now();
    for (const text of texts) mask(text);
    expect(performance.now() - started).toBeLessThan(3_000);
  });

  it.each(Object.entries(SPELLINGS))('U23: hides a secret that is written as %s', (_name, spell) => {
    const secrets = fc.string({
      unit: fc.constantFrom(...'abcXYZ019 "\\/+&=?%:<>\'é✓😀'),
      minLength: 6,
      maxLength: 30,
    });
    fc.assert(
      fc.property(secrets, (value) => {
        fc.pre(value.trim().length >= 5);
        hideSecret(value);
        const spelled = spell(value.trim());
        expect(mask(`before ${spelled} after`)).toBe('before *** after');
      }),
      { numRuns: 20 },
    );
  });
});
