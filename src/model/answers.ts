import { NotAppliedError, RefusedError, WaybillError } from './errors.ts';
import { OUTCOME, type Outcome, type Refusal, type Verdict } from './verdict.ts';

/**
 * What a store that answers command by command said of one record. `refused`: it was not applied, and the same again
 * would bring the same answer. `later`: it was not applied, and may pass another time. `request`: it was not applied,
 * and no record is to blame: whatever is sent this way would be refused. `unknown`: no answer, or one that proves
 * nothing.
 */
export type Answer =
  | { readonly kind: 'applied' }
  | {
      readonly kind: 'refused' | 'later' | 'request' | 'unknown';
      /** The store's own word for it. */
      readonly code: string;
      readonly message: string;
      /** The store as a whole is away. */
      readonly sinkAway?: boolean;
      readonly hint?: string;
    };

export const APPLIED: Answer = { kind: 'applied' };

const OUTCOMES: Readonly<Record<Answer['kind'], Outcome>> = {
  applied: OUTCOME.applied,
  refused: OUTCOME.refused,
  later: OUTCOME.refused,
  request: OUTCOME.refused,
  unknown: OUTCOME.unknown,
};

/**
 * The answers of all records of a batch, in its order, as a sink has to give them. Throws NotAppliedError when each of
 * them may pass later, RefusedError when the request is to blame for each, SINK_FAILED when nothing is known of any.
 */
export function verdictOfAnswers(answers: readonly Answer[], what: string): Verdict {
  const first = answers[0];
  if (first !== undefined && answers.every(({ kind }) => kind === first.kind)) throwIfAlike(first, answers, what);
  const refusals = answers.flatMap((answer, index): Refusal[] => {
    if (answer.kind === 'applied' || answer.kind === 'unknown') return [];
    const { code, message } = answer;
    return [{ index, code, message, retryable: answer.kind !== 'refused' }];
  });
  const count = (kind: Answer['kind']): number => answers.filter((answer) => answer.kind === kind).length;
  const parts = [
    `${count('applied')} of ${answers.length} ${what}`,
    ...(refusals.length === 0 ? [] : [`${refusals.length} refused`]),
    ...(count('unknown') === 0 ? [] : [`${count('unknown')} without an answer`]),
  ];
  return {
    outcomes: Uint8Array.from(answers, ({ kind }) => OUTCOMES[kind]),
    refusals,
    receipt: { summary: parts.join(', ') },
  };
}

function throwIfAlike(first: Answer, answers: readonly Answer[], what: string): void {
  if (first.kind === 'applied' || first.kind === 'refused') return;
  const sinkAway = answers.some((answer) => answer.kind === 'later' && answer.sinkAway === true);
  throw errorOfAll({ ...first, ...(first.kind === 'later' ? { sinkAway } : {}) }, what);
}

/** The error of a batch of which every record got this answer. `what`: what did not become of it, such as `written`. */
export function errorOfAll(answer: Exclude<Answer, { kind: 'applied' }>, what: string): WaybillError {
  const { kind, code, message, hint, sinkAway } = answer;
  const details = { ids: { code }, ...(hint === undefined ? {} : { hint }) };
  if (kind === 'unknown') {
    return new WaybillError('SINK_FAILED', `no record of the batch is known to be ${what}: ${message}`, details);
  }
  if (kind === 'later') {
    return new NotAppliedError(`nothing was ${what}: ${message}`, { ...details, sinkAway: sinkAway === true });
  }
  const about = kind === 'request' ? 'request' : 'content';
  return new RefusedError(`nothing was ${what}: ${message}`, { ...details, reason: code, about });
}
