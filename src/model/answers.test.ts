import { describe, expect, it } from 'vitest';
import { type Answer, APPLIED, verdictOfAnswers } from './answers.ts';
import { NotAppliedError, RefusedError } from './errors.ts';
import { tally } from './verdict.ts';

const said = (kind: Exclude<Answer['kind'], 'applied'>, more = {}): Answer =>
  ({ kind, code: `${kind}-code`, message: `${kind} message`, ...more }) as Answer;

describe('answers to the records of a batch', () => {
  it('become a verdict for each record, with a reason for each refusal', () => {
    const verdict = verdictOfAnswers(
      [APPLIED, said('refused'), said('later'), said('request'), said('unknown')],
      'put',
    );
    expect(tally(verdict, 5)).toEqual({ applied: 1, refused: 3, unknown: 1 });
    expect(verdict.refusals).toEqual([
      { index: 1, code: 'refused-code', message: 'refused message', retryable: false },
      { index: 2, code: 'later-code', message: 'later message', retryable: true },
      { index: 3, code: 'request-code', message: 'request message', retryable: true },
    ]);
    expect(verdict.receipt.summary).toBe('1 of 5 put, 3 refused, 1 without an answer');
  });

  it('that are alike are that of the batch', () => {
    const thrown = (...answers: Answer[]): unknown => {
      try {
        return verdictOfAnswers(answers, 'put');
      } catch (error) {
        return error;
      }
    };
    const away = thrown(said('later'), said('later', { sinkAway: true, hint: 'wait' }));
    expect(away).toBeInstanceOf(NotAppliedError);
    expect(away).toMatchObject({ sinkAway: true, ids: { code: 'later-code' } });
    expect(thrown(said('later'))).toMatchObject({ sinkAway: false });
    const request = thrown(said('request', { hint: 'correct it' }), said('request'));
    expect(request).toBeInstanceOf(RefusedError);
    expect(request).toMatchObject({ about: 'request', reason: 'request-code', hint: 'correct it' });
    expect(thrown(said('unknown'), said('unknown'))).toMatchObject({ code: 'SINK_FAILED' });
    expect(thrown(said('refused'))).toMatchObject({ refusals: [{ code: 'refused-code', retryable: false }] });
    expect(thrown(APPLIED, APPLIED)).toMatchObject({ receipt: { summary: '2 of 2 put' } });
  });
});
