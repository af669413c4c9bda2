import type { Cut } from '../../src/testing/faults/cut.ts';
import type { CutProxy } from '../../src/testing/faults/cut-proxy.ts';

/** Whole numbers at least `from` and below `to`, the same for the same seed: the steps of mulberry32. */
export function chances(seed: number): Roll {
  let state = seed >>> 0;
  return (from, to) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mix = Math.imul(state ^ (state >>> 15), state | 1);
    mix ^= mix + Math.imul(mix ^ (mix >>> 7), mix | 61);
    return from + Math.floor((((mix ^ (mix >>> 14)) >>> 0) / 2 ** 32) * (to - from));
  };
}

/** The two proxies that stand between a process and the world. */
export interface Proxies {
  readonly api: CutProxy;
  readonly warehouse: CutProxy;
}

/**
 * A moment in the life of a process that can be seen from outside, because one of its messages stands at the proxy
 * then: there it is held, and the process is killed while it waits.
 */
export interface KillPoint {
  readonly name: string;
  readonly through: keyof Proxies;
  /** Whether a process of this kind comes by here at all. */
  fits?(kind: Kind): boolean;
  /** `roll` chooses which of the messages, and where in it. */
  cut(roll: Roll, kind: Kind): Cut;
}

export type Roll = (from: number, to: number) => number;

/** How a process reads, and what its sink offers against doubts. */
export interface Kind {
  readonly mode: 'copy' | 'cursor';
  readonly rung: string;
  /** How often this window has been killed in before. */
  readonly kills: number;
}

const EVENTS = 'POST /v1/events';
const api = (name: string, cut: Pick<Cut, 'side' | 'at' | 'act'>, holds = EVENTS): KillPoint => ({
  name,
  through: 'api',
  cut: (roll) => ({ ...cut, times: 1, when: { holds, every: roll(1, 12) } }),
});

export const KILL_POINTS: readonly KillPoint[] = [
  {
    name: 'while it connects to the source',
    through: 'warehouse',
    cut: () => ({ side: 'request', at: 0, act: 'hold', times: 1 }),
  },
  {
    name: 'while the rows are read',
    through: 'warehouse',
    cut: (roll, { mode }) => ({
      side: 'answer',
      at: roll(0, 40_000),
      act: 'hold',
      times: 1,
      when: { holds: mode === 'copy' ? 'copy (' : 'fetch' },
    }),
  },
  {
    name: 'when the rows have been read',
    through: 'warehouse',
    cut: () => ({ side: 'request', at: 0, act: 'hold', times: 1, when: { holds: 'commit' } }),
  },
  api('before a request leaves', { side: 'request', at: 0, act: 'hold' }),
  api('in the middle of a request', { side: 'request', at: { after: '"name"' }, act: 'hold' }),
  api('behind a request', { side: 'request', at: 'end', act: 'hold' }),
  api('before an answer', { side: 'answer', at: 0, act: 'hold' }),
  api('in the middle of an answer', { side: 'answer', at: 15, act: 'hold' }),
  api('behind an answer', { side: 'answer', at: 'end', act: 'hold' }),
  api('with a request on the wire that arrives after its death', { side: 'request', at: 0, act: 'late' }),
  {
    name: 'while it asks the sink what became of a batch',
    through: 'api',
    // Nothing is asked before something was lost.
    fits: ({ rung, kills }) => rung === 'look' && kills > 0,
    cut: (roll) => ({ side: 'answer', at: roll(0, 20), act: 'hold', times: 1, when: { holds: '/lookup' } }),
  },
];
