import { afterEach, describe, expect, it } from 'vitest';
import { NotAppliedError } from '../../model/errors.ts';
import { openApiPeer } from '../../testing/peer/api-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { answerAndClose, openRawServer } from '../../testing/peer/raw-server.ts';
import { testPermit } from '../../testing/permit.ts';
import type { Sink } from '../connector.ts';
import { http } from './config.ts';

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

async function openRaw(serve: Parameters<typeof openRawServer>[0]) {
  const server = await openRawServer(serve);
  closing.push(() => server.close());
  return server;
}

const RECORDS = [{ id: 'e-1' }, { id: 'e-2' }];
const send = (sink: Sink, batch = 1) =>
  sink.can.append!(testPermit({ records: RECORDS, framing: sink.accepts[0]!, batch }));

describe('connections', () => {
  it('U13: a server that silently closes idle connections makes no doubts in 300 sends', async () => {
    const server = await openRaw((socket, nth) => answerAndClose(socket, nth % 4));
    const sink = openSink(server.url);
    for (let nth = 1; nth <= 300; nth++) {
      expect([...(await send(sink, nth)).outcomes]).toEqual([1, 1]);
      if (nth % 3 === 0) await ports.sleep(nth % 5);
    }
    expect(server.connections).toBe(300);
  });

  it('U13: a connection that the server announces to keep is used again, and not beyond its time', async () => {
    const server = await openRaw((socket) => answerAndClose(socket, 2000, 'timeout=2'));
    const sink = openSink(server.url);
    for (let nth = 1; nth <= 20; nth++) await send(sink, nth);
    expect(server.connections).toBe(1);
    // One second before the announced end the connection is given up.
    await ports.sleep(1100);
    await send(sink);
    expect(server.connections).toBe(2);
  });

  it('U13: an idle connection that was closed is replaced, since nothing was written to it', async () => {
    const server = await openRaw((socket) => answerAndClose(socket, 60_000, 'timeout=60'));
    const sink = openSink(server.url);
    await send(sink);
    for (const socket of server.sockets) socket.destroy();
    while (server.sockets.size > 0) await ports.sleep(1);
    await ports.sleep(20);
    expect([...(await send(sink)).outcomes]).toEqual([1, 1]);
    expect(server.connections).toBe(2);
  });

  it('U13: a server that closes every connection at once is given up, and not tried for ever', async () => {
    const server = await openRaw((socket) => socket.destroy());
    const error = await send(openSink(server.url)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(server.connections).toBeLessThanOrEqual(2);
  });

  it('sends each request once, on as many connections as are needed at once', async () => {
    const peer = await openApiPeer({ delayMs: 20 });
    closing.push(() => peer.close());
    const sink = openSink(peer.url, { inFlight: 16 });
    await Promise.all(Array.from({ length: 64 }, (_, at) => send(sink, at + 1)));
    expect(peer.received).toHaveLength(64);
    expect(new Set(peer.received.map((one) => one.headers['x-waybill-batch'])).size).toBe(64);
  });

  it('carries what the owner of an access log needs to settle a doubt', async () => {
    const peer = await openApiPeer();
    closing.push(() => peer.close());
    const sink = openSink(peer.url, {}, { headers: { 'X-Team': 'data' } });
    const permit = testPermit({ records: RECORDS, framing: sink.accepts[0]!, attempt: 3, correlationId: 'c-1' });
    await sink.can.append!(permit);
    expect(peer.received[0]?.body).toBe('[{"id":"e-1"},{"id":"e-2"}]');
    expect(peer.received[0]?.headers).toMatchObject({
      'x-waybill-batch': permit.batch.idempotencyKey,
      'x-waybill-attempt': '3',
      'x-waybill-digest': permit.batch.digest,
      'x-waybill-records': '2',
      'x-correlation-id': 'c-1',
      'x-team': 'data',
      'content-type': 'application/json',
      'accept-encoding': 'identity',
    });
  });

  it('sends nothing after it was closed', async () => {
    const peer = await openApiPeer();
    closing.push(() => peer.close());
    const sink = openSink(peer.url);
    await send(sink);
    await sink.close?.();
    await expect(send(sink)).rejects.toBeInstanceOf(NotAppliedError);
    expect(peer.received).toHaveLength(1);
  });
});
