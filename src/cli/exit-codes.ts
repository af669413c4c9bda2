/** What each exit code means; every command's help lists those that it can end with. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  inDoubt: 4,
  temporary: 5,
  leaseHeld: 6,
  difference: 7,
  interrupted: 130,
  terminated: 143,
} as const;

export const EXIT_MEANINGS: Readonly<Record<number, string>> = {
  0: 'all went well; for a run: every record is delivered or was left out on purpose',
  1: 'failed in a way that has no number of its own',
  2: 'the command line or the flow file is wrong; nothing was begun',
  3: 'finished, and some records were refused',
  4: 'some batches are in doubt: `waybill doubts` lists them',
  5: 'a temporary failure: the same command may succeed later',
  6: 'another process holds the lease of this window',
  7: 'a verification found a difference',
  130: 'interrupted (Ctrl-C); says how to go on',
  143: 'terminated (SIGTERM); says how to go on',
};

/**
 * Which code speaks for several windows or several findings. An interruption is what the caller did; then what needs
 * a person (a bug, a wrong flow file, a doubt), then what a later start mends by itself, then what is only to be known.
 * Doubt wins over refused: a refused record is proved to be nowhere, one in doubt may be in the sink.
 */
const PRECEDENCE: readonly number[] = [130, 143, 1, 2, 7, 4, 5, 6, 3];

export function worstOf(codes: Iterable<number>): number {
  const seen = new Set(codes);
  return PRECEDENCE.find((code) => seen.has(code)) ?? [...seen].find((code) => code !== 0) ?? EXIT.ok;
}
