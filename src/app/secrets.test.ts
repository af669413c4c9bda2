import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WaybillError } from '../model/errors.ts';
import { mask } from '../model/masking.ts';
import { maskError, Secret, SecretStore } from './secrets.ts';

describe('secrets', () => {
  it('are read at every use, from the environment or a file, so that a rotated one is taken up', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'waybill-secrets-'));
    try {
      const env: Record<string, string> = { TOKEN: 'first-canary' };
      const store = new SecretStore(env, folder);
      expect(store.resolve('env:TOKEN').reveal()).toBe('first-canary');
      env.TOKEN = 'second-canary';
      expect(store.resolve('env:TOKEN').reveal()).toBe('second-canary');
      await writeFile(join(folder, 'token.txt'), 'file-canary\n');
      expect(store.resolve('file:token.txt').reveal()).toBe('file-canary');
      expect(store.resolve('env:postgres://app:${TOKEN}@db/x').reveal()).toBe('postgres://app:second-canary@db/x');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each(['env:NOT_SET', 'env:EMPTY', 'file:not-there', 'plain-words', 'env:__proto__'])(
    'are missed by name: %s',
    (reference) => {
      const store = new SecretStore({ EMPTY: '' }, tmpdir());
      expect(() => store.resolve(reference)).toThrow(expect.objectContaining({ code: 'SECRET_MISSING' }));
      if (reference === 'plain-words') expect(() => store.resolve(reference)).toThrow(/^(?!.*plain-words)/);
    },
  );

  it('U23: print as stars however they are printed', () => {
    const secret = new Secret('canary-printed');
    const all = [
      String(secret),
      `${secret}`,
      JSON.stringify({ secret }),
      inspect(secret),
      inspect({ deep: [secret] }, { showHidden: true }),
    ];
    for (const text of all) expect(text).not.toContain('canary-printed');
  });

  it('U23: are masked in any output, whatever encoding they stand in and whatever stands around them', () => {
    const printable = fc.string({
      unit: fc.constantFrom(...'abcXYZ019 "\\/+&=?%:@#é✓\n'),
      minLength: 12,
      maxLength: 40,
    });
    fc.assert(
      fc.property(printable, fc.string({ maxLength: 9 }), fc.string({ maxLength: 9 }), (value, before, after) => {
        // A short one may stand in the text beside it by chance, once its ends are left out as below.
        fc.pre(value.trim().length >= 10);
        const secret = new Secret(value).reveal();
        const around = before + secret + after;
        const trimmed = secret.trim();
        expect(mask(around)).not.toContain(trimmed);
        expect(mask(encodeURIComponent(around))).not.toContain(encodeURIComponent(trimmed));
        expect(mask(JSON.stringify({ around }))).not.toContain(JSON.stringify(trimmed).slice(1, -1));
        expect(mask(new URLSearchParams({ around }).toString())).not.toContain(
          new URLSearchParams([['', trimmed]]).toString().slice(1),
        );
        for (const encoding of ['base64', 'base64url', 'hex'] as const) {
          const text = Buffer.from(around).toString(encoding);
          // Of base64 the letters at either end are shared with the neighbours and tell at most a few bits.
          const left = Buffer.from(mask(text).replaceAll('***', ''), encoding).toString('latin1');
          expect(left).not.toContain(Buffer.from(trimmed).toString('latin1').slice(2, -2));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('U23: mask the password of an address, and of basic auth, by itself', () => {
    new Secret('postgres://app:p%40ss-canary@db.local/x?sslkey=key-canary');
    expect(mask('password authentication failed: p@ss-canary')).toBe('password authentication failed: ***');
    expect(mask('p%40ss-canary and key-canary')).toBe('*** and ***');
    const header = `Basic ${Buffer.from('app:p@ss-canary').toString('base64')}`;
    expect(Buffer.from(mask(header).slice(6).replace('***', ''), 'base64').toString()).not.toContain('canary');
  });

  it('mask the longer one of two secrets first, and a very short one only where it stands alone', () => {
    new Secret('shared-canary');
    new Secret('shared-canary-and-more');
    expect(mask('x shared-canary-and-more y')).toBe('x *** y');
    new Secret('q7');
    expect(mask('q7, aq7b (q7)')).toBe('***, aq7b (***)');
  });

  it('U23: are masked in errors, in their causes and in the ids', () => {
    new Secret('error-canary-1');
    const cause = new Error('connect to https://h/?t=error-canary-1');
    const error = new WaybillError('SINK_AWAY', 'sent error-canary-1', { cause, ids: { url: 'h/error-canary-1' } });
    maskError(error);
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('error-canary-1');
    expect(error.message).toBe('sent ***');
  });
});
