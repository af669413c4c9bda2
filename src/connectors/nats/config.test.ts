import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyName } from './bucket.ts';
import { nats } from './config.ts';

const connection = (given: object) => nats.connection.safeParse({ servers: ['bus:4222'], ...given }).success;
const settings = (given: object) => nats.sink!.settings.safeParse(given).success;

describe('the settings of NATS', () => {
  it('take one way to identify oneself, by reference, and servers without any', () => {
    expect(connection({})).toBe(true);
    expect(connection({ user: 'u', password: 'env:P' })).toBe(true);
    expect(connection({ token: 'file:token' })).toBe(true);
    expect(connection({ credentials: 'file:waybill.creds' })).toBe(true);
    expect(connection({ user: 'u', password: 'secret' })).toBe(false);
    expect(connection({ user: 'u' })).toBe(false);
    expect(connection({ user: 'u', password: 'env:P', token: 'env:T' })).toBe(false);
    expect(connection({ servers: ['nats://u:p@bus:4222'] })).toBe(false);
    expect(connection({ servers: [] })).toBe(false);
  });

  it('take a bucket with a key, or a stream with a subject', () => {
    expect(settings({ bucket: 'members', key: ['id'], prefix: 'a.', create: { history: 5 } })).toBe(true);
    expect(settings({ stream: 'ORDERS', subject: 'orders.created' })).toBe(true);
    expect(settings({ bucket: 'members' })).toBe(false);
    expect(settings({ stream: 'ORDERS' })).toBe(false);
    expect(settings({ bucket: 'members', key: ['id'], stream: 'ORDERS', subject: 'orders' })).toBe(false);
    expect(settings({ stream: 'ORDERS', subject: 'orders.*' })).toBe(false);
    expect(settings({ stream: 'ORDERS', subject: 'orders', create: {} })).toBe(false);
    expect(settings({ bucket: 'a.b', key: ['id'] })).toBe(false);
    expect(settings({ bucket: 'members', key: ['id'], prefix: '.a' })).toBe(false);
  });
});

describe('the name of a key of NATS', () => {
  it('P27: is one that NATS takes, whatever the values are, and that of no other key', () => {
    const key = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(key, key, (a, b) => {
        const name = keyName('p.', a);
        expect(name).toMatch(/^[-/_=.a-zA-Z0-9]+$/);
        expect(name).not.toMatch(/\.\.|\.$/);
        expect(name === keyName('p.', b)).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
    );
    expect(keyName('', ['a.b', '', '='])).toBe('a=2Eb.=.=3D');
  });
});
