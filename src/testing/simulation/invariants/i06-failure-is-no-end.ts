import type { Seen } from '../book.ts';
import type { Evidence } from '../evidence.ts';

/** I6: a source that fails does not pass for one that has ended, and takes nothing away from the sink. */
export function failureIsNoEnd({ machine, book }: Evidence): void {
  for (const reading of machine.source.readings) {
    if (!reading.failed) continue;
    const closed = book.closed.some((one) => one.reading === reading);
    book.check('I6', !closed, () => `a generation of ${reading.window} was closed with a reading that failed`);
    // A start that was told to stop says so, whatever its source has to say afterwards.
    if (reading.failedOnTheWayOut) continue;
    const ran = book.seen.find((one) => one.process === reading.process && !wasToldToStop(one));
    book.check('I6', ran === undefined, () => `${reading.process} ended well although its reading failed`);
  }
}

/** By a person, while what its source had said still waited for its turn. */
const wasToldToStop = ({ run }: Seen): boolean => run.paused || run.state === 'cancelled';
