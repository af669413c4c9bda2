import { describe, expect, it } from 'vitest';
import { openContext } from '../testing/peer/open-context.ts';
import { databaseServerOf, type ServerKind, serverOf } from './address.ts';
import { tableName, urlOrDatabase } from './settings.ts';

const KIND: ServerKind = {
  type: 'sample',
  protocols: ['sample', 'samples'],
  secured: ['samples'],
  usualPort: 1234,
  example: 'sample://user:password@host:port/database',
  hostIn: (url) => url.searchParams.get('host'),
};
const at = (url: string, more: object = {}) => {
  const { password, ...server } = databaseServerOf({ url: 'env:URL', ...more }, openContext({ 'env:URL': url }), KIND);
  return { ...server, password: password?.() };
};

describe('the address of a server', () => {
  it('holds where it is, as whom it is asked, and which database', () => {
    expect(at('sample://me:p%40ss%2Fword@db.example:99/shop')).toEqual({
      host: 'db.example',
      port: 99,
      database: 'shop',
      user: 'me',
      password: 'p@ss/word',
      tls: 'verify',
    });
    expect(at(' sample://me@[::1]/shop\n')).toMatchObject({ host: '::1', port: 1234, password: undefined, tls: 'off' });
    expect(at('sample://me@localhost/shop?host=/run/sockets')).toMatchObject({ host: '/run/sockets', tls: 'off' });
    expect(at('sample://me@%2Frun%2Fsockets:99/shop')).toMatchObject({ host: '/run/sockets', port: 99, tls: 'off' });
  });

  it('asks for TLS where the server is elsewhere, or the address says so, unless the flow file knows better', () => {
    expect(at('samples://me@localhost/shop').tls).toBe('verify');
    expect(at('sample://me@127.0.0.1.example.com/shop').tls).toBe('verify');
    expect(at('sample://me@db.example/shop', { tls: 'off' }).tls).toBe('off');
  });

  it('takes the password of the flow file where it holds none, and its own where it holds one', () => {
    const context = openContext({ 'env:P': 'other' });
    const server = (url: string) => serverOf({ url, password: 'env:P' }, context, KIND);
    expect(server('sample://me@h/d').password?.()).toBe('other');
    expect(server('sample://me:own@h/d').password?.()).toBe('own');
  });

  it.each([
    ['canary', /it is no address/],
    ['http://me:canary@h/d', /does not begin with sample:\/\/ or samples:\/\//],
    ['sample://me:canary@h', /names no user or no database/],
    ['sample://:canary@h/d', /names no user or no database/],
    ['sample://me:canary%zz@h/d', /a % that begins no character/],
    ['sample://me:canary@h/%', /a % that begins no character/],
  ])('says what is wrong with it, and quotes nothing of it: %#', (url, message) => {
    let thrown: unknown;
    try {
      at(url);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'CONFIG_INVALID', message });
    expect(JSON.stringify(thrown) + String(thrown)).not.toContain('canary');
  });

  it('stands in one setting or in several, and never in both', () => {
    const [holds] = urlOrDatabase;
    expect(holds({ url: 'env:URL' })).toBe(true);
    expect(holds({ database: 'd', user: 'u' })).toBe(true);
    expect(holds({ database: 'd' })).toBe(false);
    expect(holds({ url: 'env:URL', port: 1 })).toBe(false);
  });
});

describe('the name of a table', () => {
  it('is cut at its first dot, or given in parts where names hold dots', () => {
    expect(tableName('items')).toEqual(['items']);
    expect(tableName('sales.items.old')).toEqual(['sales', 'items.old']);
    expect(tableName(['a.b', 'c'])).toEqual(['a.b', 'c']);
  });
});
