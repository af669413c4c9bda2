import { describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError, type WaybillError } from '../../model/errors.ts';
import { changeError, questionError } from './outcome.ts';

const answer = (httpStatusCode: number, name: string): Error =>
  Object.assign(new Error(name), {
    name,
    $metadata: { httpStatusCode },
    $response: { headers: { authorization: 'x' } },
  });
const broken = (code: string): Error => Object.assign(new Error(code), { code, $metadata: { attempts: 1 } });

function kindOf(error: WaybillError): string {
  if (error instanceof NotAppliedError) return 'not applied';
  return error instanceof RefusedError ? `refused, ${error.about}` : 'unknown';
}

describe('what becomes of a request that was to change something', () => {
  it.each([
    [broken('ECONNREFUSED'), 'not applied'],
    [broken('ENOTFOUND'), 'not applied'],
    [broken('ECONNRESET'), 'unknown'],
    [broken('EPIPE'), 'unknown'],
    [Object.assign(new Error('aborted'), { name: 'AbortError' }), 'unknown'],
    [Object.assign(new Error('exceeded the configured 5 ms requestTimeout'), { name: 'TimeoutError' }), 'unknown'],
    [
      Object.assign(new Error('Socket timed out without establishing a connection within 5 ms'), {
        name: 'TimeoutError',
      }),
      'not applied',
    ],
    [Object.assign(new Error('none'), { name: 'CredentialsProviderError' }), 'refused, request'],
    [answer(503, 'SlowDown'), 'not applied'],
    [answer(503, 'ServiceUnavailable'), 'unknown'],
    [answer(500, 'InternalError'), 'unknown'],
    [answer(502, 'UnknownError'), 'unknown'],
    [answer(301, 'PermanentRedirect'), 'unknown'],
    [answer(409, 'ConditionalRequestConflict'), 'not applied'],
    [answer(429, 'TooManyRequests'), 'not applied'],
    [answer(400, 'RequestTimeout'), 'not applied'],
    [answer(400, 'BadDigest'), 'not applied'],
    [answer(400, 'EntityTooLarge'), 'refused, content'],
    [answer(403, 'AccessDenied'), 'refused, request'],
    [answer(404, 'NoSuchBucket'), 'refused, request'],
  ])('%s is %s', (error, kind) => {
    expect(kindOf(changeError(error, 'writing x'))).toBe(kind);
  });

  it('says nothing of the request itself, which holds a signature', () => {
    expect(changeError(answer(403, 'AccessDenied'), 'writing x').cause).toBeUndefined();
    expect(changeError(broken('ECONNRESET'), 'writing x').cause).toBeDefined();
  });
});

describe('a question', () => {
  it('changes nothing, whatever becomes of it', () => {
    for (const error of [broken('ECONNRESET'), answer(500, 'InternalError'), answer(503, 'SlowDown')])
      expect(kindOf(questionError(error, 'reading x'))).toBe('not applied');
    expect(kindOf(questionError(answer(403, 'AccessDenied'), 'reading x'))).toBe('refused, request');
  });
});
