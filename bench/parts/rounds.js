// Several kinds of doing one thing, in turns, so that whatever else the machine does meets all of them.
import { median } from './measure.js';

/**
 * `before` and `after` are outside of the clock; `after` throws when a kind did not do what it should. The first round
 * only warms up. Answers what each kind took, round by round.
 */
export async function inTurns(kinds, rounds, { before, after }) {
  const results = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [kind, work] of Object.entries(kinds)) {
      await before(kind);
      const result = await work();
      await after(kind, result);
      if (round > 0) results[kind].push(result);
    }
  }
  return results;
}

export const of = (rounds, figure) => rounds.map((round) => round[figure]);

/** The figures of a kind for each row; what the server used beside it, and what was held, where that was measured. */
export function figuresOf(rounds, rows) {
  const seconds = median(of(rounds, 'seconds'));
  const server = rounds[0].serverCpuSeconds === undefined ? undefined : median(of(rounds, 'serverCpuSeconds'));
  const peak = rounds[0].peakMb === undefined ? undefined : Math.max(...of(rounds, 'peakMb'));
  return {
    seconds,
    fastest: Math.min(...of(rounds, 'seconds')),
    rowsPerSecond: rows / seconds,
    cpuMicrosecondsPerRow: (median(of(rounds, 'cpuSeconds')) * 1e6) / rows,
    ...(server !== undefined && { serverCpuMicrosecondsPerRow: (server * 1e6) / rows }),
    ...(peak !== undefined && { peakRssMb: peak }),
  };
}

/** How many times as fast as the limit: by medians, and in the best of the rounds that followed one another. */
export function against(limit, rounds) {
  return {
    ratio: median(of(limit, 'seconds')) / median(of(rounds, 'seconds')),
    best: Math.max(...rounds.map((one, at) => limit[at].seconds / one.seconds)),
  };
}
