import { expect, it } from 'vitest';
import type { BatchRow } from '../ledger/ledger.ts';
import { UnkeptBytes } from './unkept-bytes.ts';

type Batch = Parameters<UnkeptBytes['through']>[0];

const batch = (id: number, root?: number): Batch =>
  ({ id, ...(root === undefined ? {} : { root }), staged: { segment: 's', offset: root ?? id } }) as Batch;

function setting() {
  const gone: number[] = [];
  const unkept = new UnkeptBytes({ letGo: ({ staged }: Pick<BatchRow, 'staged'>) => void gone.push(staged.offset) });
  return { unkept, gone };
}

it('lets go of a batch when it is through', () => {
  const { unkept, gone } = setting();
  unkept.through(batch(1));
  unkept.through(batch(2));
  expect(gone).toEqual([1, 2]);
});

it('holds what children are cut out of, and their children, until the last of them is through', () => {
  const { unkept, gone } = setting();
  unkept.through(batch(1), 2);
  unkept.through(batch(2, 1), 2);
  unkept.through(batch(4, 1));
  unkept.through(batch(3, 1));
  expect(gone).toEqual([]);
  unkept.through(batch(5, 1));
  expect(gone).toEqual([1]);
});
