import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Cut } from './cut.ts';
import { type CutProxy, openCutProxy } from './cut-proxy.ts';
import { Message } from './message.ts';

let server: Server;
let proxy: CutProxy;
/** Bodies that the server got to the end, and how many requests it began. */
const got: string[] = [];
let begun = 0;

beforeEach(async () => {
  got.length = 0;
  begun = 0;
  server = createServer((request, response) => {
    begun++;
    let body = '';
    request.on('data', (part) => (body += part));
    // A request that breaks off ends with an error; that it did not arrive is what the tests look at.
    request.on('error', () => response.destroy());
    request.on('end', () => {
      got.push(body);
      response.end(`seen ${body}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  await proxy.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const open = async (...cuts: Cut[]): Promise<void> => {
  proxy = await openCutProxy({ target: { port: (server.address() as AddressInfo).port }, framing: 'http', cuts });
};
const request = (body: string): string =>
  `POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

interface Heard {
  readonly text: string;
  readonly how: 'end' | 'reset';
}

/** Sends bytes over one connection and hears it to its end. */
function ask(text: string, socket: Socket = connect(proxy.port, '127.0.0.1')): Promise<Heard> {
  let heard = '';
  let how: Heard['how'] = 'end';
  socket.on('data', (part) => {
    heard += part;
    if (heard.includes('seen ')) socket.end();
  });
  socket.on('error', () => {
    how = 'reset';
  });
  socket.write(text);
  return new Promise((resolve) => socket.once('close', () => resolve({ text: heard, how })));
}

describe('a proxy that cuts', () => {
  it('passes everything on where no cut is due', async () => {
    await open({ when: { request: [9] }, side: 'request', at: 0, act: 'close' });
    const heard = await ask(request('hello'));
    expect(heard.text).toMatch(/seen hello$/);
    expect(proxy.made).toEqual([]);
    expect([proxy.connections, proxy.requests]).toEqual([1, 1]);
  });

  it.each<[string, Omit<Cut, 'act'>, { began: number; got: string[]; heard: RegExp }]>([
    ['before the request', { side: 'request', at: 0 }, { began: 0, got: [], heard: /^$/ }],
    ['within its head', { side: 'request', at: 20 }, { began: 0, got: [], heard: /^$/ }],
    ['within its body', { side: 'request', at: { after: '\r\n\r\nhel' } }, { began: 1, got: [], heard: /^$/ }],
    ['after the request', { side: 'request', at: 'end' }, { began: 1, got: ['hello'], heard: /^$/ }],
    ['before the answer', { side: 'answer', at: 0 }, { began: 1, got: ['hello'], heard: /^$/ }],
    ['within the answer', { side: 'answer', at: 12 }, { began: 1, got: ['hello'], heard: /^HTTP\/1.1 200$/ }],
    ['after the answer', { side: 'answer', at: 'end' }, { began: 1, got: ['hello'], heard: /seen hello/ }],
  ])('%s lets exactly that much through', async (_, place, then) => {
    for (const act of ['close', 'reset'] as const) {
      await open({ ...place, act });
      [got.length, begun] = [0, 0];
      const heard = await ask(request('hello'));
      expect(heard.text).toMatch(then.heard);
      if (then.got.length > 0 || then.began > 0) await expect.poll(() => begun).toBe(then.began);
      await expect.poll(() => got).toEqual(then.got);
      expect(proxy.made).toHaveLength(1);
      if (act === 'close') await proxy.close();
    }
  });

  it('holds an answer until it is released', async () => {
    await open({ side: 'answer', at: 5, act: 'hold' });
    const heard = ask(request('hello'));
    await expect.poll(() => proxy.made.length).toBe(1);
    expect(got).toEqual(['hello']);
    expect(proxy.release()).toBe(1);
    expect((await heard).text).toMatch(/^HTTP\/1.1 200.*seen hello$/s);
  });

  it('forgets what is held when it is told to, though its sender has only ended, and keeps what is late', async () => {
    await open(
      { side: 'request', at: { after: 'hel' }, act: 'hold', times: 1 },
      { side: 'request', at: 0, act: 'late' },
    );
    const sender = connect(proxy.port, '127.0.0.1');
    const closed = new Promise((resolve) => sender.once('close', resolve).once('error', () => undefined));
    sender.end(request('hello'));
    await expect.poll(() => proxy.made.length).toBe(1);
    expect((await ask(request('later'))).text).toBe('');
    proxy.discard();
    await closed;
    expect(proxy.release(), 'only what is late').toBe(1);
    await expect.poll(() => got).toEqual(['later']);
  });

  it('delivers late what its sender has long given up', async () => {
    await open({ side: 'request', at: 0, act: 'late' });
    const heard = await ask(request('hello'));
    expect(heard.text).toBe('');
    expect(got).toEqual([]);
    expect(proxy.release()).toBe(1);
    await expect.poll(() => got).toEqual(['hello']);
    expect(proxy.release(), 'once').toBe(0);
  });

  it('chooses by connection, by count, by text and by how often', async () => {
    await open(
      { when: { holds: 'content-length: 3\r\n', every: 2 }, side: 'answer', at: 0, act: 'close', times: 1 },
      { when: { connection: [1] }, side: 'request', at: 0, act: 'close' },
    );
    const bodies = ['one', 'three', 'two', 'six', 'ten'];
    const heard: string[] = [];
    for (const body of bodies) heard.push((await ask(request(body))).text.slice(-5));
    expect(heard.map((text) => text.length > 0)).toEqual([false, true, false, true, true]);
    expect(proxy.made.map(({ request: nth }) => nth)).toEqual([1, 3]);
    expect(got).toEqual(['three', 'two', 'six', 'ten']);
  });

  it('refuses a cut that nothing can tell the place of', async () => {
    await open();
    const target = { port: proxy.port };
    for (const cut of [
      { side: 'request', at: 'end', act: 'close' },
      { side: 'request', at: 0, act: 'late' },
    ] as const)
      await expect(openCutProxy({ target, cuts: [cut] })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(() => proxy.set([{ side: 'answer', at: 0, act: 'late' }])).toThrow(/from its first byte/);
  });
});

describe('a message', () => {
  /** Ends and places of a message that arrives in parts of this size. */
  function met(text: string, size: number, place: Parameters<Message['placeOf']>[0], side: 'request' | 'answer') {
    const message = new Message('http', side);
    let [passed, found] = [0, -1];
    const bytes = Buffer.from(text, 'latin1');
    for (let at = 0; at < bytes.length && !message.ended; at += size) {
      const part = message.take(bytes.subarray(at, at + size));
      const here = message.placeOf(place);
      if (here !== undefined && found === -1) found = passed + here;
      passed += part.length;
    }
    return { passed, found, ended: message.ended };
  }

  it.each([1, 2, 3, 7, 1000])('is cut in the same place when it comes in parts of %s bytes', (size) => {
    const one = request('hello');
    expect(met(`${one}POST /y`, size, 'end', 'request')).toEqual({
      passed: one.length,
      found: one.length,
      ended: true,
    });
    const body = one.length - 3;
    expect(met(one, size, { after: '\r\n\r\nhe' }, 'request').found).toBe(body);
    expect(met(one, size, 17, 'request').found).toBe(17);
    const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    expect(met(`${chunked}HTTP/1.1`, size, 'end', 'answer').found).toBe(chunked.length);
    const empty = 'HTTP/1.1 204 No Content\r\n\r\n';
    expect(met(`${empty}HTTP/1.1`, size, 'end', 'answer').passed).toBe(empty.length);
    expect(met('HTTP/1.1 200 OK\r\n\r\nabc', size, 'end', 'answer')).toMatchObject({ found: -1, ended: false });
  });
});
