/**
 * The rungs of the settle ladder, from the surest to none at all: how a lost answer is decided. The name of the rung
 * is the effective guarantee that `waybill plan` prints.
 */
export const RUNGS = ['marker', 'position', 'key', 'job', 'fence-then-look', 'look', 'put', 'none'] as const;
export type Rung = (typeof RUNGS)[number];

/** What to do with a doubt that nothing can decide. */
export const DOUBT_POLICIES = ['hold', 'resend', 'skip'] as const;
export type DoubtPolicy = (typeof DOUBT_POLICIES)[number];

/** What a lane can promise, in the words that `plan`, the page and the docs show. */
export interface Guarantee {
  readonly rung: Rung;
  /** One sentence: `Each record is in the sink once.` */
  readonly promise: string;
  /** What the promise rests on that Waybill cannot check: `the sink answers within 30 s`. */
  readonly assumptions: readonly string[];
  /** What a crash leaves behind at each point of a send. */
  readonly crash: readonly CrashPoint[];
}

export interface CrashPoint {
  readonly point:
    | 'before the intent'
    | 'between intent and answer'
    | 'after the answer, before it was recorded'
    | 'after the record'
    | 'before the load is published'
    | 'while the load is published';
  readonly consequence: string;
}
