import { describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError } from '../model/errors.ts';
import { heardError } from './answers.ts';
import type { Payloads } from './payloads.ts';

const sent = {
  payload: { bytes: new Uint8Array(), spans: Uint32Array.of(0, 0), keys: new Uint8Array(16) },
  payloads: {} as Payloads,
  rejectsAtomically: false,
};

describe('what is told of a lane that stops', () => {
  it('holds what the sink said and what can be done about it', () => {
    const cause = new RangeError('WRONGPASS invalid username-password pair.');
    const error = new RefusedError('Redis refuses us', {
      reason: 'WRONGPASS',
      about: 'request',
      cause,
      hint: 'Correct the user.',
    });
    const reason = 'Redis refuses us: WRONGPASS invalid username-password pair. Correct the user.';
    expect(heardError(error, sent)).toEqual({ answer: { kind: 'not-applied', reason }, hopeless: reason });
  });

  it('holds no advice that would fit any error', () => {
    const error = new NotAppliedError('Redis could not be reached', { cause: new RangeError('ECONNREFUSED') });
    expect(heardError(error, sent).answer).toEqual({
      kind: 'not-applied',
      reason: 'Redis could not be reached: ECONNREFUSED',
    });
  });
});
