import type { Answer } from '../ledger/ledger.ts';
import { assertNever } from '../model/assert.ts';
import { mask } from '../model/masking.ts';
import type { Receipt } from '../model/receipt.ts';
import type { Refusal } from '../model/verdict.ts';

/** Sinks and their drivers quote what they were sent. What the ledger keeps of an answer holds no secret. */
export function withoutSecrets(answer: Answer): Answer {
  switch (answer.kind) {
    case 'verdict':
      return { ...answer, refusals: maskedRefusals(answer.refusals), receipt: maskedReceipt(answer.receipt) };
    case 'not-applied':
      return { ...answer, reason: mask(answer.reason) };
    case 'refused':
      return { ...answer, message: mask(answer.message), receipt: maskedReceipt(answer.receipt) };
    case 'lost':
      return { ...answer, evidence: mask(answer.evidence) };
    default:
      return assertNever(answer);
  }
}

export const maskedRefusals = (refusals: readonly Refusal[]): readonly Refusal[] =>
  refusals.map((refusal) => ({ ...refusal, code: mask(refusal.code), message: mask(refusal.message) }));

/** The position stays as it is: the next batch is sent with it. */
export function maskedReceipt(receipt: Receipt): Receipt {
  const { summary, reference, excerpt } = receipt;
  return {
    ...receipt,
    summary: mask(summary),
    ...(reference === undefined ? {} : { reference: mask(reference) }),
    ...(excerpt === undefined ? {} : { excerpt: mask(excerpt) }),
  };
}
