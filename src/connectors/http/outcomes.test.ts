import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { tally, type Verdict } from '../../model/verdict.ts';
import { type ApiPeer, openApiPeer } from '../../testing/peer/api-peer.ts';
import type { Answer, Fault } from '../../testing/peer/behaviour.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { openRawServer } from '../../testing/peer/raw-server.ts';
import { type TestPermitOptions, testPermit } from '../../testing/permit.ts';
import type { Sink } from '../connector.ts';
import { http } from './config.ts';
import { retryAfterMs } from './outcome.ts';

const { ports } = openContext();
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

async function openRaw(serve: (socket: Socket) => void): Promise<string> {
  const server = await openRawServer(serve);
  closing.push(() => server.close());
  return server.url;
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

describe('a process that stands still', () => {
  it('between the check of its leave and the first byte has sent nothing, and says so', async () => {
    const peer = await openPeer();
    let stoppedMs = 0;
    const context = openContext();
    const clock = { ...context.ports, monotonicMs: () => context.ports.monotonicMs() + stoppedMs };
    const settings = http.sink!.settings.parse({ path: '/v1/records', receipt: { shape: 'none' } });
    const sink = http.sink!.open(http.connection.parse({ url: peer.url }), settings, { ...context, ports: clock });
    closing.push(async () => sink.close?.());
    const permit = testPermit({ records: RECORDS, framing: sink.accepts[0]! });
    const stopping = {
      ...permit,
      payload: async () => {
        const payload = await permit.payload();
        stoppedMs = 5_000;
        return payload;
      },
    };
    const error = await failure(sink.can.append!(stopping));
    expect(error).toBeInstanceOf(NotAppliedError);
    expect(error.message).toContain('stood still');
    expect(peer.received).toEqual([]);
    expect((await sink.can.append!(permit)).outcomes).toHaveLength(2);
  });
});

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

  it('U13: an abort between the connection and the first byte is not sent', async () => {
    const peer = await openPeer();
    const sink = openSink(peer.url);
    await send(sink);
    const abort = new AbortController();
    const permit = testPermit({ records: RECORDS, framing: sink.accepts[0]!, signal: abort.signal });
    const late = { ...permit, payload: () => permit.payload().finally(() => abort.abort(new Error('too late'))) };
    const error = (await failure(sink.can.append!(late))) as NotAppliedError;
    expect(error).toBeInstanceOf(NotAppliedError);
    expect(error.sinkAway).toBe(false);
    expect(peer.received).toHaveLength(1);
  });

  it('U13: 429 before application is tried later, with Retry-After in seconds or as a date', async () => {
    const peer = await openPeer(
      { when: { nth: [1] }, answer: { status: 429, headers: { 'retry-after': '7' } } },
      {
        when: { nth: [2] },
        answer: { status: 429, headers: { 'retry-after': new Date(ports.wallMs() + 9000).toUTCString() } },
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

  it('U13: a time-out after sending is in doubt, and comes when the time-out says', async () => {
    const peer = await openPeer({ answer: 'hang', apply: 'all' });
    const sink = openSink(peer.url, { requestTimeout: '300ms' });
    const startMs = ports.monotonicMs();
    const error = await failure(send(sink));
    expect(error.code).toBe('SINK_FAILED');
    expect(ports.monotonicMs() - startMs).toBeGreaterThan(200);
    expect(ports.monotonicMs() - startMs).toBeLessThan(900);
  });

  it('U13: our own abort after sending is in doubt', async () => {
    const peer = await openPeer({ answer: 'hang', apply: 'all' });
    const abort = new AbortController();
    const sending = failure(send(openSink(peer.url), { signal: abort.signal }));
    while (peer.records().length === 0) await ports.sleep(5);
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

describe('Retry-After', () => {
  it.each([
    ['120', 120_000],
    ['0', 0],
    ['86400', 86_400_000],
    ['9999999999', 7 * 86_400_000],
    ['Thu, 01 Jan 1970 00:01:00 GMT', 50_000],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['soon', undefined],
    ['-5', undefined],
  ])('reads %s', (text, wanted) => {
    expect(retryAfterMs(text, 10_000)).toBe(wanted);
  });
});
