import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DocumentPeer, openDocumentPeer, type PeerDocument } from '../../testing/peer/document-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { pull, readPull } from '../../testing/peer/pull.ts';
import type { Source } from '../connector.ts';
import { http } from './config.ts';

const PATH = '/exports/orders.csv';
const OLD = 'Sun, 06 Nov 1994 08:49:37 GMT';
const NEW = 'Mon, 07 Nov 1994 08:49:37 GMT';
const csv = (...ids: number[]): string => `id,name\n${ids.map((id) => `${id},n${id}\n`).join('')}`;

let downloads: string;
const closing: (() => Promise<void> | undefined)[] = [];
beforeEach(async () => {
  downloads = await mkdtemp(join(tmpdir(), 'waybill-poll-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(downloads, { recursive: true, force: true });
});

async function serve(document: PeerDocument): Promise<DocumentPeer> {
  const peer = await openDocumentPeer({ [PATH]: document });
  closing.push(() => peer.close());
  return peer;
}

function open(peer: { url: string }, settings: Record<string, unknown> = {}): Source {
  const config = http.source!.settings.parse({ path: PATH, ...settings });
  const source = http.source!.open(http.connection.parse({ url: peer.url }), config, openContext());
  closing.push(async () => source.close?.());
  return source;
}

const poll = (peer: DocumentPeer, options: Partial<Parameters<typeof pull>[1]> = {}, settings = {}) =>
  pull(open(peer, settings), { downloads, ...options });
const idsOf = ({ records }: { records: readonly Record<string, unknown>[] }) => records.map(({ id }) => Number(id));

describe('a document with an ETag', () => {
  it('F03: is read once, in one request; after that it is asked for by its ETag, and 304 means unchanged', async () => {
    const peer = await serve({ body: csv(1, 2), etag: '"v1"', lastModified: OLD });
    const first = await poll(peer);
    expect(idsOf(first)).toEqual([1, 2]);
    expect(first.end).toMatchObject({ kind: 'odf/etag', value: '"v1"' });
    expect(peer.asked.map(({ headers }) => headers['if-none-match'])).toEqual([undefined]);
    const second = await poll(peer, { from: first.end });
    expect(second.look.kind).toBe('unchanged');
    expect(peer.asked).toHaveLength(2);
    expect(peer.asked[1]).toMatchObject({ status: 304, headers: { 'if-none-match': '"v1"' } });
    expect(peer.asked[1]!.headers['if-modified-since']).toBeUndefined();
    expect(await readPull(open(peer), { downloads, from: first.end! })).toMatchObject({ records: [], ends: [] });
  });

  it('F03: is read again when the ETag is another one', async () => {
    const peer = await serve({ body: csv(1), etag: '"v1"' });
    const { end } = await poll(peer);
    peer.put(PATH, { body: csv(1, 2, 3), etag: '"v2"' });
    const next = await poll(peer, { from: end });
    expect(idsOf(next)).toEqual([1, 2, 3]);
    expect(next.end?.value).toBe('"v2"');
  });

  it.each(['W/"weak"', 'bare-tag', '"a,b"', '""'])('F03: the ETag %s goes back as it came', async (etag) => {
    const peer = await serve({ body: csv(1), etag });
    const { end } = await poll(peer);
    expect(end?.value).toBe(etag);
    await poll(peer, { from: end });
    expect(peer.asked[1]!.headers['if-none-match']).toBe(etag);
  });

  it('F03: the same version from a server that pays no heed to the condition is not read again', async () => {
    const peer = await serve({ body: csv(1), etag: 'W/"v1"', heedless: true });
    const { end } = await poll(peer);
    peer.put(PATH, { body: csv(1), etag: '"v1"', heedless: true });
    expect((await poll(peer, { from: end })).look).toMatchObject({ kind: 'unchanged' });
  });

  it.each(['*', 'two, tags', '"with "quotes"'])(
    'F04: the ETag %j names no version; its time is taken',
    async (etag) => {
      const peer = await serve({ body: csv(1), etag, lastModified: OLD });
      expect((await poll(peer)).end?.kind).toBe('odf/last-modified');
    },
  );

  it('F07: an ETag that flaps over the same bytes moves the position and brings no records', async () => {
    const peer = await serve({ body: csv(1, 2), etag: '"a"' });
    const { end } = await poll(peer);
    peer.put(PATH, { body: csv(1, 2), etag: '"b"' });
    const flapped = await poll(peer, { from: end });
    expect(flapped.records).toEqual([]);
    expect(flapped.end).toMatchObject({ kind: 'odf/etag', value: '"b"' });
    peer.put(PATH, { body: csv(1, 2), etag: '"c"' });
    const again = await poll(peer, { from: flapped.end });
    expect([again.records.length, again.end?.value]).toEqual([0, '"c"']);
    peer.put(PATH, { body: csv(1, 2, 3), etag: '"d"' });
    expect(idsOf(await poll(peer, { from: again.end }))).toEqual([1, 2, 3]);
  });

  it('F07: without the folder of downloads an ETag that flaps has the document read again', async () => {
    const peer = await serve({ body: csv(1, 2), etag: '"a"' });
    const { end } = await poll(peer);
    await rm(downloads, { recursive: true });
    peer.put(PATH, { body: csv(1, 2), etag: '"b"' });
    expect(idsOf(await poll(peer, { from: end }))).toEqual([1, 2]);
  });
});

describe('a document with the time of its last change', () => {
  it('F04: its position is RFC 3339, and the next request asks in the form of HTTP', async () => {
    const peer = await serve({ body: csv(1), lastModified: OLD });
    const { end } = await poll(peer);
    expect(end).toMatchObject({ kind: 'odf/last-modified', value: '1994-11-06T08:49:37Z' });
    expect((await poll(peer, { from: end })).look.kind).toBe('unchanged');
    expect(peer.asked[1]).toMatchObject({ status: 304, headers: { 'if-modified-since': OLD } });
    peer.put(PATH, { body: csv(1, 2), lastModified: NEW });
    const next = await poll(peer, { from: end });
    expect(idsOf(next)).toEqual([1, 2]);
    expect(next.end?.value).toBe('1994-11-07T08:49:37Z');
  });

  it.each(['1994-11-06T08:49:37.250+00:00', '1994-11-06T09:49:37+01:00', '1994-11-06T08:49:37.123456789Z'])(
    'F04: the position %s of another tool is understood',
    async (value) => {
      const peer = await serve({ body: csv(1), lastModified: OLD });
      const from = { sourceName: 'default', kind: 'odf/last-modified', value };
      expect((await poll(peer, { from })).look.kind).toBe('unchanged');
      expect(peer.asked[0]!.headers['if-modified-since']).toBe(OLD);
    },
  );

  it('says that a time went back, and reads what the server sends', async () => {
    const peer = await serve({ body: csv(1), lastModified: NEW });
    const { end } = await poll(peer);
    peer.put(PATH, { body: csv(7), lastModified: OLD, heedless: true });
    const back = await poll(peer, { from: end });
    expect(back.look).toMatchObject({ kind: 'new', notices: [{ kind: 'clock-went-back' }] });
    expect(idsOf(back)).toEqual([7]);
    expect(back.end?.value).toBe('1994-11-06T08:49:37Z');
  });

  it('says that a time went back also where the server calls it unchanged', async () => {
    const peer = await serve({ body: csv(1), lastModified: NEW });
    const { end } = await poll(peer);
    peer.put(PATH, { body: csv(7), lastModified: OLD });
    expect((await poll(peer, { from: end })).look).toMatchObject({
      kind: 'unchanged',
      notices: [{ kind: 'clock-went-back' }],
    });
  });
});

describe('a document without either', () => {
  it('F13: is read once, then called uncacheable without a request, and read again when forced', async () => {
    const peer = await serve({ body: csv(1, 2) });
    const first = await poll(peer);
    expect(first.end).toMatchObject({
      kind: 'waybill/uncacheable',
      value: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    });
    const second = await poll(peer, { from: first.end });
    expect(second.look.kind).toBe('uncacheable');
    expect(peer.asked).toHaveLength(1);
    peer.put(PATH, { body: csv(1, 2, 3) });
    const forced = await poll(peer, { from: first.end, force: true });
    expect(idsOf(forced)).toEqual([1, 2, 3]);
    expect(forced.end?.value).not.toBe(first.end?.value);
  });

  it('F13: a forced reading of the same bytes leaves nothing that a later look would take for new', async () => {
    const peer = await serve({ body: csv(1) });
    const { end } = await poll(peer);
    const forced = await poll(peer, { from: end, force: true });
    expect([idsOf(forced), forced.end]).toEqual([[1], end]);
    expect((await poll(peer, { from: end })).look.kind).toBe('uncacheable');
  });

  it('F13: a forced reading of a document with an ETag asks without a condition', async () => {
    const peer = await serve({ body: csv(1), etag: '"v1"' });
    const { end } = await poll(peer);
    expect(idsOf(await poll(peer, { from: end, force: true }))).toEqual([1]);
    expect(peer.asked[1]!.headers['if-none-match']).toBeUndefined();
  });

  it.each([
    ['another', 'x/y', '1'],
    ['an ETag that is none', 'odf/etag', 'a"b\r\nx: y'],
    ['a star', 'odf/etag', '*'],
    ['a time that is none', 'odf/last-modified', 'yesterday'],
  ])('F08: refuses a position of %s kind, in words', (_name, kind, value) => {
    const source = open({ url: 'http://127.0.0.1:1' });
    expect(source.pulls!.refuses({ sourceName: 's', kind, value })).toMatch(/\w+ .*\w+/);
    expect(source.pulls!.refuses({ sourceName: 's', kind: 'odf/etag', value: '"v"' })).toBeUndefined();
  });
});

describe('a download that was not committed', () => {
  /** A process that dies after its download has become durable, before the first record was committed. */
  async function dieAfterDownload(peer: DocumentPeer, from?: Parameters<typeof pull>[1]['from']): Promise<void> {
    const source = open(peer);
    const reading = source.read(
      {
        window: { name: 'pull-000001' },
        parameters: {},
        ...(from && { from }),
        pull: { downloads, taken: async () => new Set() },
      },
      new AbortController().signal,
    );
    for await (const _ of reading) break;
    await source.close?.();
  }
  const bodies = (peer: DocumentPeer) => peer.asked.filter(({ status }) => status === 200).length;

  it('F17: is read from here when the server says that it is still the one, and sent only once', async () => {
    const peer = await serve({ body: csv(1, 2), etag: '"v1"' });
    await dieAfterDownload(peer);
    const next = await poll(peer);
    expect(idsOf(next)).toEqual([1, 2]);
    expect(next.look.notices).toMatchObject([{ kind: 'download-reused' }]);
    expect(next.end?.value).toBe('"v1"');
    expect(bodies(peer)).toBe(1);
  });

  it('F17: is read from here when the server is away, or has no name for versions', async () => {
    const peer = await serve({ body: csv(1, 2), etag: '"v1"' });
    await dieAfterDownload(peer);
    peer.put(PATH, { status: 503 });
    expect(idsOf(await poll(peer))).toEqual([1, 2]);
    const nameless = await serve({ body: csv(5) });
    await dieAfterDownload(nameless);
    expect(idsOf(await poll(nameless))).toEqual([5]);
    expect(nameless.asked).toHaveLength(1);
  });

  it('F17: gives way to a newer version', async () => {
    const peer = await serve({ body: csv(1, 2), etag: '"v1"' });
    await dieAfterDownload(peer);
    peer.put(PATH, { body: csv(3), etag: '"v2"' });
    expect(idsOf(await poll(peer))).toEqual([3]);
  });

  it('F17: serves no other settings, no other position and no forced reading', async () => {
    const peer = await serve({ body: csv(1, 2) });
    peer.put('/other.csv', { body: csv(9) });
    await dieAfterDownload(peer);
    expect(idsOf(await poll(peer, { force: true }))).toEqual([1, 2]);
    expect(peer.asked).toHaveLength(2);
    await poll(peer, {}, { headers: { 'X-Region': 'eu' } });
    expect(peer.asked).toHaveLength(3);
    expect(idsOf(await poll(peer, {}, { path: '/other.csv' }))).toEqual([9]);
    await dieAfterDownload(peer);
    await poll(peer, { from: { sourceName: 's', kind: 'odf/etag', value: '"older"' } });
    expect(peer.asked).toHaveLength(6);
  });

  it('F17: is not taken when its bytes are not those that were written', async () => {
    const peer = await serve({ body: csv(1, 2) });
    await dieAfterDownload(peer);
    const [body] = (await readdir(downloads)).filter((name) => name.endsWith('.body'));
    await writeFile(join(downloads, body!), csv(666));
    expect(idsOf(await poll(peer))).toEqual([1, 2]);
  });

  it('F17: is forgotten when it cannot be read, so that a mended one is fetched', async () => {
    const peer = await openDocumentPeer({ '/a.json': { body: '{"broken":' } });
    closing.push(() => peer.close());
    await expect(poll(peer, {}, { path: '/a.json', recordsAt: 'items' })).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
    });
    peer.put('/a.json', { body: '{"items":[{"id":4}]}' });
    expect(idsOf(await poll(peer, {}, { path: '/a.json', recordsAt: 'items' }))).toEqual([4]);
  });

  it('leaves one document behind at most, however often it changes', async () => {
    const peer = await serve({ body: csv(1), etag: '"0"' });
    let { end } = await poll(peer);
    for (let nth = 1; nth <= 5; nth++) {
      peer.put(PATH, { body: csv(nth, nth + 1), etag: `"${nth}"` });
      ({ end } = await poll(peer, { from: end }));
    }
    const names = await readdir(downloads);
    expect(names.filter((name) => name.endsWith('.body'))).toHaveLength(1);
    expect(names.length).toBeLessThanOrEqual(3);
    await poll(peer, { from: end });
    expect((await readdir(downloads)).map((name) => name.replace(/.*\./, ''))).toEqual(['json']);
  });
});

describe('a look', () => {
  it('is let go of by another look and by close, and a reading without one asks by itself', async () => {
    const peer = await serve({ body: csv(1, 2), etag: '"v1"' });
    const source = open(peer);
    await pull(source, { downloads: join(downloads, 'a') });
    const range = { window: { name: 'p' }, parameters: {}, pull: { downloads, taken: async () => new Set<string>() } };
    await source.pulls!.look(range, new AbortController().signal);
    await source.pulls!.look(range, new AbortController().signal);
    expect(idsOf(await readPull(source, { downloads }))).toEqual([1, 2]);
    expect(peer.asked).toHaveLength(3);
    expect(idsOf(await readPull(open(peer), { downloads: join(downloads, 'b') }))).toEqual([1, 2]);
  });
});
