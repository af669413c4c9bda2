import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { describeError, NotAppliedError, RefusedError } from '../../model/errors.ts';
import { type ApiPeer, openApiPeer } from '../../testing/peer/api-peer.ts';
import type { Behaviour, ExpectedAuth } from '../../testing/peer/behaviour.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { testPermit } from '../../testing/permit.ts';
import type { Sink } from '../connector.ts';
import { http } from './config.ts';

const { ports } = openContext();
const SECRET = 'pa/ss+wörd "quoted" 42';
const closing: (() => Promise<unknown> | undefined)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function openPeer(behaviour: Partial<Behaviour>): Promise<ApiPeer> {
  const peer = await openApiPeer(behaviour);
  closing.push(() => peer.close());
  return peer;
}

function openSink(
  url: string,
  auth: unknown,
  settings: Record<string, unknown> = {},
  secrets: Record<string, string> = { 'env:TOKEN': SECRET },
  connection: Record<string, unknown> = {},
): Sink {
  const config = http.sink!.settings.parse({ path: '/v1/records', receipt: { shape: 'none' }, ...settings });
  const parsed = http.connection.parse({ url, auth, ...connection });
  const sink = http.sink!.open(parsed, config, openContext(secrets));
  closing.push(async () => sink.close?.());
  return sink;
}

const send = (sink: Sink, batch = 1) =>
  sink.can.append!(testPermit({ records: [{ id: batch }], framing: sink.accepts[0]!, batch }));

describe('credentials', () => {
  it.each([
    ['a bearer token', { bearer: 'env:TOKEN' }, { bearer: 'tok-12345' }, 'tok-12345'],
    [
      'a name and a password',
      { basic: { username: 'me', password: 'env:TOKEN' } },
      { basic: { username: 'me', password: SECRET } },
      SECRET,
    ],
    [
      'a header of its own',
      { header: { name: 'X-Api-Key', value: 'env:TOKEN', prefix: 'Key ' } },
      { header: { name: 'x-api-key', value: 'Key tok-12345' } },
      'tok-12345',
    ],
  ] as [string, unknown, ExpectedAuth, string][])('travel as %s', async (_what, auth, expected, secret) => {
    const peer = await openPeer({ auth: expected });
    const verdict = await send(openSink(peer.url, auth, {}, { 'env:TOKEN': secret }));
    expect([...verdict.outcomes]).toEqual([1]);
  });

  it('that cannot be read mean that nothing was sent', async () => {
    const peer = await openPeer({});
    const error = await send(openSink(peer.url, { bearer: 'env:ABSENT' })).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NotAppliedError);
    expect(describeError(error)).toContain('env:ABSENT');
    expect(peer.received).toHaveLength(0);
  });
});

describe('OAuth 2 client credentials', () => {
  const oauth = { clientId: 'me', clientSecret: SECRET, lifetimeMs: 3_600_000 };
  const authOf = (peer: ApiPeer, more: object = {}) => ({
    oauth2: { tokenUrl: `${peer.url}/oauth/token`, clientId: 'me', clientSecret: 'env:TOKEN', ...more },
  });

  it.each(['basic', 'body'])('asks once for a token that many requests wait for (%s)', async (credentials) => {
    const peer = await openPeer({ auth: { oauth: { ...oauth, scope: 'write' } } });
    const sink = openSink(peer.url, authOf(peer, { credentials, scope: 'write' }));
    await Promise.all(Array.from({ length: 10 }, (_, at) => send(sink, at + 1)));
    expect(peer.gate.tokenRequests).toBe(1);
    expect(peer.records()).toHaveLength(10);
  });

  it('replaces a token ahead of its end', async () => {
    const peer = await openPeer({ auth: { oauth: { ...oauth, lifetimeMs: 600 } } });
    const sink = openSink(peer.url, authOf(peer, { refreshAhead: '500ms' }));
    await send(sink, 1);
    await ports.sleep(350);
    await send(sink, 2);
    expect(peer.gate.tokenRequests).toBe(2);
    expect(peer.received.map((one) => one.status)).toEqual([204, 204]);
  });

  it('replays a 401 once where a 401 proves a refusal, and never where it does not', async () => {
    const peer = await openPeer({ auth: { oauth } });
    const careful = openSink(peer.url, authOf(peer));
    await send(careful);
    peer.gate.revoke();
    expect([...(await send(careful, 2)).outcomes]).toEqual([3]);
    const declared = openSink(peer.url, authOf(peer), { statuses: { refused: [401] } });
    await send(declared, 3);
    peer.gate.revoke();
    expect([...(await send(declared, 4)).outcomes]).toEqual([1]);
    expect(peer.received.filter((one) => one.status === 401)).toHaveLength(2);
  });

  it('gives up after one replay', async () => {
    const peer = await openPeer({ auth: { oauth } });
    const sink = openSink(peer.url, authOf(peer), { statuses: { refused: [401] } });
    peer.set({ faults: [{ answer: { status: 401 } }] });
    await expect(send(sink)).rejects.toBeInstanceOf(RefusedError);
    expect(peer.received).toHaveLength(2);
  });

  it('sends nothing when no token is given out', async () => {
    const peer = await openPeer({ auth: { oauth: { ...oauth, clientSecret: 'other' } } });
    const error = await send(openSink(peer.url, authOf(peer))).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NotAppliedError);
    expect((error as NotAppliedError).message).toContain('answered 401');
    expect(peer.received).toHaveLength(0);
  });
});

describe('secrets', () => {
  const spellings = [
    SECRET,
    JSON.stringify(SECRET).slice(1, -1),
    encodeURIComponent(SECRET),
    Buffer.from(SECRET).toString('base64'),
  ];

  it('U23: an API that echoes every credential leaks none into verdicts, receipts or errors', async () => {
    const basic = Buffer.from(`me:${SECRET}`).toString('base64');
    const body = { error: `bad ${SECRET}`, sent: { authorization: `Basic ${basic}` }, url: encodeURIComponent(SECRET) };
    const headers = { 'x-request-id': Buffer.from(SECRET).toString('base64') };
    for (const status of [200, 400, 500]) {
      const peer = await openPeer({ faults: [{ answer: { status, body, headers } }] });
      const auth = { basic: { username: 'me', password: 'env:TOKEN' } };
      const receipt = { shape: 'all-or-nothing', ok: { path: 'ok', absent: true }, error: 'error' };
      const result = await send(openSink(peer.url, auth, { receipt })).catch((thrown: unknown) => thrown);
      const shown = inspect(result, { depth: 10 }) + JSON.stringify(result);
      for (const spelling of [...spellings, basic]) expect(shown).not.toContain(spelling);
    }
  });

  it('U23: a token endpoint that echoes the secret, or dies, leaks nothing', async () => {
    for (const answer of ['close', { status: 500, body: { echo: SECRET } }] as const) {
      const peer = await openPeer({ faults: [{ answer }] });
      const auth = { oauth2: { tokenUrl: `${peer.url}/token`, clientId: 'me', clientSecret: 'env:TOKEN' } };
      const result = await send(openSink(peer.url, auth)).catch((thrown: unknown) => thrown);
      expect(result).toBeInstanceOf(NotAppliedError);
      const shown = inspect(result, { depth: 10 });
      for (const spelling of spellings) expect(shown).not.toContain(spelling);
    }
  });

  it('U23: errors and summaries hold nothing of the records', async () => {
    const canary = 'canary-4711';
    const peer = await openPeer({ shape: 'rokt', faults: [{ answer: 'close' }] });
    const receipt = { shape: 'echoed-record', path: 'data.unprocessedRecords', recordKey: 'id' };
    const sink = openSink(peer.url, undefined, { receipt });
    const permit = () => testPermit({ records: [{ id: canary }], framing: sink.accepts[0]! });
    const error = await sink.can.append!(permit()).catch((thrown: unknown) => thrown);
    expect(inspect(error, { depth: 10 })).not.toContain(canary);
    peer.set({ faults: [], reject: [{ path: 'id', values: [canary], code: 'c', message: 'm' }] });
    expect((await sink.can.append!(permit())).receipt.summary).not.toContain(canary);
  });

  it('can be changed without a restart', async () => {
    const peer = await openPeer({ auth: { bearer: 'first-token' } });
    const secrets: Record<string, string> = { 'env:TOKEN': 'first-token' };
    const sink = openSink(peer.url, { bearer: 'env:TOKEN' }, {}, secrets);
    await send(sink);
    secrets['env:TOKEN'] = 'second-token';
    peer.set({ auth: { bearer: 'second-token' } });
    await ports.sleep(1050);
    expect([...(await send(sink, 2)).outcomes]).toEqual([1]);
  });
});

describe('TLS', () => {
  it('trusts the authority that the flow names, and no other', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'waybill-tls-'));
    closing.push(async () => rmSync(folder, { recursive: true }));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'ca.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        key,
        '-out',
        cert,
        '-days',
        '2',
        ...subject,
      ],
      { stdio: 'pipe' },
    );
    let requests = 0;
    const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
      request.resume().on('end', () => {
        requests++;
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    const url = `https://127.0.0.1:${(server.address() as { port: number }).port}`;
    await expect(send(openSink(url, undefined))).rejects.toBeInstanceOf(NotAppliedError);
    expect(requests).toBe(0);
    const trusting = openSink(url, undefined, {}, {}, { tls: { ca: cert } });
    expect([...(await send(trusting)).outcomes]).toEqual([1]);
    expect([...(await send(trusting, 2)).outcomes]).toEqual([1]);
    await expect(
      send(openSink(url, undefined, {}, {}, { tls: { ca: join(folder, 'absent.pem') } })),
    ).rejects.toBeInstanceOf(NotAppliedError);
  });
});
