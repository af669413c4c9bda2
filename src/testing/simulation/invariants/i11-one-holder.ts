import type { Evidence } from '../evidence.ts';

/** I11: only who holds the shard sends, and only under an intent that is durable. */
export function oneHolder({ book }: Evidence): void {
  for (const { request, claim, intended, clockJumped } of book.sends) {
    const name = `b${request.batch.id} attempt ${request.attempt}`;
    book.check('I11', intended, () => `${request.sender} sent ${name} without an intent of its own`);
    if (clockJumped) continue;
    const holds = claim?.fence === request.fence && claim.process === request.sender;
    book.check('I11', holds, () => `${request.sender} sent ${name}, held by ${claim?.process} fence ${claim?.fence}`);
  }
}
