import { expect, it } from 'vitest';
import { postgres } from './config.ts';

// The server cuts a longer name off and says so in a notice only: two flows would meet in one table.
it.each([
  ['t'.repeat(63), true],
  ['t'.repeat(64), false],
  // 32 letters of two bytes each.
  ['ü'.repeat(32), false],
  [`${'s'.repeat(63)}.${'t'.repeat(63)}`, true],
  [['sales', 't'.repeat(64)], false],
])('a sink takes a table called %s: %s', (table, taken) => {
  const { error } = postgres.sink!.settings.safeParse({ table });
  expect(error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)).toEqual(
    taken ? undefined : ['table: has more than the 63 bytes that names have in PostgreSQL, which would cut it off'],
  );
});
