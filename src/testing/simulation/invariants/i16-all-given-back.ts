import type { Evidence } from '../evidence.ts';

/** I16: a process that ends by itself leaves no timer, call, file or lease behind. */
export function allGivenBack({ book, final, machine, supervisor }: Evidence): void {
  for (const { process, left } of book.endings) {
    const none = left.timers === 0 && left.effects === 0 && left.writers === 0;
    book.check('I16', none, () => `${process} left ${JSON.stringify(left)} behind`);
  }
  const open = machine.disk.openAnswers;
  book.check('I16', !supervisor.idle || open === 0, () => `${open} answers are left in the journal`);
  for (const run of final.runs) {
    const ending = book.endings.find((one) => one.process === run.owner);
    if (ending === undefined || ending.error !== undefined) continue;
    const over = (run.leaseUntilMs ?? 0) <= machine.world.wallMs;
    book.check('I16', over, () => `${run.owner} has ended and still holds ${run.flow} for ${run.window.name}`);
  }
}
