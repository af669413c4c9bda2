import { describe, expect, it } from 'vitest';
import { WaybillError } from '../../model/errors.ts';
import { isPostgresAddress, parseAddress } from './address.ts';

describe('an address of a ledger', () => {
  it('names user, host, port, database and schema, and is shown without its password', () => {
    const address = parseAddress('postgres://ann:s%40cret@db.example:6432/ops?schema=members');
    expect(address).toMatchObject({ user: 'ann', host: 'db.example', port: 6432, database: 'ops', schema: 'members' });
    expect(address.password).toBe('s@cret');
    expect(address.place).toBe('postgres://ann@db.example:6432/ops?schema=members');
  });

  it('takes the password from elsewhere when it holds none, and its own when it does', () => {
    expect(parseAddress('postgresql://ann@db.example/ops', 'other').password).toBe('other');
    expect(parseAddress('postgres://ann:own@db.example/ops', 'other').password).toBe('own');
    expect(parseAddress('postgres://ann@db.example/ops')).toMatchObject({ port: 5432, schema: 'waybill' });
  });

  it('asks a server elsewhere to show who it is, and one on this machine for nothing', () => {
    const tls = (rest: string): string => parseAddress(`postgres://ann@${rest}`).tls;
    expect([tls('db.example/ops'), tls('db.example/ops?sslmode=require')]).toEqual(['verify', 'verify']);
    expect([tls('127.0.0.1/ops'), tls('localhost/ops'), tls('[::1]/ops')]).toEqual(['off', 'off', 'off']);
    expect([tls('db.example/ops?sslmode=disable'), tls('localhost/ops?sslmode=verify-full')]).toEqual([
      'off',
      'verify',
    ]);
    expect(parseAddress('postgres://ann@x/ops?host=/run/postgresql')).toMatchObject({
      host: '/run/postgresql',
      tls: 'off',
    });
  });

  it('is told from a path', () => {
    expect(['postgres://a@b/c', 'POSTGRESQL://a@b/c'].every(isPostgresAddress)).toBe(true);
    expect(['ledger.db', '/var/postgres', 'mysql://a@b/c'].some(isPostgresAddress)).toBe(false);
  });

  it.each([
    ['postgres://ann:hush@/ops'],
    ['postgres://ann:hush@db.example'],
    ['postgres://:hush@db.example/ops'],
    ['postgres://ann:hush@db.example/ops?shcema=x'],
    ['postgres://ann:hush@db.example/ops?schema=a"b'],
    ['postgres://ann:hush@db.example/ops?sslmode=maybe'],
    ['postgres://ann:hush@db.example:port/ops'],
    ['postgres://ann:hush%ZZ@db.example/ops'],
  ])('is refused without its password in the message: %s', (text) => {
    let said: unknown;
    try {
      parseAddress(text);
    } catch (error) {
      said = error;
    }
    expect(said).toBeInstanceOf(WaybillError);
    const { code, message, hint } = said as WaybillError;
    expect(code).toBe('CONFIG_INVALID');
    expect(message + hint).not.toContain('hush');
  });
});
