import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeError, WaybillError } from '../../model/errors.ts';
import {
  type DocumentPeer,
  openDocumentPeer,
  type PeerDocument,
  type PeerServe,
} from '../../testing/peer/document-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { pull } from '../../testing/peer/pull.ts';
import { testPermit } from '../../testing/permit.ts';
import { http } from './config.ts';

let downloads: string;
const closing: (() => Promise<unknown> | undefined)[] = [];
beforeEach(async () => {
  downloads = await mkdtemp(join(tmpdir(), 'waybill-credentials-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(downloads, { recursive: true, force: true });
});

const KEY = 'k&y/with=all+signs %41 ü';
const json = (value: unknown, status = 200): PeerDocument => ({
  status,
  body: JSON.stringify(value),
  headers: { 'content-type': 'application/json' },
});

async function peerOf(documents: Parameters<typeof openDocumentPeer>[0]): Promise<DocumentPeer> {
  const peer = await openDocumentPeer(documents);
  closing.push(() => peer.close());
  return peer;
}

interface Reading {
  readonly auth: unknown;
  readonly secrets: Record<string, string>;
  readonly settings?: Record<string, unknown>;
}

async function read(peer: DocumentPeer, { auth, secrets, settings }: Reading) {
  const config = http.source!.settings.parse({ path: '/items?kind=a%20b', ...settings });
  const source = http.source!.open(http.connection.parse({ url: peer.url, auth }), config, openContext(secrets));
  closing.push(async () => source.close?.());
  return await pull(source, { downloads });
}

describe('a secret in the query', () => {
  const auth = { query: { name: 'api_key', value: 'env:KEY' } };
  const secrets = { 'env:KEY': KEY };
  const keyIn = (path: string): readonly string[] => new URL(path, 'http://h').searchParams.getAll('api_key');

  it('stands behind what else is asked, whatever signs it has, and once where links repeat it', async () => {
    const peer = await peerOf({
      '/items': ({ url = '' }) => {
        if (keyIn(url)[0] !== KEY) return json({ error: 'who are you' }, 401);
        const next = new URL(url, 'http://h');
        const page = Number(next.searchParams.get('page') ?? 1);
        next.searchParams.set('page', `${page + 1}`);
        return json({ rows: [{ id: page }], next: page < 3 ? next.pathname + next.search : null });
      },
    });
    const settings = { recordsAt: 'rows', pages: { by: 'link', at: 'next' } };
    const { records } = await read(peer, { auth, secrets, settings });
    expect(records).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
    expect(peer.asked.map(({ path }) => keyIn(path))).toEqual([[KEY], [KEY], [KEY]]);
    expect(peer.asked[0]?.path).toMatch(/^\/items\?kind=a%20b&api_key=/);
  });

  it('goes to no other origin', async () => {
    const other = await peerOf({ '*': json([{ id: 1 }]) });
    const peer = await peerOf({ '*': { status: 302, headers: { location: `${other.url}/there` } } });
    await read(peer, { auth, secrets, settings: { format: 'json', redirects: ['127.0.0.1'] } });
    expect(other.asked.map(({ path }) => path)).toEqual(['/there']);
  });

  it('shows in no error, also where the answer repeats it', async () => {
    const peer = await peerOf({ '*': ({ url }) => json({ message: `cannot find ${url}`, url }, 400) });
    const error = await read(peer, { auth, secrets }).catch((thrown: unknown) => thrown);
    expect(describeError(error)).toContain('cannot find');
    for (const spelled of [KEY, encodeURIComponent(KEY)]) expect(inspect(error, { depth: 9 })).not.toContain(spelled);
  });

  it('travels with what is sent', async () => {
    const peer = await peerOf({ '*': { status: 204 } });
    const config = http.sink!.settings.parse({ path: '/items', receipt: { shape: 'none' } });
    const sink = http.sink!.open(http.connection.parse({ url: peer.url, auth }), config, openContext(secrets));
    closing.push(async () => sink.close?.());
    await sink.can.append!(testPermit({ records: [{ id: 1 }], framing: sink.accepts[0]!, batch: 1 }));
    expect(peer.asked.map(({ path }) => path)).toEqual([`/items?api_key=${encodeURIComponent(KEY)}`]);
  });

  it('is refused where it is written out', () => {
    const written = { url: 'http://h', auth: { query: { name: 'api_key', value: 'abc' } } };
    expect(http.connection.safeParse(written).success).toBe(false);
  });
});

describe('a secret in the body of a source', () => {
  const secrets = { 'env:KEY': KEY, 'file:other': 'second-secret' };
  const read = async (peer: DocumentPeer, settings: Record<string, unknown>, parameters = {}) => {
    const config = http.source!.settings.parse({ path: '/items', ...settings });
    const source = http.source!.open(http.connection.parse({ url: peer.url }), config, openContext(secrets));
    closing.push(async () => source.close?.());
    return await pull(source, { downloads, parameters });
  };

  it('is sent in place of its reference, in heads of sequences, too, and is in no error', async () => {
    const peer = await peerOf({
      '/head': (_request, _response, body) => (JSON.parse(body).key === KEY ? json(2) : { status: 403 }),
      '/items': (_request, _response, body) => json({ message: `not with ${body}` }, 400),
    });
    const body = { auth: [{ key: 'env:KEY' }, 'file:other'], number: '{{ number }}' };
    const sequence = { head: { path: '/head', body: { key: 'env:KEY' } }, first: 2 };
    const error = await read(peer, { body, sequence }).catch((thrown: unknown) => thrown);
    expect(JSON.parse(peer.asked[1]?.body ?? '')).toEqual({ auth: [{ key: KEY }, 'second-secret'], number: 2 });
    expect(describeError(error)).toContain('not with');
    for (const spelled of [KEY, 'second-secret']) expect(inspect(error, { depth: 9 })).not.toContain(spelled);
  });

  it('is never named by a value that is filled in, nor by a cursor', async () => {
    const peer = await peerOf({
      '*': (_request, _response, body) =>
        json({ rows: [{ id: 1 }], next: JSON.parse(body).after === undefined ? 'env:KEY' : null }),
    });
    const settings = {
      recordsAt: 'rows',
      body: { a: '{{ given }}', b: '{{ given | text }}' },
      pages: { by: 'cursor', parameter: 'after', at: 'next' },
    };
    await read(peer, settings, { given: { type: 'text', value: 'env:KEY' } });
    expect(peer.asked.map(({ body }) => JSON.parse(body))).toEqual([
      { a: 'env:KEY', b: 'env:KEY' },
      { a: 'env:KEY', b: 'env:KEY', after: 'env:KEY' },
    ]);
  });

  it('is refused among the constants of a sink, which are kept with each batch', () => {
    const settings = { receipt: { shape: 'none' }, body: { wrap: 'items', constants: { a: { key: 'env:KEY' } } } };
    expect(JSON.stringify(http.sink!.settings.safeParse(settings).error?.issues)).toContain('no secret can stand');
  });
});

describe('OAuth 2', () => {
  type Form = Readonly<Record<string, string>>;
  /** Gives a token for each form that is right, and records for the newest token alone. */
  async function guarded(
    right: (form: Form, headers: Readonly<Record<string, unknown>>) => unknown,
    more: object = {},
  ) {
    const forms: Form[] = [];
    const token: PeerServe = ({ headers }, _response, body) => {
      const form = Object.fromEntries(new URLSearchParams(body));
      forms.push(form);
      if (right(form, headers) !== true) return json({ error: 'invalid_grant' }, 400);
      return json({ access_token: `access-${forms.length}`, token_type: 'Bearer', expires_in: 3600, ...more });
    };
    const items: PeerServe = ({ headers }) =>
      headers.authorization === `Bearer access-${forms.length}` ? json([{ id: 1 }]) : { status: 401 };
    const peer = await peerOf({ '/token': token, '/items': items });
    return { peer, forms, tokenUrl: `${peer.url}/token` };
  }

  it('a refresh token is exchanged, with the secret of the client or without one', async () => {
    const basic = `Basic ${Buffer.from('me:s3cret-of-me').toString('base64')}`;
    const secrets = { 'env:REFRESH': 'refresh-0815', 'env:SECRET': 's3cret-of-me' };
    const own = { refreshToken: 'env:REFRESH', clientId: 'me' };
    const isRight = (form: Form): boolean =>
      form.grant_type === 'refresh_token' && form.refresh_token === 'refresh-0815';
    const kinds: [object, (form: Form, headers: Readonly<Record<string, unknown>>) => boolean][] = [
      [{ clientSecret: 'env:SECRET' }, (form, headers) => isRight(form) && headers.authorization === basic],
      [
        { clientSecret: 'env:SECRET', credentials: 'body' },
        (form) => isRight(form) && form.client_id === 'me' && form.client_secret === 's3cret-of-me',
      ],
      [{}, (form, headers) => isRight(form) && form.client_id === 'me' && headers.authorization === undefined],
    ];
    for (const [more, right] of kinds) {
      const { peer, tokenUrl } = await guarded(right);
      const { records } = await read(peer, { auth: { oauth2: { tokenUrl, ...own, ...more } }, secrets });
      expect(records).toEqual([{ id: 1 }]);
    }
  });

  it('a refresh token that is replaced with each use is the new one for this process', async () => {
    const { peer, forms, tokenUrl } = await guarded(
      (form) => form.refresh_token === (forms.length === 1 ? 'refresh-0815' : 'refresh-0816'),
      { refresh_token: 'refresh-0816', expires_in: 0.001 },
    );
    const settings = { recordsAt: 'rows', pages: { by: 'page', endsWith: 'missing' } };
    peer.put('/items', ({ url = '', headers }) => {
      const page = Number(new URL(url, 'http://h').searchParams.get('page'));
      if (headers.authorization !== `Bearer access-${forms.length}`) return { status: 401 };
      return page > 3 ? { status: 404 } : json({ rows: [{ id: page }] });
    });
    const auth = { oauth2: { tokenUrl, clientId: 'me', refreshToken: 'env:REFRESH' } };
    const { records } = await read(peer, { auth, secrets: { 'env:REFRESH': 'refresh-0815' }, settings });
    expect(records).toHaveLength(3);
    expect(forms.length).toBeGreaterThan(1);
  });

  it('a refresh token that is taken no longer means that nothing is read, and says what may be wrong', async () => {
    const { peer, tokenUrl } = await guarded(() => false);
    const auth = { oauth2: { tokenUrl, clientId: 'me', refreshToken: 'env:REFRESH' } };
    const error = await read(peer, { auth, secrets: { 'env:REFRESH': 'refresh-0815' } }).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'SOURCE_DENIED' });
    expect((error as WaybillError).hint).toContain('refresh token');
    expect(inspect(error, { depth: 9 })).not.toContain('refresh-0815');
  });

  const pem = (keys: {
    privateKey: { export(options: object): unknown };
    publicKey: { export(options: object): unknown };
  }) =>
    [
      keys.privateKey.export({ format: 'pem', type: 'pkcs8' }),
      keys.publicKey.export({ format: 'pem', type: 'spki' }),
    ].map(String);
  const KEYS: readonly [string, string | null, () => readonly string[]][] = [
    ['RS256', 'sha256', () => pem(generateKeyPairSync('rsa', { modulusLength: 2048 }))],
    ['ES256', 'sha256', () => pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }))],
    ['ES384', 'sha384', () => pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }))],
    ['EdDSA', null, () => pem(generateKeyPairSync('ed25519'))],
  ];

  it.each(KEYS)('an assertion is signed by %s and exchanged', async (alg, hash, made) => {
    const [privatePem = '', publicPem = ''] = made();
    const seen: Record<string, unknown>[] = [];
    const { peer, tokenUrl } = await guarded(({ grant_type, assertion = '' }) => {
      const [head = '', claims = '', signature = ''] = assertion.split('.');
      seen.push(...[head, claims].map((part) => JSON.parse(Buffer.from(part, 'base64url').toString())));
      const key = { key: createPublicKey(publicPem), dsaEncoding: 'ieee-p1363' as const };
      const isSigned = verify(hash, Buffer.from(`${head}.${claims}`), key, Buffer.from(signature, 'base64url'));
      return isSigned && grant_type === 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    });
    const assertion = { key: 'env:KEY', keyId: 'k1', issuer: 'robot@example.org', claims: { org: 7 } };
    const auth = { oauth2: { tokenUrl, scope: 'read', assertion } };
    expect((await read(peer, { auth, secrets: { 'env:KEY': privatePem } })).records).toEqual([{ id: 1 }]);
    const [header, claims] = seen;
    expect(header).toEqual({ alg, typ: 'JWT', kid: 'k1' });
    const whole = { iss: 'robot@example.org', sub: 'robot@example.org', aud: tokenUrl, scope: 'read', org: 7 };
    expect(claims).toMatchObject({ ...whole, jti: expect.any(String) });
    expect(Number(claims?.exp) - Number(claims?.iat)).toBe(300);
    expect(Math.abs(Number(claims?.iat) - Date.now() / 1000)).toBeLessThan(60);
  });

  it.each([
    ['no key', 'not a key at all'],
    ['a key that signs nothing', pem(generateKeyPairSync('x25519'))[0] ?? ''],
  ])('an assertion with %s asks for nothing, and names the setting', async (_what, key) => {
    const { peer, forms, tokenUrl } = await guarded(() => true);
    const auth = { oauth2: { tokenUrl, assertion: { key: 'env:KEY', issuer: 'me' } } };
    const error = await read(peer, { auth, secrets: { 'env:KEY': key } }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(WaybillError);
    expect(describeError(error)).toContain('auth.oauth2.assertion.key');
    expect((error as WaybillError).code).toBe('CONFIG_INVALID');
    expect(inspect(error, { depth: 9 })).not.toContain(key.split('\n')[1] ?? key);
    expect(forms).toEqual([]);
  });

  it.each([
    [{}, 'clientId'],
    [{ clientId: 'me' }, 'clientSecret'],
    [{ clientSecret: 'env:S' }, 'clientId'],
    [{ clientId: 'me', refreshToken: 'written out' }, 'refreshToken'],
    [{ refreshToken: 'env:R' }, 'clientId'],
    [{ clientId: 'me', refreshToken: 'env:R', assertion: { key: 'env:K', issuer: 'me' } }, 'assertion'],
    [{ assertion: { key: 'written out', issuer: 'me' } }, 'key'],
    [{ assertion: { key: 'env:K' } }, 'issuer'],
  ])('%j lacks something, or says too much', (settings, path) => {
    const parsed = http.connection.safeParse({
      url: 'http://h',
      auth: { oauth2: { tokenUrl: 'http://h/t', ...settings } },
    });
    expect(JSON.stringify(parsed.error?.issues ?? [])).toContain(`"${path}"`);
  });
});
