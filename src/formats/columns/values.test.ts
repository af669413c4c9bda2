import { expect, test } from 'vitest';
import { readText } from './values.ts';

const bytes = (text: string) => readText({ kind: 'bytes' }, text);

test('bytes are base64 or hex, of any length that a record may have', () => {
  for (const text of ['', 'QQ==', 'QUI=', 'QUJD', 'QUJDRA==']) expect(bytes(text)).toBe(text);
  expect(bytes('\\x4142')).toBe('QUI=');
  for (const text of ['Q', 'QQ', 'QQ=', '=', '====', 'Q===', 'QUI=QUJD', 'QU!D', '\\x4', '\\x4g', 'QQ==\n']) {
    expect(() => bytes(text), JSON.stringify(text)).toThrow('no base64');
  }
  // A lane with such a value was sent again and again without end: the check of it used up the stack.
  const long = 'QUJD'.repeat(10_000_000);
  expect(bytes(long) === long).toBe(true);
  expect(() => bytes(`${long}!`)).toThrow('no base64');
  expect(bytes(`\\x${'41'.repeat(20_000_000)}`)).toHaveLength(26_666_668);
});
