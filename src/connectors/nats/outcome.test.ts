import { JetStreamApiError } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { answerOf, beforeSending } from './outcome.ts';

const api = (err_code: number, description: string): Error =>
  new JetStreamApiError({ code: 503, err_code, description });

describe('an answer of JetStream', () => {
  it.each([
    [10054, 'message size exceeds maximum allowed', 'refused'],
    [10077, 'maximum messages exceeded', 'later'],
    [10077, 'maximum bytes exceeded', 'later'],
    [10002, 'resource limits exceeded for account', 'later'],
    [10023, 'insufficient resources', 'later'],
    [10047, 'insufficient storage resources available', 'later'],
    [10060, 'expected stream does not match', 'request'],
    [10109, 'invalid operation on sealed stream', 'request'],
  ])('%i, %s: the message was not stored (%s)', (code, description, kind) => {
    expect(answerOf(api(code, description), undefined)).toMatchObject({ kind, code: `${code}`, message: description });
  });

  it.each([
    [10077, 'write /store: no space left on device'],
    [10008, 'JetStream system temporarily unavailable'],
    [10009, 'JetStream cluster can not handle request'],
    [19999, 'something new'],
  ])('%i, %s: may come from a store that had begun, and proves nothing', (code, description) => {
    expect(answerOf(api(code, description), undefined)).toMatchObject({ kind: 'unknown' });
  });

  it('that nobody listens, or that this user may not publish, proves that nobody got the message', () => {
    const nobody = new errors.RequestError('', { cause: new errors.NoRespondersError('orders') });
    expect(answerOf(nobody, undefined)).toMatchObject({ kind: 'later', sinkAway: true });
    const violation = (operation: 'publish' | 'subscription') =>
      new errors.RequestError('', {
        cause: new errors.PermissionViolationError('no', operation, 'orders', undefined),
      });
    expect(answerOf(violation('publish'), undefined)).toMatchObject({ kind: 'request' });
    // Who may not hear the answers may well have published.
    expect(answerOf(violation('subscription'), undefined)).toMatchObject({ kind: 'unknown' });
  });

  it('that never came proves nothing, but a connection that was closed before does', () => {
    expect(answerOf(new errors.TimeoutError(), undefined)).toMatchObject({ kind: 'unknown' });
    expect(answerOf(new errors.RequestError('connection closed'), 'given up')).toMatchObject({
      kind: 'unknown',
      message: 'given up',
    });
    expect(answerOf(new errors.ClosedConnectionError(), undefined)).toMatchObject({ kind: 'later', sinkAway: true });
  });
});

describe('an error before anything was sent', () => {
  it('has proved that nothing was applied, or that nothing can be', () => {
    const at = (error: unknown) => beforeSending(error, 'NATS at x');
    expect(at(new errors.ConnectionError('refused'))).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
    expect(at(new errors.AuthorizationError('Authorization Violation'))).toMatchObject({ about: 'request' });
    expect(at(api(10008, 'temporarily unavailable'))).toMatchObject({ code: 'NOT_APPLIED' });
    expect(at(api(10074, 'replicas > 1 not supported in non-clustered mode'))).toMatchObject({ about: 'request' });
    const refused = new JetStreamApiError({ code: 400, err_code: 10026, description: 'maximum number of streams' });
    expect(at(refused)).toMatchObject({
      about: 'request',
      reason: '10026',
      message: 'NATS at x: maximum number of streams',
    });
  });
});
