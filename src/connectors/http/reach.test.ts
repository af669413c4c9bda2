import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DocumentPeer, openDocumentPeer, type PeerDocument } from '../../testing/peer/document-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { pull } from '../../testing/peer/pull.ts';
import { neverMeant, notPublic } from './addresses.ts';
import { http } from './config.ts';
import { Reach } from './reach.ts';

let downloads: string;
const closing: (() => Promise<void> | undefined)[] = [];
beforeEach(async () => {
  downloads = await mkdtemp(join(tmpdir(), 'waybill-reach-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(downloads, { recursive: true, force: true });
});

const CSV: PeerDocument = { body: 'id\n1\n', etag: '"v"' };
const to = (location: string, status = 302): PeerDocument => ({ status, headers: { location } });

async function peerOf(documents: Parameters<typeof openDocumentPeer>[0]): Promise<DocumentPeer> {
  const peer = await openDocumentPeer(documents);
  closing.push(() => peer.close());
  return peer;
}

function pulled(url: string, settings: Record<string, unknown> = {}) {
  const config = http.source!.settings.parse({ path: '/o.csv', headers: { 'X-Team': 'data' }, ...settings });
  const connection = http.connection.parse({ url, auth: { bearer: 'env:T' }, headers: { 'X-Tenant': 't' } });
  const source = http.source!.open(connection, config, openContext({ 'env:T': 'tok-3n' }));
  closing.push(async () => source.close?.());
  return pull(source, { downloads, from: { sourceName: 's', kind: 'odf/etag', value: '"old"' } });
}

const REFUSED = { code: 'SOURCE_REDIRECTED', exitCode: 2 };
const HEADERS = ['authorization', 'x-tenant', 'x-team'];

describe('a redirect', () => {
  it.each([301, 302, 303, 307, 308])('of %i is not followed unless the flow says so', async (status) => {
    const peer = await peerOf({ '/o.csv': to('/new.csv', status), '/new.csv': CSV });
    await expect(pulled(peer.url)).rejects.toMatchObject(REFUSED);
    expect(peer.asked).toHaveLength(1);
    expect((await pulled(peer.url, { redirects: 'same-origin' })).records).toHaveLength(1);
    const last = peer.asked.at(-1)!;
    expect(last).toMatchObject({ path: '/new.csv', headers: { authorization: 'Bearer tok-3n', 'x-team': 'data' } });
    expect(last.headers['if-none-match']).toBe('"old"');
  });

  it('to another origin is refused with `same-origin` and `public`, and not connected to', async () => {
    const other = await peerOf({ '/o.csv': CSV });
    const peer = await peerOf({ '/o.csv': to(`${other.url}/o.csv`) });
    await expect(pulled(peer.url, { redirects: 'same-origin' })).rejects.toMatchObject(REFUSED);
    await expect(pulled(peer.url, { redirects: 'public' })).rejects.toMatchObject(REFUSED);
    await expect(pulled(peer.url, { redirects: ['files.example.com'] })).rejects.toMatchObject(REFUSED);
    expect(other.asked).toEqual([]);
  });

  it('to a host that the flow names is followed without credentials, and without them from there on', async () => {
    const home: { url?: string } = {};
    const other = await peerOf({ '/o.csv': (request) => to(`${home.url}/back.csv?from=${request.url}`) });
    const peer = await peerOf({ '/o.csv': to(`${other.url}/o.csv?signature=s`), '/back.csv': CSV });
    home.url = peer.url;
    expect((await pulled(peer.url, { redirects: [`127.0.0.1:${other.port}`] })).records).toHaveLength(1);
    expect(HEADERS.map((name) => other.asked[0]!.headers[name])).toEqual([undefined, undefined, undefined]);
    expect(HEADERS.map((name) => peer.asked[1]!.headers[name])).toEqual([undefined, undefined, undefined]);
    expect(HEADERS.map((name) => peer.asked[0]!.headers[name])).toEqual(['Bearer tok-3n', 't', 'data']);
  });

  it('to a name is judged by where the name leads, at the moment of connecting', async () => {
    const other = await peerOf({ '/o.csv': CSV });
    const peer = await peerOf({ '/o.csv': to(`http://localhost:${other.port}/o.csv`) });
    await expect(pulled(peer.url, { redirects: 'public' })).rejects.toMatchObject({
      ...REFUSED,
      message: expect.stringContaining('localhost leads to a loopback address'),
    });
    expect(other.asked).toEqual([]);
    expect((await pulled(peer.url, { redirects: [`localhost:${other.port}`] })).records).toHaveLength(1);
  });

  it.each([
    'http://127.0.0.1:PORT/o.csv',
    'http://127.1:PORT/o.csv',
    'http://0x7f000001:PORT/o.csv',
    'http://017700000001:PORT/o.csv',
    'http://2130706433:PORT/o.csv',
    'http://%31%32%37.0.0.1:PORT/o.csv',
    'http://0:PORT/o.csv',
    'http://[::1]:PORT/o.csv',
    'http://[::ffff:127.0.0.1]:PORT/o.csv',
    'http://[::ffff:7f00:1]:PORT/o.csv',
    'http://[64:ff9b::7f00:1]:PORT/o.csv',
    'http://[2002:7f00:1::]:PORT/o.csv',
    'http://169.254.169.254/latest/meta-data',
    'http://[fe80::1]:PORT/o.csv',
    '//127.0.0.1:PORT/o.csv',
  ])('to %s is refused where only public addresses are allowed', async (location) => {
    const other = await peerOf({ '/o.csv': CSV });
    const peer = await peerOf({ '/o.csv': to(location.replace('PORT', String(other.port))) });
    await expect(pulled(peer.url, { redirects: 'public' })).rejects.toMatchObject(REFUSED);
    expect(other.asked).toEqual([]);
  });

  it.each(['ftp://h/x', 'data:,x', 'http://u:p@h/', 'http://[', 'javascript:1'])(
    'to %s is refused',
    async (location) => {
      const peer = await peerOf({ '/o.csv': to(location) });
      const settings = { redirects: ['h'] };
      await expect(pulled(peer.url, settings)).rejects.toMatchObject(REFUSED);
    },
  );

  it('from https to http is refused, wherever it leads', () => {
    const reach = new Reach('https://a.example', ['b.example']);
    const start = reach.start({ url: new URL('https://a.example/x') });
    expect(() => reach.redirected(start, 'http://a.example/x', 302)).toThrow('from https to http');
    expect(() => reach.linked(start, 'http://b.example/x')).toThrow('from https to http');
    expect(reach.redirected(start, 'https://b.example/x', 302)).toMatchObject({ trusted: false });
  });

  it('in a circle ends after five', async () => {
    const peer = await peerOf({ '/o.csv': to('/o.csv') });
    await expect(pulled(peer.url, { redirects: 'same-origin' })).rejects.toMatchObject({
      ...REFUSED,
      message: expect.stringContaining('more than 5 times'),
    });
    expect(peer.asked).toHaveLength(6);
  });

  it('never shows the query of its target', async () => {
    const peer = await peerOf({ '/o.csv': to('https://cdn.example.com/o.csv?X-Amz-Signature=s3cr3t') });
    const error = await pulled(peer.url).catch((thrown: Error) => thrown);
    expect(String(error)).toContain('cdn.example.com');
    expect(String(error)).not.toContain('s3cr3t');
  });
});

describe('an address', () => {
  it.each(['8.8.8.8', '1.1.1.1', '2606:4700::1111', '::ffff:8.8.8.8', '64:ff9b::808:808', '172.15.0.1', '172.32.0.1'])(
    '%s is a public one',
    (address) => {
      expect(notPublic(address)).toBeUndefined();
    },
  );

  it.each([
    ['10.1.2.3', 'private'],
    ['172.16.0.1', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd00::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['::10.0.0.1', 'private'],
    ['127.255.255.254', 'loopback'],
    ['::1', 'loopback'],
    ['169.254.169.254', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['64:ff9b::a9fe:a9fe', 'link-local'],
    ['0.0.0.0', 'without a place'],
    ['::', 'without a place'],
    ['224.0.0.1', 'multicast'],
    ['ff02::1', 'multicast'],
    ['255.255.255.255', 'reserved'],
    ['not an address', 'no address'],
  ])('%s is a %s one', (address, what) => {
    expect(notPublic(address)).toContain(what);
  });

  it('of the own network may be named; what answers machines about themselves may not', () => {
    expect(neverMeant('10.0.0.1')).toBeUndefined();
    expect(neverMeant('127.0.0.1')).toBeUndefined();
    expect(neverMeant('169.254.169.254')).toContain('link-local');
    expect(neverMeant('0.0.0.0')).toContain('without a place');
  });
});
