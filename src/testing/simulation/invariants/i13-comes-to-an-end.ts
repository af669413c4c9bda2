import type { Evidence } from '../evidence.ts';

/** I13: once the faults have stopped, everything is done, or listed, within a bounded time. */
export function comesToAnEnd({ supervisor, course, book, final }: Evidence): void {
  book.check('I13', course.how !== 'livelock', () => 'events without end');
  for (const task of supervisor.tasks) {
    book.check('I13', task.state !== 'waiting', () => {
      const { run, stalled, lanes } = task.last ?? {};
      const last = JSON.stringify({ state: run?.state, stalled, lanes: lanes?.map((lane) => lane.balance) });
      return `${task.window.name} was started ${task.starts} times and is not done (${course.how}): ${last}`;
    });
  }
  for (const [name, balance] of final.balances) {
    const run = final.runs.find((one) => name.startsWith(`${one.id}/`));
    // What a process left on its way is made a doubt by the first start that finds its lease over; there may be none.
    const left = [...final.batches.values()].filter(({ row }) => row.run === run?.id && row.state === 'sending');
    if (run?.state === 'cancelled' && left.length > 0) continue;
    book.check('I13', !supervisor.idle || balance.pending === 0, () => `${name} has ${balance.pending} pending`);
  }
}
