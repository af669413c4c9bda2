import { expect, test } from 'vitest';
import { inputText } from './input-text.ts';
import type { TableColumn } from './table.ts';

test('an item of an array may be a long string, and hold quotes, braces and backslashes', () => {
  const column = { name: 'a', kind: 'text', array: true } as unknown as TableColumn;
  expect(inputText(column, String.raw`["a\"],[", "b\\", "}{", null]`)).toBe(String.raw`{"a\"],[","b\\","}{",NULL}`);
  const long = 'x'.repeat(20_000_000);
  expect(inputText(column, `["${long}","y"]`) === `{"${long}","y"}`).toBe(true);
});
