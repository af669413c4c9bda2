import { describe, expect, it } from 'vitest';
import { NotAppliedError, type RefusedError, WaybillError } from '../../model/errors.ts';
import { atCommit, beforeCommit } from './outcome.ts';

/** A server's error as the driver hands it over. */
const said = (code: string, more: Record<string, unknown> = {}): Error =>
  Object.assign(new RangeError('»secret« passt nicht'), { code, severity: 'ERROR', ...more });
const writing = { table: 'line 7, items', columns: ['n', 'price', 'price, n'], records: [4, 5, 9] };

describe('what an error of PostgreSQL means before the commit was sent', () => {
  it.each([
    'COPY line 7, items, line 3, column price: "secret, line 1, column n"',
    'COPY line 7, items, Zeile 3, Spalte price: »secret, Zeile 1, Spalte n«',
    'COPY line 7, items, 3 行目, 列 price: "secret"',
    'COPY line 7, items, ligne 3, colonne price',
    'PL-Funktion f() Zeile 1 bei RAISE\nCOPY line 7, items, Zeile 3, Spalte price: »secret\nCOPY line 7, items, 1«',
  ])('finds record and column in the language of the server: %s', (where) => {
    const error = beforeCommit(said('22P02', { where }), writing) as RefusedError;
    expect(error).toMatchObject({ reason: '22P02', about: 'content', ids: { record: 10, column: 'price' } });
    expect(`${error.message}${JSON.stringify(error)}${String(error.cause)}`).not.toContain('secret');
  });

  it.each([
    ['PL/pgSQL function s.boom(integer,text) line 3 at RAISE\nSQL statement "secret"', 's.boom(integer,text)'],
    ['PL/pgSQL-Funktion "Ein Trigger"() Zeile 3 bei RAISE\nCOPY line 7, items, Zeile 3: »secret«', '"Ein Trigger"()'],
  ])('names the function that raises an error, and its line: %s', (where, name) => {
    const { message } = beforeCommit(said('P0001', { where }), writing);
    expect(message).toContain(`${name} raises an error in its line 3 (P0001)`);
    expect(message).not.toContain('secret');
    expect(beforeCommit(said('P0001')).message).toBe('the server refuses it (P0001)');
  });

  it('takes the column from the field of the server where it gives one, and makes none up', () => {
    const where = 'COPY line 7, items, line 1: "secret"';
    expect(beforeCommit(said('23502', { where, column: 'n' }), writing)).toMatchObject({
      ids: { record: 5, column: 'n' },
    });
    expect(beforeCommit(said('23505', { where, constraint: 'one' }), writing)).toMatchObject({
      ids: { sqlState: '23505', record: 5, constraint: 'one' },
    });
    const bare = beforeCommit(said('23514'), writing) as RefusedError;
    expect(bare.ids).toEqual({ sqlState: '23514' });
  });

  it.each([
    ['08006', true],
    ['53100', true],
    ['53300', true],
    ['57P01', true],
    ['25006', true],
    ['40001', false],
    ['40P01', false],
    ['55P03', false],
    ['57014', false],
    ['XX000', false],
  ])('%s is not applied and may be tried again; the sink is away: %s', (state, sinkAway) => {
    const error = beforeCommit(said(state));
    expect(error).toBeInstanceOf(NotAppliedError);
    expect(error).toMatchObject({ sinkAway });
  });

  it.each(['42501', '42P01', '42703', '28P01', '3D000', '0A000', '42P10', '54011'])(
    '%s is no fault of a record',
    (state) => {
      expect(beforeCommit(said(state))).toMatchObject({ code: 'REFUSED', about: 'request', reason: state });
    },
  );

  it.each([
    { message: 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string' },
    { message: 'The server does not support SSL connections' },
    { message: 'self-signed certificate', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    { message: 'the names do not agree', code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
  ])('a connection that cannot be made as it is set is not waited for: $message', ({ message, ...code }) => {
    const error = beforeCommit(Object.assign(new Error(message), code));
    expect(error).toMatchObject({ code: 'REFUSED', about: 'request', reason: 'connection-unfit' });
    expect(error.message).toContain(message);
  });

  it('names the first of several addresses that nobody answers at', () => {
    const error = new AggregateError([new Error('connect ECONNREFUSED ::1:5432'), new Error('x')]);
    expect(beforeCommit(Object.assign(error, { code: 'ECONNREFUSED' })).message).toContain('::1:5432');
  });

  it('a value that no text here can hold is one of a record', () => {
    const tooLong = Object.assign(new Error('Cannot create a string'), { code: 'ERR_STRING_TOO_LONG' });
    expect(beforeCommit(tooLong)).toMatchObject({ code: 'REFUSED', about: 'content', reason: 'value-too-long' });
  });

  it('a secret that cannot be read, and a line that breaks, are told apart', () => {
    expect(beforeCommit(new WaybillError('SECRET_MISSING', 'no secret'))).toMatchObject({
      code: 'REFUSED',
      about: 'request',
    });
    const reset = Object.assign(new RangeError('read ECONNRESET'), { code: 'ECONNRESET' });
    expect(beforeCommit(reset)).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
  });
});

describe('what it means once the commit was sent', () => {
  it.each(['23503', '40001', '44000', 'P0001'])('%s is the end of the transaction, and proof', (state) => {
    expect(atCommit(said(state)).code).toMatch(/^(?:REFUSED|NOT_APPLIED)$/);
  });

  it.each(['57P01', '08006', '40003', '53100', '58030', 'XX000', '57014'])('%s proves nothing', (state) => {
    expect(atCommit(said(state)).code).toBe('SINK_FAILED');
    expect(atCommit(said('23503', { severity: 'FATAL' })).code).toBe('SINK_FAILED');
  });
});
