import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WaybillError } from '../../model/errors.ts';
import { hideSecret, mask } from '../../model/masking.ts';
import { type DocumentPeer, openDocumentPeer, type PeerDocument } from '../../testing/peer/document-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { type Pulled, pull } from '../../testing/peer/pull.ts';
import { openRawServer } from '../../testing/peer/raw-server.ts';
import { http } from './config.ts';

let downloads: string;
const closing: (() => Promise<void> | undefined)[] = [];
beforeEach(async () => {
  downloads = await mkdtemp(join(tmpdir(), 'waybill-bad-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(downloads, { recursive: true, force: true });
});

interface Given {
  readonly settings?: Record<string, unknown>;
  readonly connection?: Record<string, unknown>;
  readonly secrets?: Record<string, string>;
  readonly signal?: AbortSignal;
}

const FROM = { sourceName: 's', kind: 'odf/etag', value: '"before"' };

function pulled(url: string, { settings, connection, secrets, signal }: Given = {}): Promise<Pulled> {
  const config = http.source!.settings.parse({ path: '/o.csv', ...settings });
  const place = http.connection.parse({ url, ...connection });
  const source = http.source!.open(place, config, openContext(secrets));
  closing.push(async () => source.close?.());
  return pull(source, { downloads, from: FROM, ...(signal && { signal }) });
}

/** What a pull that fails leaves behind: an error, and nothing that the next one would take for a document. */
async function failure(url: string, given: Given = {}): Promise<WaybillError & { said: string }> {
  const error = await pulled(url, given).then(
    (what) => expect.unreachable(`brought ${what.records.length} records`),
    (thrown: WaybillError) => thrown,
  );
  const left = await readdir(downloads).catch(() => []);
  expect(left.filter((name) => !name.endsWith('.json'))).toEqual([]);
  const texts: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) texts.push(at.message);
  return Object.assign(error, { said: texts.join(' / ') });
}

async function serve(document: PeerDocument): Promise<DocumentPeer> {
  const peer = await openDocumentPeer({ '*': document });
  closing.push(() => peer.close());
  return peer;
}

/** Answers with these bytes, and closes the connection behind them. */
async function raw(head: string, body: string | Uint8Array = '', end = true): Promise<string> {
  const server = await openRawServer((socket) => {
    socket.once('data', () => {
      socket.write(head);
      if (end) socket.end(body);
      else socket.write(body);
    });
  });
  closing.push(() => server.close());
  return server.url;
}

const CSV = 'id,name\n1,a\n2,b\n';
const OK = 'HTTP/1.1 200 OK\r\n';

describe('an answer that is no document', () => {
  it.each([
    [404, 'SOURCE_MISSING', 5],
    [410, 'SOURCE_GONE', 2],
    [401, 'SOURCE_DENIED', 2],
    [403, 'SOURCE_DENIED', 2],
    [400, 'SOURCE_INVALID', 2],
    [429, 'SOURCE_AWAY', 5],
    [500, 'SOURCE_AWAY', 5],
    [503, 'SOURCE_AWAY', 5],
    [206, 'SOURCE_FAILED', 5],
    [300, 'SOURCE_REDIRECTED', 2],
  ])('of %i is %s, which ends a command with %i', async (status, code, exit) => {
    const peer = await serve({ status, body: 'no' });
    const error = await failure(peer.url, { settings: { path: '/o.csv?key_of_nothing=1' } });
    expect(error).toMatchObject({ code, exitCode: exit, ids: { status } });
    expect(error.message).toContain(`127.0.0.1:${peer.port}/o.csv`);
    expect(error.said).not.toContain('key_of_nothing');
  });

  const words = 'The cursor has run out. Begin again.';
  it.each([
    [{ body: `{"error":"${words}"}` }, `; the answer begins "{"error":"${words}"}"`],
    [{ body: `\n ${words}\r\n\u0007` }, `; the answer begins "${words}"`],
    [{ body: gzipSync(words), headers: { 'content-encoding': 'gzip' } }, `; the answer begins "${words}"`],
    [{ body: 'é'.repeat(300) }, `; the answer begins "${'é'.repeat(200)}…"`],
    [
      { body: '{"at":"https://a.test/o.csv?token=1&b=2","n":1}' },
      '; the answer begins "{"at":"https://a.test/o.csv","n":1}"',
    ],
    [{ body: `${'x'.repeat(195)} s-3cret-value` }, `; the answer begins "${'x'.repeat(195)} ***"`],
    [{ body: `<!doctype html><title>${words}</title>` }, ''],
    [{ body: Uint8Array.of(0xff, 0xfe, 0x80) }, ''],
    [{ body: '' }, ''],
    [{ body: 'x'.repeat(1_000_000) }, `; the answer begins "${'x'.repeat(200)}…"`],
    [{ status: 206, body: words }, ''],
  ])('quotes the beginning of what the server says of it, if people can read it (%#)', async (document, begins) => {
    hideSecret('s-3cret-value');
    const peer = await serve({ status: 400, ...document });
    expect((await failure(peer.url)).message).toMatch(
      /^127\.0\.0\.1:\d+\S* was answered with \d+, which brings no document/,
    );
    expect((await failure(peer.url)).message.split('which brings no document')[1]).toBe(begins);
  });

  it('says of an answer whose body never comes what its status says', async () => {
    const head = 'HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\n';
    const url = await raw(head, 'half', true);
    expect((await failure(url)).message).toMatch(
      /answered with 404: there is nothing at this address; the answer begins "half"$/,
    );
    const silent = await raw(head, '', false);
    const error = await failure(silent, { settings: { stallTimeout: '1s' } });
    expect(error).toMatchObject({ code: 'SOURCE_MISSING', message: expect.stringMatching(/at this address$/) });
  });

  it.each([
    ['7', 7000],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 604_800_000],
  ])('says how long to wait: Retry-After %s', async (after, retryAfterMs) => {
    const peer = await serve({ status: 429, headers: { 'retry-after': after } });
    expect(await failure(peer.url)).toMatchObject({ code: 'SOURCE_AWAY', ids: { retryAfterMs } });
  });

  it('is asked for once more where a token was not taken, and never more often', async () => {
    const tokens = await openDocumentPeer({ '/token': { body: '{"access_token":"t-1","expires_in":60}' } });
    closing.push(() => tokens.close());
    const oauth2 = { tokenUrl: `${tokens.url}/token`, clientId: 'c', clientSecret: 'env:S' };
    const peer = await serve({ status: 401 });
    const given = { connection: { auth: { oauth2 } }, secrets: { 'env:S': 's-3cret-value' } };
    expect((await failure(peer.url, given)).code).toBe('SOURCE_DENIED');
    expect(peer.asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer t-1', 'Bearer t-1']);
    tokens.put('/token', { status: 503 });
    expect((await failure(peer.url, given)).code).toBe('SOURCE_AWAY');
    tokens.put('/token', { status: 400 });
    const error = await failure(peer.url, given);
    expect(error.code).toBe('SOURCE_DENIED');
    expect(mask(error.said)).not.toContain('s-3cret-value');
  });
});

describe('an answer that is not whole', () => {
  it.each<[string, string, string | Uint8Array, Record<string, unknown>]>([
    ['with fewer bytes than announced', `${OK}Content-Length: 99\r\n\r\n`, CSV, {}],
    ['with a chunk cut off', `${OK}Transfer-Encoding: chunked\r\n\r\n`, `10\r\n${CSV}\r\n20\r\nid,`, {}],
    ['in chunks without their end', `${OK}Transfer-Encoding: chunked\r\n\r\n`, `10\r\n${CSV}\r\n`, {}],
    ['that does not say where it ends', `${OK}\r\n`, CSV, {}],
    ['of HTTP/1.0 without a length', 'HTTP/1.0 200 OK\r\n\r\n', CSV, {}],
    ['of JSON that ends early', `${OK}\r\n`, '[{"id":1},', { format: 'json' }],
    [
      'of gzip that ends early',
      `${OK}Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n`,
      Buffer.concat([Buffer.from('14\r\n'), gzipSync(CSV).subarray(0, 20), Buffer.from('\r\n0\r\n\r\n')]),
      {},
    ],
  ])('%s is an error, and nothing is kept', async (_name, head, body, settings) => {
    const error = await failure(await raw(head, body), { settings });
    expect(['SOURCE_FAILED', 'SOURCE_INVALID', 'SOURCE_AWAY']).toContain(error.code);
    expect(error.said).toMatch(/cut short|announced|no whole|where it ends|ends before/);
  });

  it('with more bytes than announced is read up to its announced end', async () => {
    const url = await raw(`${OK}Content-Length: ${CSV.length}\r\nETag: "v"\r\n\r\n`, `${CSV}3,c\n`);
    expect((await pulled(url)).records).toHaveLength(2);
  });

  it('that shows its end by itself is read, and lines where that is accepted', async () => {
    const json = await raw(`${OK}\r\n`, '[{"id":1}]');
    expect((await pulled(json, { settings: { format: 'json' } })).records).toHaveLength(1);
    const packed = await raw(`${OK}Content-Encoding: gzip\r\n\r\n`, gzipSync(CSV));
    expect((await pulled(packed)).records).toHaveLength(2);
    const lines = await raw(`${OK}\r\n`, CSV);
    expect((await pulled(lines, { settings: { untoldLength: 'accept' } })).records).toHaveLength(2);
  });

  it.each<[string, (packed: Buffer) => Buffer]>([
    ['a wrong checksum at its end', (packed) => Buffer.concat([packed.subarray(0, -8), Buffer.alloc(8, 7)])],
    ['its end missing', (packed) => packed.subarray(0, -4)],
  ])('of gzip with %s is an error, wherever the packing is told', async (_name, broken) => {
    const body = broken(gzipSync(CSV));
    const coded = await serve({ body, headers: { 'content-encoding': 'gzip' } });
    expect((await failure(coded.url)).said).toContain('no whole gzip');
    const named = await serve({ body });
    expect((await failure(named.url, { settings: { path: '/o.csv.gz' } })).said).toContain('no whole gzip');
  });

  it('in a coding that nobody asked for is refused', async () => {
    const peer = await serve({ body: 'x', headers: { 'content-encoding': 'br' } });
    expect((await failure(peer.url)).message).toContain('br');
    expect(peer.asked[0]!.headers['accept-encoding']).toBe('gzip');
  });
});

describe('a connection', () => {
  it('that breaks between the look and the reading is an error, and no document of nothing', async () => {
    const server = await openRawServer((socket) => {
      socket.once('data', () => socket.write(`${OK}Content-Length: 99999\r\n\r\nid,name\n`));
    });
    closing.push(() => server.close());
    const config = http.source!.settings.parse({ path: '/o.csv' });
    const source = http.source!.open(http.connection.parse({ url: server.url }), config, openContext());
    closing.push(async () => source.close?.());
    const range = { window: { name: 'p' }, parameters: {}, pull: { downloads, taken: async () => new Set<string>() } };
    expect((await source.pulls!.look(range, new AbortController().signal)).kind).toBe('new');
    for (const socket of server.sockets) socket.destroy();
    await expect.poll(() => server.sockets.size).toBe(0);
    const reading = source.read(range, new AbortController().signal)[Symbol.asyncIterator]();
    await expect(reading.next()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    expect(await readdir(downloads)).toEqual([]);
  });

  it('that was closed while it was idle costs nothing: the page is asked for on another one', async () => {
    const server = await openRawServer((socket, nth) => {
      socket.on('data', (asked) => {
        const page = Number(/page=(\d+)/.exec(asked.toString())?.[1]);
        const body = page <= 40 ? `[{"id":${page}}]` : '[]';
        socket.write(`${OK}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
        // At once, soon, and just while the next request may be on its way.
        setTimeout(() => socket.destroy(), nth % 4);
      });
    });
    closing.push(() => server.close());
    const { records } = await pulled(server.url, { settings: { path: '/o', pages: { by: 'page' } } });
    expect(server.connections).toBeGreaterThan(1);
    expect(records.map(({ id }) => id)).toEqual(Array.from({ length: 40 }, (_, at) => at + 1));
  });
});

describe('an answer without end', () => {
  it.each([
    ['that never begins', '', { requestTimeout: '80ms' }, 'in time'],
    ['that stops in the middle', `${OK}Content-Length: 99\r\n\r\n${CSV}`, { stallTimeout: '80ms' }, 'nothing more'],
    ['that drips', `${OK}Content-Length: 9999\r\n\r\n`, { downloadTimeout: '150ms' }, 'still sending'],
  ])('%s is given up', async (name, bytes, settings, message) => {
    const server = await openRawServer((socket) => {
      socket.once('data', () => {
        socket.write(bytes);
        if (!name.includes('drips')) return;
        const drip = setInterval(() => socket.write('x'), 10);
        socket.once('close', () => clearInterval(drip));
      });
    });
    closing.push(() => server.close());
    const error = await failure(server.url, { settings });
    expect(error).toMatchObject({ code: 'SOURCE_AWAY', exitCode: 5 });
    expect(error.said).toContain(message);
  });

  it('is let go of when the reading is told to stop', async () => {
    const url = await raw(`${OK}Content-Length: 99\r\n\r\n`, CSV, false);
    const stop = new AbortController();
    const reading = pulled(url, { signal: stop.signal });
    const rejected = expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => readdir(downloads)).not.toEqual([]);
    stop.abort();
    await rejected;
    expect(await readdir(downloads)).toEqual([]);
  });

  it('is no answer at all where nobody listens', async () => {
    const server = await openRawServer(() => undefined);
    await server.close();
    expect(await failure(server.url)).toMatchObject({ code: 'SOURCE_AWAY', exitCode: 5 });
  });
});

describe('an answer that is too large', () => {
  const zeros = gzipSync(Buffer.alloc(64 * 1024 * 1024));

  it('as it is sent is refused, before it is read or while it is', async () => {
    const told = await serve({ body: CSV.repeat(100) });
    const settings = { bytesMax: '1kB' };
    expect(await failure(told.url, { settings })).toMatchObject({ code: 'SOURCE_INVALID' });
    const untold = await serve({ body: CSV.repeat(100), chunked: true });
    expect((await failure(untold.url, { settings })).hint).toContain('bytesMax');
  });

  it('when it is unpacked is refused, whichever way it is packed', async () => {
    const coded = await serve({ body: zeros, headers: { 'content-encoding': 'gzip' } });
    expect(await failure(coded.url)).toMatchObject({ code: 'SOURCE_INVALID' });
    const named = await serve({ body: zeros });
    expect(await failure(named.url, { settings: { path: '/o.csv.gz' } })).toMatchObject({ code: 'SOURCE_INVALID' });
    const lines = gzipSync(
      Array.from({ length: 90_000 }, (_, id) => `${id},${Math.imul(id, 2_654_435_761)}\n`).join(''),
    );
    const many = await serve({ body: lines, headers: { 'content-encoding': 'gzip' } });
    const capped = await failure(many.url, { settings: { inflatedBytesMax: '100kB', header: ['a', 'b'] } });
    expect(capped.said).toContain('more than 100000 bytes');
  });
});
