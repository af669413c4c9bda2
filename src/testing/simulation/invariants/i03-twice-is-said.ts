import type { Evidence } from '../evidence.ts';

/** I3: a record is in the sink more than once only where the sink replaces, or where the ledger says so. */
export function twiceIsSaid({ taken, book, scenario, possiblyTwice }: Evidence): void {
  if (scenario.rung === 'put') return;
  for (const [name, effects] of taken) {
    const identity = name.slice(name.indexOf('/') + 1);
    const fine = effects.length === 1 || possiblyTwice.has(identity);
    book.check('I3', fine, () => {
      const ways = effects.map(({ request, atMs }) => `b${request.batch.id}#${request.attempt}@${atMs}`);
      return `record ${name} was taken ${effects.length} times and nothing says so: ${ways.join(', ')}`;
    });
  }
}
