// Focuses with names: each shows a figure of the proof that a campaign over everything comes near too seldom.
export const FOCUSES = {
  // Two to four processes at one window, and such as are stalled for up to ten leases, over sinks that take whatever
  // they are sent.
  splits: {
    rungs: ['none', 'look', 'fence-then-look'],
    swarm: { pause: 150, twin: 800, kill: 0, 'power-cut': 0 },
    change: { leaseMs: 3000, stallLeases: 10, rows: 3, windows: 1, lanes: 1 },
  },
};

/** By its name, or as JSON. */
export function focusOf(text) {
  if (text === undefined) return undefined;
  if (text.startsWith('{')) return JSON.parse(text);
  const found = FOCUSES[text];
  if (found === undefined) throw new Error(`no focus ${text}; there are: ${Object.keys(FOCUSES).join(', ')}`);
  return found;
}
