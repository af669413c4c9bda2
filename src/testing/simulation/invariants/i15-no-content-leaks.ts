import type { Evidence } from '../evidence.ts';
import { CANARY } from '../source-model.ts';

/** I15: what stands in records stands in no event, row, notice, error or evidence. */
export function noContentLeaks({ final, book }: Evidence): void {
  const { batches, records, ...rest } = final;
  void records;
  const rows = [...batches.values()].map(({ row }) => row);
  const told = JSON.stringify([rest, rows, book.said]);
  book.check('I15', !told.includes(CANARY), () => `content of a record in ${around(told)}`);
}

function around(text: string): string {
  const at = text.indexOf(CANARY);
  return text.slice(Math.max(0, at - 120), at + 40);
}
