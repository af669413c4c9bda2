import { ErrorReply } from 'redis';
import { describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { answerOf, beforeSending } from './outcome.ts';

const reply = (text: string) => answerOf(new ErrorReply(text), undefined);

describe('an error reply of Redis', () => {
  it.each([
    ['OOM command not allowed when used memory > maxmemory.', 'later', true],
    ["READONLY You can't write against a read only replica.", 'later', true],
    ['LOADING Redis is loading the dataset in memory', 'later', true],
    ['MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to no.', 'later', true],
    ['MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk.', 'later', true],
    ['NOREPLICAS Not enough good replicas to write.', 'later', true],
    ['CLUSTERDOWN Hash slot not served', 'later', true],
    ['ERR max number of clients reached', 'later', true],
    ['BUSY Redis is busy running a script.', 'later', undefined],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 'later', undefined],
    ['MOVED 3999 127.0.0.1:6381', 'request', undefined],
    ['NOAUTH Authentication required.', 'request', undefined],
    ["NOPERM this user has no permissions to run the 'set' command", 'request', undefined],
    ['ERR unknown command `SET`, with args beginning with:', 'request', undefined],
    ["ERR invalid expire time in 'set' command", 'request', undefined],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'refused', undefined],
    ['ERR Protocol error: invalid bulk length', 'refused', undefined],
  ])('%s: the command was not applied (%s)', (text, kind, sinkAway) => {
    expect(reply(text)).toEqual(expect.objectContaining({ kind, message: text }));
    expect((reply(text) as { sinkAway?: boolean }).sinkAway).toBe(sinkAway);
  });

  it.each(['ERR upstream failure', 'ERR', 'TIMEOUT of a proxy', 'UNKILLABLE', 'lower case'])(
    'that the server is not known to give proves nothing: %s',
    (text) => {
      expect(reply(text)).toMatchObject({ kind: 'unknown' });
    },
  );

  it('is only what came as one: the same words of the connection prove nothing', () => {
    expect(answerOf(new Error('READONLY'), undefined)).toMatchObject({ kind: 'unknown', code: 'no-answer' });
    expect(answerOf(new Error('Socket closed'), 'it took too long')).toMatchObject({ message: 'it took too long' });
  });
});

describe('an error before anything was sent', () => {
  it('has proved that nothing was applied, or that nothing can be', () => {
    const at = (error: unknown): WaybillError => beforeSending(error, 'Redis at x');
    expect(at(new Error('connect ECONNREFUSED'))).toBeInstanceOf(NotAppliedError);
    expect(at(new ErrorReply('LOADING Redis is loading'))).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
    expect(at(new ErrorReply('WRONGPASS invalid username-password pair'))).toBeInstanceOf(RefusedError);
    expect(at(new WaybillError('SECRET_MISSING', 'none'))).toMatchObject({
      about: 'request',
      reason: 'SECRET_MISSING',
    });
    const expired = new NotAppliedError('the send came too late');
    expect(at(expired)).toBe(expired);
  });
});
