import { packKeyText } from '../../../formats/keys.ts';
import type { Evidence } from '../evidence.ts';

/** I9: keys come from content alone: not from batches, order, attempts or late data. */
export function keysStay({ book, machine, scenario }: Evidence): void {
  const batchOf = new Map<string, number>();
  for (const { request } of book.sends) {
    const { idempotencyKey, id } = request.batch;
    const known = batchOf.get(idempotencyKey) ?? id;
    batchOf.set(idempotencyKey, id);
    book.check('I9', known === id, () => `b${known} and b${id} have one idempotency key`);
    if (!scenario.keyed) continue;
    request.texts.forEach((text, at) => {
      const { id: name } = JSON.parse(text) as { id: string };
      const key = Buffer.from(packKeyText([name], machine.bench.identity.seed)).toString('hex');
      book.check('I9', key === request.keys[at], () => `${name} left under the key ${request.keys[at]}`);
    });
  }
}
