import type { Evidence } from '../evidence.ts';

/**
 * I22: at no time would a crash put more batches of a lane in doubt than may be under way at once, and those whose
 * intents may be written ahead of them.
 */
export function fewAreExposed({ book, scenario }: Evidence): void {
  const most = scenario.inFlight + scenario.intendAhead;
  for (const { process, lane, attempts } of book.exposures) {
    const told = `${process} had ${attempts.length} attempts of ${lane} open at once: ${attempts.join(' ')}`;
    book.check('I22', attempts.length <= most, () => `${told}; ${most} at most were to be`);
  }
}
