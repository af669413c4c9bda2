import { expect, it } from 'vitest';
import { readsBack } from './read-back.ts';

const at = (root: string, path: string) => ({ root, path });

it.each([
  ['the file itself', at('/data', 'a.csv'), at('/data', 'a.csv')],
  ['the file itself, spelled in another way', at('/data/', './a.csv'), at('/data/in/..', 'a.csv')],
  ['a name that the pattern fits', at('/data', '*.csv'), at('/data', 'out.csv')],
  ['a name in a folder that the pattern goes into', at('/data', '**/*.csv'), at('/data/out', 'all.csv')],
  ['a file of each window', at('/data', '{{ window }}.csv'), at('/data', '{{ window }}.csv')],
  ['a file of each batch', at('/data', '2026/*/*.csv'), at('/data/2026', '{{ window }}/{{ batch }}.csv')],
  ['an object of a bucket', at('lake', 'orders/**'), at('lake', 'orders/{{ batch }}.ndjson')],
])('says that a source reads back %s', (_what, source, sink) => {
  expect(readsBack(source, sink)).toBe(true);
});

it.each([
  ['another name', at('/data', 'a.csv'), at('/data', 'b.csv')],
  ['another ending', at('/data', '*.csv'), at('/data', 'out.ndjson')],
  ['another folder', at('/data', '*.csv'), at('/data', 'out/all.csv')],
  ['a folder above', at('/data/in', '**/*.csv'), at('/data', 'all.csv')],
  ['a folder whose name begins in the same way', at('/data', '**/*.csv'), at('/database', 'all.csv')],
  ['a folder that patterns pass over', at('/data', '**/*.csv'), at('/data', '.out/all.csv')],
  ['another bucket', at('lake', '**'), at('pond', 'orders.ndjson')],
])('says that a source does not read %s', (_what, source, sink) => {
  expect(readsBack(source, sink)).toBe(false);
});
