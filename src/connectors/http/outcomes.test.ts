import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { tally, type Verdict } from '../../model/verdict.ts';
import { type ApiPeer, openApiPeer } from '../../testing/peer/api-peer.ts';
import type { Answer, Fault } from '../../testing/peer/behaviour.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { type TestPermitOptions, testPermit } from '../../testing/permit.ts';
import type { Sink } from '../connector.ts';
import { http } from './config.ts';
import { retryAfterMs } from './outcome.ts';

const closing: (() => Promise<void> | undefined)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function openSink(url: string, settings: Record<string, unknown> = {}, connection: Record<string, unknown> = {}): Sink {
  const config = http.sink!.settings.parse({ path: '/v1/records', receipt: { shape: 'none' }, ...settings });
  const sink = http.sink!.open(http.connection.parse({ url, ...connection }), config, openContext());
  closing.push(async () => sink.close?.());
  return sink;
}

async function openPeer(...faults: Fault[]): Promise<ApiPeer> {
  const peer = await openApiPeer({ faults });
  closing.push(() => peer.close());
  return peer;
}

/** A server below HTTP, for what no HTTP server does. */
async function openRaw(serve: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => sockets.delete(socket));
    socket.on('close', () => sockets.delete(socket));
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

const RECORDS = [{ id: 'e-1' }, { id: 'e-2' }];
async function send(sink: Sink, options: Partial<TestPermitOptions> = {}): Promise<Verdict> {
  const permit = testPermit({ records: RECORDS, framing: sink.accepts[0]!, ...options });
  const verdict = await sink.can.append!(permit);
  tally(verdict, permit.batch.records);
  return verdict;
}

/** The error, and its class in one word. */
async function failure(sending: Promise<unknown>): Promise<WaybillError> {
  return await sending.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => {
      if (error instanceof WaybillError) return error;
      throw error;
    },
  );
}

describe('nothing was sent', () => {
  it('U13: a refused connection is not sent', async () => {
    const url = await openRaw(() => undefined);
    await closing.pop()?.();
    const error = await failure(send(openSink(url)));
    expect(error).toBeInstanceOf(NotAppliedError);
    expect((error as NotAppliedError).sinkAway).toBe(true);
    expect(error.message).toContain('ECONNREFUSED');
  });

  it('U13: a host that has no address is not sent', async () => {
    const error = await failure(send(openSink('http://nowhere.invalid')));
    expect(error).toBeInstanceOf(NotAppliedError);
    expect((error as NotAppliedError).sinkAway).toBe(true);
  });

  it('U13: a TLS handshake that fails is not sent', async () => {
    const url = await openRaw((socket) => socket.end('this is no TLS\r\n'));
    const error = await failure(send(openSink(url.replace('http:', 'https:'))));
    expect(error).toBeInstanceOf(NotAppliedError);
  });

  it('U13: a TLS handshake that never ends is not sent', async () => {
    const url = await openRaw(() => undefined);
    const sink = openSink(url.replace('http:', 'https:'), {}, { connectTimeout: '150ms' });
    const error = await failure(send(sink));
    expect(error).toBeInstanceOf(NotAppliedError);
    expect(error.message).toContain('took too long');
  });

  it('U13: an abort while connecting is not sent, and is no fault of the sink', async () => {
    const url = await openRaw(() => undefined);
    const abort = new AbortController();
    const sending = failure(send(openSink(url.replace('http:', 'https:')), { signal: abort.signal }));
    abort.abort(new Error('the run was told to stop'));
    const error = await sending;
    expect(error).toBeInstanceOf(NotAppliedError);
    expect((error as NotAppliedError).sinkAway).toBe(false);
  });

  it('U13: a permit past its deadline is not sent, although a connection stands', async () => {
    const peer = await openPeer();
    const sink = openSink(peer.url);
    const error = await failure(send(sink, { expired: true }));
    expect(error).toBeInstanceOf(NotAppliedError);
    expect(peer.received).toHaveLength(0);
    await send(sink);
    expect(peer.received).toHaveLength(1);
  });

  it('U13: 429 before application is tried later, with Retry-After in seconds or as a date', async () => {
    const peer = await openPeer(
      { when: { nth: [1] }, answer: { status: 429, headers: { 'retry-after': '7' } } },
      {
        when: { nth: [2] },
        answer: { status: 429, headers: { 'retry-after': new Date(Date.now() + 9000).toUTCString() } },
      },
    );
    const sink = openSink(peer.url);
    const first = (await failure(send(sink))) as NotAppliedError;
    expect(first).toBeInstanceOf(NotAppliedError);
    expect(first.retryAfterMs).toBe(7000);
    const second = (await failure(send(sink))) as NotAppliedError;
    expect(second.retryAfterMs).toBeGreaterThan(6000);
    expect(second.retryAfterMs).toBeLessThanOrEqual(9000);
  });

  it('U13: 503 is tried later only where the flow declares it', async () => {
    const peer = await openPeer({ answer: { status: 503, headers: { 'retry-after': '3' } } });
    const verdict = await send(openSink(peer.url));
    expect([...verdict.outcomes]).toEqual([3, 3]);
    expect(verdict.retryAfterMs).toBe(3000);
    const declared = openSink(peer.url, { statuses: { retry: [429, 503] } });
    const error = (await failure(send(declared))) as NotAppliedError;
    expect(error).toBeInstanceOf(NotAppliedError);
    expect(error.retryAfterMs).toBe(3000);
    expect(error.sinkAway).toBe(true);
  });
});

describe('the outcome is unknown', () => {
  const broken: [string, Answer][] = [
    ['closed after the request was read', 'close'],
    ['reset after the request was read', 'reset'],
    ['cut short in its answer', 'truncated'],
    ['answered with something that is not HTTP', 'garbage'],
    ['answered with more than is read', 'huge'],
  ];
  it.each(broken)('U13: a connection that is %s leaves a doubt', async (_what, answer) => {
    const peer = await openPeer({ answer, apply: 'all' });
    const error = await failure(send(openSink(peer.url)));
    expect(error.code).toBe('SINK_FAILED');
    expect(peer.records()).toHaveLength(2);
  });

  it('U13: a connection that is closed before the request is read leaves a doubt: nobody can know', async () => {
    const peer = await openPeer({ answer: 'close-before-reading' });
    expect((await failure(send(openSink(peer.url)))).code).toBe('SINK_FAILED');
    expect(peer.records()).toHaveLength(0);
  });

  it('U13: a time-out after sending is in doubt, and comes no later than the time-out says', async () => {
    const peer = await openPeer({ answer: 'hang', apply: 'all' });
    const sink = openSink(peer.url, { requestTimeout: '300ms' });
    const startMs = performance.now();
    const error = await failure(send(sink));
    expect(error.code).toBe('SINK_FAILED');
    expect(performance.now() - startMs).toBeGreaterThan(200);
    expect(performance.now() - startMs).toBeLessThan(330);
  });

  it('U13: our own abort after sending is in doubt', async () => {
    const peer = await openPeer({ answer: 'hang', apply: 'all' });
    const abort = new AbortController();
    const sending = failure(send(openSink(peer.url), { signal: abort.signal }));
    while (peer.records().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    abort.abort(new Error('the lease has run out'));
    const error = await sending;
    expect(error.code).toBe('SINK_FAILED');
    expect(error.message).toContain('the lease has run out');
  });

  it.each([408, 500, 502, 504, 520, 524, 418])('U13: %i proves nothing, applied or not', async (status) => {
    const peer = await openPeer({ answer: { status, body: { error: 'x' } }, apply: 'all' });
    const verdict = await send(openSink(peer.url, { rejectsAtomically: true }));
    expect([...verdict.outcomes]).toEqual([3, 3]);
    expect(verdict.receipt.summary).toContain(String(status));
    expect(verdict.receipt.excerpt).toContain('error');
  });

  it.each([301, 303, 307])('U13: a redirect (%i) is not followed and proves nothing', async (status) => {
    const target = await openPeer();
    const peer = await openPeer({ answer: { status, headers: { location: `${target.url}/v1/records` } } });
    const verdict = await send(openSink(peer.url));
    expect([...verdict.outcomes]).toEqual([3, 3]);
    expect(verdict.receipt.summary).toContain('redirect');
    expect(target.received).toHaveLength(0);
  });
});

describe('the batch was refused', () => {
  it.each([400, 401, 403, 404, 405, 413, 415, 422])(
    'U13: %i is final where the sink rejects atomically, a doubt where it does not',
    async (status) => {
      const peer = await openPeer({ answer: { status, body: { error: 'bad' } } });
      const error = (await failure(send(openSink(peer.url, { rejectsAtomically: true })))) as RefusedError;
      expect(error).toBeInstanceOf(RefusedError);
      expect(error.reason).toBe(String(status));
      expect(error.tooLarge).toBe(status === 413);
      expect(error.receipt?.excerpt).toContain('bad');
      const verdict = await send(openSink(peer.url));
      expect([...verdict.outcomes]).toEqual([3, 3]);
    },
  );

  it('U13: a status that the flow declares as refused is final, whatever it usually means', async () => {
    const peer = await openPeer({ answer: { status: 500 } });
    const sink = openSink(peer.url, { statuses: { refused: [500] } });
    expect(await failure(send(sink))).toBeInstanceOf(RefusedError);
    expect(sink.facts.rejectsAtomically).toBe(true);
  });

  it('U13: a status that the flow declares as seen before means applied', async () => {
    const peer = await openPeer({ answer: { status: 409 } });
    const verdict = await send(openSink(peer.url, { statuses: { already: [409] } }));
    expect([...verdict.outcomes]).toEqual([1, 1]);
  });
});

describe('connections', () => {
  const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n';

  it('U13: a server that silently closes idle connections makes no doubts in 300 sends', async () => {
    let connections = 0;
    const url = await openRaw((socket) => {
      connections++;
      let idle: NodeJS.Timeout | undefined;
      socket.on('data', (bytes) => {
        clearTimeout(idle);
        if (!bytes.toString('latin1').includes(']')) return;
        socket.write(`${OK}\r\n`);
        // Announces nothing, and closes at a moment of its own: at once, or a little later.
        idle = setTimeout(() => socket.destroy(), connections % 4);
      });
    });
    const sink = openSink(url);
    for (let nth = 1; nth <= 300; nth++) {
      const verdict = await send(sink, { batch: nth });
      expect([...verdict.outcomes]).toEqual([1, 1]);
      if (nth % 3 === 0) await new Promise((resolve) => setTimeout(resolve, nth % 5));
    }
    expect(connections).toBe(300);
  });

  it('U13: a connection that the server announces to keep is used again, and not beyond its time', async () => {
    let connections = 0;
    const url = await openRaw((socket) => {
      connections++;
      let idle: NodeJS.Timeout | undefined;
      socket.on('data', (bytes) => {
        clearTimeout(idle);
        if (!bytes.toString('latin1').includes(']')) return;
        socket.write(`${OK}keep-alive: timeout=2\r\n\r\n`);
        idle = setTimeout(() => socket.destroy(), 2000);
      });
    });
    const sink = openSink(url);
    for (let nth = 1; nth <= 20; nth++) await send(sink, { batch: nth });
    expect(connections).toBe(1);
    // One second before the announced end the connection is given up.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await send(sink);
    expect(connections).toBe(2);
  });

  it('U13: an idle connection that was closed is replaced, since nothing was written to it', async () => {
    let connections = 0;
    const sockets: Socket[] = [];
    const url = await openRaw((socket) => {
      connections++;
      sockets.push(socket);
      socket.on('data', (bytes) => {
        if (bytes.toString('latin1').includes(']')) socket.write(`${OK}keep-alive: timeout=60\r\n\r\n`);
      });
    });
    const sink = openSink(url);
    await send(sink);
    sockets[0]?.destroy();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([...(await send(sink)).outcomes]).toEqual([1, 1]);
    expect(connections).toBe(2);
  });

  it('sends each request once, on as many connections as are needed at once', async () => {
    const peer = await openPeer();
    peer.set({ delayMs: 20 });
    const sink = openSink(peer.url, { inFlight: 16 });
    await Promise.all(Array.from({ length: 64 }, (_, at) => send(sink, { batch: at + 1 })));
    expect(peer.received).toHaveLength(64);
    expect(new Set(peer.received.map((one) => one.headers['x-waybill-batch'])).size).toBe(64);
  });

  it('carries what the owner of an access log needs to settle a doubt', async () => {
    const peer = await openPeer();
    const sink = openSink(peer.url, {}, { headers: { 'X-Team': 'data' } });
    const permit = testPermit({ records: RECORDS, framing: sink.accepts[0]!, attempt: 3, correlationId: 'c-1' });
    await sink.can.append!(permit);
    const [request] = peer.received;
    expect(request?.headers).toMatchObject({
      'x-waybill-batch': permit.batch.idempotencyKey,
      'x-waybill-attempt': '3',
      'x-waybill-digest': permit.batch.digest,
      'x-waybill-records': '2',
      'x-correlation-id': 'c-1',
      'x-team': 'data',
      'content-type': 'application/json',
      'accept-encoding': 'identity',
    });
    expect(request?.body).toBe('[{"id":"e-1"},{"id":"e-2"}]');
  });
});

describe('Retry-After', () => {
  it.each([
    ['120', 120_000],
    ['0', 0],
    ['999999', 3_600_000],
    ['Thu, 01 Jan 1970 00:01:00 GMT', 50_000],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['soon', undefined],
    ['-5', undefined],
  ])('reads %s', (text, wanted) => {
    expect(retryAfterMs(text, 10_000)).toBe(wanted);
  });
});
