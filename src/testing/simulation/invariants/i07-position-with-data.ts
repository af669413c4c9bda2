import type { Evidence } from '../evidence.ts';

/** I7: within a generation the position only goes forward, and never beyond what was read. */
export function positionWithData({ book }: Evidence): void {
  const last = new Map<string, { rows: number; place: number }>();
  for (const { run, generation, rows, position, process } of book.seals) {
    if (position === undefined) continue;
    const name = `${run}/${generation}`;
    const before = last.get(name) ?? { rows: 0, place: -1 };
    const forward = rows >= before.rows && Number(position) >= before.place;
    book.check('I7', forward, () => `${process} sealed position ${position} after ${before.place} in ${name}`);
    last.set(name, { rows, place: Number(position) });
  }
}
