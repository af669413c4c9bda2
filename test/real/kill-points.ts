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

export type Roll = (from: number, to: number) => number;

/** What stands between a process and the world; not every world has each. */
export type Way = 'api' | 'warehouse' | 'table' | 'ledger';
export type Proxies = Readonly<Partial<Record<Way, CutProxy>>>;

/** How a process reads, what its sink offers against doubts, and how often this round has been killed in before. */
export interface Kind {
  readonly mode: 'copy' | 'cursor';
  readonly sort: string;
  readonly kills: number;
}

/**
 * A moment in the life of a process that can be seen from outside, because one of its messages stands at a proxy then:
 * there it is held, and the process is killed while it waits.
 */
export interface KillPoint {
  readonly name: string;
  readonly through: Way;
  /** Whether a process of this kind comes by here at all. */
  fits?(kind: Kind): boolean;
  /** `roll` chooses which of the messages, and where in it. */
  cut(roll: Roll, kind: Kind): Cut;
}

type Hold = Pick<Cut, 'side' | 'at' | 'act'>;

const EVENTS = 'POST /v1/events';
const api = (name: string, cut: Hold): KillPoint => ({
  name,
  through: 'api',
  cut: (roll) => ({ ...cut, times: 1, when: { holds: EVENTS, every: roll(1, 12) } }),
});

/** One of the first `among` messages that hold the text, or of all. */
const server = (name: string, through: Way, side: Cut['side'], among: number, holds?: string): KillPoint => ({
  name,
  through,
  cut: (roll) => ({
    side,
    at: 0,
    act: 'hold',
    times: 1,
    when: { every: roll(1, among + 1), ...(holds === undefined ? {} : { holds }) },
  }),
});

const POINTS: readonly KillPoint[] = [
  server('while it connects to the source', 'warehouse', 'request', 1),
  {
    name: 'while the rows are read',
    through: 'warehouse',
    cut: (roll, { mode }) => ({
      side: 'answer',
      at: roll(0, 120_000),
      act: 'hold',
      times: 1,
      when: { holds: mode === 'copy' ? 'copy (' : 'fetch' },
    }),
  },
  server('when the rows have been read', 'warehouse', 'request', 1, 'commit'),
  api('before a request leaves', { side: 'request', at: 0, act: 'hold' }),
  api('in the middle of a request', { side: 'request', at: { after: '"name"' }, act: 'hold' }),
  api('behind a request', { side: 'request', at: 'end', act: 'hold' }),
  api('before an answer', { side: 'answer', at: 0, act: 'hold' }),
  api('in the middle of an answer', { side: 'answer', at: 15, act: 'hold' }),
  api('behind an answer', { side: 'answer', at: 'end', act: 'hold' }),
  api('with a request on the wire that arrives after its death', { side: 'request', at: 0, act: 'late' }),
  {
    name: 'while it asks the API what became of a batch',
    through: 'api',
    // Nothing is asked before something was lost.
    fits: ({ sort, kills }) => sort === 'look' && kills > 0,
    cut: (roll) => ({ side: 'answer', at: roll(0, 20), act: 'hold', times: 1, when: { holds: '/lookup' } }),
  },
  server('before a message to the tables', 'table', 'request', 80),
  server('before an answer of the tables', 'table', 'answer', 80),
  server('before the tables hear of a commit', 'table', 'request', 20, 'commit'),
  server('before the answer to a commit of the tables', 'table', 'answer', 20, 'commit'),
  server('before a message to the ledger', 'ledger', 'request', 60),
  server('before an answer of the ledger', 'ledger', 'answer', 60),
  server('before the ledger hears of a commit', 'ledger', 'request', 12, 'COMMIT'),
  server('before the answer to a commit of the ledger', 'ledger', 'answer', 12, 'COMMIT'),
];

/** Those that a process of this kind can come by, where these proxies stand. */
export const pointsFor = (kind: Kind, proxies: Proxies): readonly KillPoint[] =>
  POINTS.filter((point) => proxies[point.through] !== undefined && (point.fits?.(kind) ?? true));
