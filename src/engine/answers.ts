import type { Answer, Child } from '../ledger/ledger.ts';
import type { Payload } from '../model/batch.ts';
import { describeError, describeWithAdvice, NotAppliedError, RefusedError } from '../model/errors.ts';
import type { Rung } from '../model/guarantee.ts';
import { type Refusal, tally, type Verdict } from '../model/verdict.ts';
import type { Payloads } from './payloads.ts';

/** What an attempt came to, and what that says about the sink. */
export interface Heard {
  readonly answer: Answer;
  /** The sink asked to be left alone for so long. */
  readonly retryAfterMs?: number;
  /** The sink as a whole cannot be reached. */
  readonly sinkAway?: boolean;
  /** The sink answered "not now": too many requests. */
  readonly throttled?: boolean;
  /** The sink refuses whatever is sent this way: no use in going on. */
  readonly hopeless?: string;
  /** Nothing was tried: its turn came when nothing was to be sent any more. */
  readonly unsent?: boolean;
}

/** An intent that was written ahead and given up before a byte left. */
export function heardUnsent(why: string): Heard {
  return { answer: { kind: 'not-applied', reason: `it was not sent: ${why}` }, unsent: true };
}

/** What came of a question without whose answer there is no attempt. */
export function heardUnasked(error: NotAppliedError | RefusedError): Heard {
  const reason = describeWithAdvice(error);
  const about = error instanceof RefusedError ? { hopeless: reason } : { sinkAway: true };
  return { answer: { kind: 'not-applied', reason }, ...about };
}

/** On these rungs a repeat of the whole batch brings the whole verdict, so a half-known one is not worth keeping. */
const WHOLE: ReadonlySet<Rung> = new Set(['marker', 'position', 'key', 'put']);

/** Reads a verdict. Whatever does not add up proves nothing, and nothing is taken for applied. */
export function heardVerdict(verdict: Verdict, sent: { payload: Payload; rung: Rung; payloads: Payloads }): Heard {
  const records = sent.payload.spans.length / 2;
  const counts = soundly(verdict, records);
  if (counts === undefined) {
    return { answer: { kind: 'lost', evidence: "the sink's answer does not account for what was sent" } };
  }
  if (counts.unknown > 0 && (WHOLE.has(sent.rung) || counts.unknown === records)) {
    return { answer: { kind: 'lost', evidence: evidenceOf(verdict) }, ...after(verdict.retryAfterMs) };
  }
  return {
    answer: {
      kind: 'verdict',
      outcomes: verdict.outcomes,
      refusals: verdict.refusals,
      receipt: verdict.receipt,
      children: childrenOf(verdict.refusals, sent),
    },
    ...after(verdict.retryAfterMs),
  };
}

/** The records that may pass later make a batch of their own. */
export function childrenOf(
  refusals: readonly Refusal[],
  sent: { payload: Payload; payloads: Payloads },
): readonly Child[] {
  const again = refusals.filter((refusal) => refusal.retryable).map((refusal) => refusal.index);
  return again.length === 0 ? [] : [sent.payloads.child(sent.payload, again, 'records that were refused for now')];
}

/** Reads what a sink threw: proved not applied, proved refused, or no proof at all. */
export function heardError(
  error: unknown,
  sent: { payload: Payload; payloads: Payloads; rejectsAtomically: boolean },
): Heard {
  if (error instanceof NotAppliedError) {
    return {
      answer: { kind: 'not-applied', reason: describeWithAdvice(error) },
      sinkAway: error.sinkAway,
      throttled: !error.sinkAway,
      ...after(error.retryAfterMs),
    };
  }
  if (!(error instanceof RefusedError)) return { answer: { kind: 'lost', evidence: describeError(error) } };
  if (error.about === 'request') {
    const reason = describeWithAdvice(error);
    return { answer: { kind: 'not-applied', reason }, hopeless: reason };
  }
  const divisible = sent.payload.spans.length > 2 && (sent.rejectsAtomically || error.tooLarge);
  const reason = error.tooLarge ? 'the sink takes less at once' : 'the sink refuses something in it';
  return {
    answer: {
      kind: 'refused',
      code: error.reason,
      message: error.message,
      receipt: error.receipt ?? { summary: error.message },
      children: divisible ? sent.payloads.halves(sent.payload, reason) : [],
    },
  };
}

const after = (ms: number | undefined): { retryAfterMs?: number } => (ms === undefined ? {} : { retryAfterMs: ms });

function soundly(verdict: Verdict, sent: number): ReturnType<typeof tally> | undefined {
  try {
    return tally(verdict, sent);
  } catch {
    // The sink's fault, not ours: the batch is in doubt, with this as its evidence.
    return undefined;
  }
}

function evidenceOf(verdict: Verdict): string {
  const { summary, excerpt = '' } = verdict.receipt;
  return excerpt === '' ? summary : `${summary}; the answer begins: ${excerpt.slice(0, 200)}`;
}
