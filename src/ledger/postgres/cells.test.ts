import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fromText, toParam, toText, typeParser } from './cells.ts';

it('a text comes back as it was, whatever characters it holds, and holds no NUL on its way', () => {
  const letters = fc.constantFrom('\0', '\x10', '@', 'P', 'a', '\\', 'é');
  fc.assert(
    fc.property(fc.array(letters), (word) => {
      const text = word.join('');
      expect(toText(text)).not.toContain('\0');
      expect(fromText(toText(text))).toBe(text);
    }),
  );
});

it('different texts stay different', () => {
  const texts = ['\0', '@', '\x10', '\x10@', '\x10P', 'P', '\x10\0', '\0\x10'];
  expect(new Set(texts.map(toText)).size).toBe(texts.length);
});

it('numbers, bytes and nothing pass as they are', () => {
  const bytes = new Uint8Array([0, 255]);
  expect([toParam(3), toParam(null), toParam(bytes)]).toEqual([3, null, bytes]);
  expect(typeParser(20)('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
  expect(typeParser(701)(String(0.1 + 0.2))).toBe(0.1 + 0.2);
  expect(typeParser(17)('\\x00ff')).toEqual(Buffer.from(bytes));
  expect(typeParser(25)('plain')).toBe('plain');
});
