/**
 * Interesting states that every campaign must have been in: a harness that no longer gets into them proves nothing,
 * however long it runs. Each is marked where it is seen.
 */
export const REQUIRED_MARKS = [
  'killed before an effect',
  'killed after an effect',
  'a process was stalled',
  'a shard was taken over',
  'two processes on one window',
  'the power was cut',
  'the power was cut while something was not synced',
  'the wall clock jumped',
  'a run was paused',
  'answer in the journal',
  'a request arrived while somebody waited for it',
  'a request arrived after its sender had given it up',
  'a request of a dead process arrived',
  'an older fence was turned away by the sink',
  'a repeat was recognised by its key',
  'a repeat was recognised by its marker',
  'a repeat was recognised by its position',
  'a person settled: delivered',
  'a person settled: absent',
  'a person settled: resend',
  'a person settled: skip',
  'a doubt was settled: absent',
  'a doubt was settled: known',
  'a doubt was settled: repeat',
  'a doubt was settled: resend',
  'a doubt was settled: skip',
  'an attempt was lost by a takeover',
  'a generation was abandoned',
  'a generation was gone on with',
  'a start was refused: somebody holds the lease',
  'a writer was fenced',
  'killed while it recovered',
] as const;

/** Those of them that were never seen. */
export const missingMarks = (seen: ReadonlyMap<string, number>): readonly string[] =>
  REQUIRED_MARKS.filter((mark) => (seen.get(mark) ?? 0) === 0);
