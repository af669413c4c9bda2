import { describe, expect, it } from 'vitest';
import { openContext } from '../../testing/peer/open-context.ts';
import { testPermit } from '../../testing/permit.ts';
import { redis } from './config.ts';
import { keyName } from './keys.ts';

const connection = (given: object) => redis.connection.safeParse(given).success;
const settings = (given: object) => redis.sink!.settings.safeParse(given).success;

describe('the settings of Redis', () => {
  it('take an address or its parts, and a password only by reference', () => {
    expect(connection({ url: 'env:URL' })).toBe(true);
    expect(connection({ host: 'cache', port: 6379, password: 'env:P', user: 'u', database: 3 })).toBe(true);
    expect(connection({ url: 'env:URL', host: 'cache' })).toBe(false);
    expect(connection({})).toBe(false);
    expect(connection({ host: 'cache', password: 'secret' })).toBe(false);
  });

  it('take keys or a stream, and what belongs to each', () => {
    expect(settings({ key: ['id'], prefix: 'a:', expireSeconds: 5 })).toBe(true);
    expect(settings({ stream: 's', markerDays: 3 })).toBe(true);
    expect(settings({})).toBe(false);
    expect(settings({ key: ['id'], stream: 's' })).toBe(false);
    expect(settings({ stream: 's', expireSeconds: 5 })).toBe(false);
    expect(settings({ stream: 's', prefix: 'a' })).toBe(false);
    expect(settings({ key: ['id'], markerDays: 3 })).toBe(false);
  });

  it.each([
    ['not an address canary', /it is no address/],
    ['http://u:canary@h', /does not begin with redis:\/\/ or rediss:\/\//],
    ['redis://u:canary@h/name', /no number of a database/],
    ['redis://u:canary%zz@h/0', /a % that begins no character/],
  ])('say what is wrong with the address %#, and quote nothing of it', async (url, message) => {
    const sink = redis.sink!.open(
      redis.connection.parse({ url: 'env:URL' }),
      redis.sink!.settings.parse({ key: ['id'] }),
      openContext({ 'env:URL': url }),
    );
    const error = await sink.can.put!(testPermit({ records: [{ id: 1 }] })).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ about: 'request', reason: 'CONFIG_INVALID', message });
    expect(String(error)).not.toContain('canary');
  });
});

describe('the name of a key of Redis', () => {
  it('is the value itself of one column, and never that of another key of several', () => {
    expect(keyName('member:', ['a:b%'])).toBe('member:a:b%');
    const keys = [
      ['a', 'b:c'],
      ['a:b', 'c'],
      ['a%3Ab', 'c'],
      ['', 'a:b:c'],
      ['a', 'b%3Ac'],
    ];
    expect(new Set(keys.map((key) => keyName('', key))).size).toBe(keys.length);
  });
});
