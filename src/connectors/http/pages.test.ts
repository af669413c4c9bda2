import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DocumentPeer, openDocumentPeer, type PeerDocument } from '../../testing/peer/document-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { pull, readPull } from '../../testing/peer/pull.ts';
import type { Source } from '../connector.ts';
import { http } from './config.ts';
import { nextLink } from './next-link.ts';

let downloads: string;
const closing: (() => Promise<void> | undefined)[] = [];
beforeEach(async () => {
  downloads = await mkdtemp(join(tmpdir(), 'waybill-pages-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(downloads, { recursive: true, force: true });
});

type Answer = (query: URLSearchParams, peer: () => string) => PeerDocument;
const json = (value: unknown, headers: Record<string, string> = {}): PeerDocument => ({
  body: JSON.stringify(value),
  headers: { 'content-type': 'application/json', ...headers },
});

async function api(answer: Answer): Promise<DocumentPeer> {
  const held: { peer?: DocumentPeer } = {};
  const peer = await openDocumentPeer({
    '/items': (request) => answer(new URL(request.url ?? '/', 'http://h').searchParams, () => held.peer!.url),
  });
  held.peer = peer;
  closing.push(() => peer.close());
  return peer;
}

function open(peer: { url: string }, pages: unknown, settings: Record<string, unknown> = {}): Source {
  const config = http.source!.settings.parse({ path: '/items', recordsAt: 'items', pages, ...settings });
  const source = http.source!.open(http.connection.parse({ url: peer.url }), config, openContext());
  closing.push(async () => source.close?.());
  return source;
}

const ids = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, nth) => ({ id: from + nth }));
const idsOf = ({ records }: { records: readonly Record<string, unknown>[] }) => records.map(({ id }) => Number(id));
const upTo = (last: number) => ids(1, last).map(({ id }) => id);

/** Five records a page of 23, by a number of records that come before. */
const byOffset: Answer = (query) => {
  const [offset, limit] = [Number(query.get('offset')), Math.min(5, Number(query.get('limit')))];
  return json({ items: ids(offset + 1, Math.min(23, offset + limit)), total: 23 });
};
const byPage: Answer = (query) => {
  const page = Number(query.get('page'));
  return json({ items: ids(page * 5 - 4, Math.min(23, page * 5)), pages: 5, more: page < 5 });
};

describe('pages', () => {
  it.each<[string, Answer, unknown, number]>([
    ['of an offset end with an empty one', byOffset, { by: 'offset', size: 5 }, 6],
    ['of an API that gives less than it is asked for are all read', byOffset, { by: 'offset', size: 100 }, 6],
    ['of an offset end with the total', byOffset, { by: 'offset', size: 5, total: 'total' }, 5],
    ['of an offset end with a short one where that is said', byOffset, { by: 'offset', size: 5, endsWith: 'short' }, 5],
    ['that are counted end with an empty one', byPage, { by: 'page' }, 6],
    ['that are counted end with their number', byPage, { by: 'page', total: 'pages' }, 5],
    ['that are counted end where the reply says so', byPage, { by: 'page', more: 'more' }, 5],
    [
      'that are counted end with a 404 where that is said',
      (query, peer) => (Number(query.get('page')) > 5 ? { status: 404 } : byPage(query, peer)),
      { by: 'page', endsWith: 'missing' },
      6,
    ],
    [
      'by a header Link end without one',
      (query, peer) => {
        const page = Number(query.get('p') ?? 1);
        const links = `<${peer()}/items?p=1>; rel="first", </items?p=${page + 1}>; title="a, b"; rel="x next"`;
        return json({ items: ids(page * 5 - 4, Math.min(23, page * 5)) }, page < 5 ? { link: links } : {});
      },
      { by: 'link' },
      5,
    ],
    [
      'by a link in the body end without one',
      (query) => {
        const page = Number(query.get('p') ?? 1);
        const next = page < 5 ? `?p=${page + 1}` : null;
        return json({ items: ids(page * 5 - 4, Math.min(23, page * 5)), links: { next } });
      },
      { by: 'link', at: 'links.next' },
      5,
    ],
    [
      'by a cursor in the body end without one, and may be empty in between',
      (query) => {
        const at = Number((query.get('after') ?? 'c-0').slice(2));
        const items = at === 10 ? [] : ids(at + 1, Math.min(23, at + 5));
        return json({ items, meta: { next: at < 20 ? `c-${at + 5}` : '' } });
      },
      { by: 'cursor', parameter: 'after', at: 'meta.next' },
      5,
    ],
  ])('%s', async (name, answer, config, requests) => {
    const peer = await api(answer);
    const { records, ends, look } = await pull(open(peer, config), { downloads });
    const hole = name.includes('empty in between');
    expect(idsOf({ records })).toEqual(upTo(23).filter((id) => !hole || id < 11 || id > 15));
    expect(peer.asked).toHaveLength(requests);
    expect(look.kind).toBe('new');
    // All of it, or nothing.
    expect(ends).toHaveLength(1);
  });

  it.each<[string, unknown]>([
    ['by number, where the reply says that more follow', { by: 'page', more: 'more' }],
    ['by number, where the reply says how many there are', { by: 'page', total: 'pages' }],
    ['by offset, where the reply says that more follow', { by: 'offset', size: 5, more: 'more' }],
    ['by offset, where the reply says how many records there are', { by: 'offset', size: 5, total: 'records' }],
    ['by offset, short ones', { by: 'offset', size: 5, more: 'more', endsWith: 'short' }],
  ])('may be empty in the middle: %s', async (_name, config) => {
    const peer = await api((query) => {
      const page = Number(query.get('page') ?? Number(query.get('offset')) / 5 + 1);
      const items = page === 2 ? [] : ids(page * 5 - 4, Math.min(23, page * 5));
      return json({ items, more: page < 5, pages: 5, records: 23 });
    });
    expect(idsOf(await pull(open(peer, config), { downloads }))).toEqual(upTo(23).filter((id) => id < 6 || id > 10));
    expect(peer.asked).toHaveLength(5);
  });

  it('go on by a name that holds dots, after a mark of the order of bytes', async () => {
    const peer = await api((query) => {
      const page = Number(query.get('p') ?? 1);
      const next = page < 5 ? { '@odata.nextLink': `?p=${page + 1}` } : {};
      const text = JSON.stringify({ '@odata': {}, items: ids(page * 5 - 4, Math.min(23, page * 5)), ...next });
      return { body: `\ufeff${text}`, headers: { 'content-type': 'application/json' } };
    });
    const source = open(peer, { by: 'link', at: '@odata.nextLink' });
    expect(idsOf(await pull(source, { downloads }))).toEqual(upTo(23));
  });

  it.each([null, '', false, [], -1, 'many', 2.5])('never end because of a total of %j', async (pages) => {
    const peer = await api((query) => json({ items: ids(1, 5), pages, page: query.get('page') }));
    const pulling = pull(open(peer, { by: 'page', total: 'pages' }), { downloads });
    await expect(pulling).rejects.toThrow('page 1 has no number at pages');
  });

  it('keep what else the query holds, and carry the size where it has a parameter', async () => {
    const peer = await api(byPage);
    const settings = { path: '/items?status=open%20now' };
    await pull(open(peer, { by: 'page', size: 5, sizeParameter: 'per_page', total: 'pages' }, settings), { downloads });
    expect(peer.asked[1]!.path).toBe('/items?status=open+now&page=2&per_page=5');
  });

  it('of lines and of CSV are read as well, and say where a bad record stands', async () => {
    const peer = await api((query) => ({
      body: Number(query.get('page')) < 3 ? `{"id":${query.get('page')}}\nnonsense\n` : '',
      headers: { 'content-type': 'application/x-ndjson' },
    }));
    const source = open(peer, { by: 'page' }, { recordsAt: undefined });
    const seen: unknown[] = [];
    for await (const chunk of source.read({ window: { name: 'all' }, parameters: {} }, new AbortController().signal)) {
      seen.push(...(chunk.rejects ?? []).map(({ row, message }) => `${row} ${message.slice(0, 7)}`));
    }
    expect(seen).toEqual(['2 page 1:', '4 page 2:']);
  });

  it('that are alike by chance are all read', async () => {
    const peer = await api((query) => json({ items: Number(query.get('page')) < 3 ? [{ id: 0 }] : [] }));
    expect(idsOf(await pull(open(peer, { by: 'page' }), { downloads }))).toEqual([0, 0]);
  });

  it.each<[string, number, Record<string, string>]>([
    ['as the server says', 429, { 'retry-after': '0.2' }],
    ['as the server says for another reason', 503, { 'retry-after': new Date(0).toUTCString() }],
    ['for a second where it says nothing', 502, {}],
  ])('but the first are waited for, %s', async (_how, status, headers) => {
    const refused = new Set<string>();
    const peer = await api((query, url) => {
      const page = String(query.get('page'));
      if ((page !== '2' && page !== '4') || refused.has(page)) return byPage(query, url);
      refused.add(page);
      return { status, headers };
    });
    expect(idsOf(await pull(open(peer, { by: 'page', total: 'pages' }), { downloads }))).toEqual(upTo(23));
    expect(peer.asked).toHaveLength(7);
  });

  it('say why while they are waited for, and that they are no longer', async () => {
    let refused = false;
    const peer = await api((query, url) => {
      if (query.get('page') !== '2' || refused) return byPage(query, url);
      refused = true;
      return { status: 429, headers: { 'retry-after': '0.2' } };
    });
    const told = new Set<string | undefined>();
    const range = { ...rangeOf(), waits: (why: string | undefined) => void told.add(why) };
    const { signal } = new AbortController();
    for await (const _chunk of open(peer, { by: 'page', total: 'pages' }).read(range, signal));
    expect([...told]).toEqual([undefined, expect.stringMatching(/page 2.* 429: not before 1 s/)]);
  });

  it('are waited for no longer than they may be, nor when the reading is told to stop', async () => {
    const peer = await api((query, url) =>
      query.get('page') === '2' ? { status: 429, headers: { 'retry-after': '30' } } : byPage(query, url),
    );
    const impatient = pull(open(peer, { by: 'page' }, { patience: '20s' }), { downloads });
    await expect(impatient).rejects.toMatchObject({ code: 'SOURCE_AWAY', ids: { retryAfterMs: 30_000 } });
    const stop = new AbortController();
    const reading = (async () => {
      for await (const _chunk of open(peer, { by: 'page' }).read(rangeOf(), stop.signal));
    })();
    await expect.poll(() => peer.asked.length).toBe(4);
    stop.abort(new DOMException('told to stop', 'AbortError'));
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('that fail half-way leave nothing behind', async () => {
    const peer = await api((query, url) => (query.get('page') === '3' ? { status: 500 } : byPage(query, url)));
    const committed: unknown[] = [];
    const reading = async () => {
      for await (const chunk of open(peer, { by: 'page' }).read(rangeOf(), new AbortController().signal)) {
        if (chunk.end !== undefined) committed.push(chunk.end);
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_AWAY' });
    expect(committed).toEqual([]);
  });

  it('F13: without a cursor that lasts are uncacheable: read once, and again when forced', async () => {
    const peer = await api(byPage);
    const first = await pull(open(peer, { by: 'page' }), { downloads });
    expect(first.end?.kind).toBe('waybill/uncacheable');
    const asked = peer.asked.length;
    expect((await pull(open(peer, { by: 'page' }), { downloads, from: first.end })).look.kind).toBe('uncacheable');
    expect(peer.asked).toHaveLength(asked);
    const forced = await pull(open(peer, { by: 'page' }), { downloads, from: first.end, force: true });
    expect(forced.records).toHaveLength(23);
    expect(forced.end).toEqual(first.end);
  });
});

const rangeOf = () => ({
  window: { name: 'p' },
  parameters: {},
  pull: { downloads, taken: async () => new Set<string>() },
});

/** A stream of events: what comes after a cursor, two a page, and a cursor for later with every page. */
const stream =
  (last: () => number): Answer =>
  (query) => {
    const at = Number((query.get('cursor') ?? 'e0').slice(1));
    const end = Math.min(last(), at + 2);
    return json({ items: ids(at + 1, end), next: `e${end}`, more: end < last() });
  };

describe('a cursor that is good for later', () => {
  const config = { by: 'cursor', at: 'next', resumes: true };

  it('F06: is the position, is committed with each page, and the next pull goes on from it', async () => {
    let last = 5;
    const peer = await api(stream(() => last));
    const first = await pull(open(peer, config), { downloads });
    expect(idsOf(first)).toEqual(upTo(5));
    expect(first.ends.map(({ kind, value }) => `${kind} ${value}`)).toEqual([
      'waybill/cursor e2',
      'waybill/cursor e4',
      'waybill/cursor e5',
    ]);
    const asked = peer.asked.length;
    expect((await pull(open(peer, config), { downloads, from: first.end })).look.kind).toBe('unchanged');
    expect(peer.asked).toHaveLength(asked + 1);
    last = 8;
    expect(idsOf(await pull(open(peer, config), { downloads, from: first.end }))).toEqual([6, 7, 8]);
    expect(idsOf(await pull(open(peer, config), { downloads, from: first.ends[1] }))).toEqual([5, 6, 7, 8]);
  });

  it('F06: may be a field of the last record, of any size', async () => {
    const big = 9_007_199_254_740_993n;
    const peer = await api((query) => {
      const after = BigInt(query.get('since_id') ?? big - 1n);
      const items = after >= big + 3n ? [] : [after + 1n, after + 2n];
      return {
        body: `{"items":[${items.map((id) => `{"id":${id}}`).join(',')}]}`,
        headers: { 'content-type': 'application/json' },
      };
    });
    const since = { by: 'cursor', parameter: 'since_id', ofRecord: 'id', resumes: true };
    const { records, end } = await pull(open(peer, since), { downloads });
    expect(records.map(({ id }) => id)).toEqual([big, big + 1n, big + 2n, big + 3n]);
    expect(end?.value).toBe(String(big + 3n));
    expect((await pull(open(peer, since), { downloads, from: end })).look.kind).toBe('unchanged');
  });

  it('is kept when a later page fails: what stands before it is committed', async () => {
    const peer = await api((query, url) =>
      query.get('cursor') === 'e4' ? { status: 500 } : stream(() => 9)(query, url),
    );
    const ends: (string | undefined)[] = [];
    const reading = async () => {
      for await (const chunk of open(peer, config).read(rangeOf(), new AbortController().signal)) {
        ends.push(chunk.end?.value);
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_AWAY' });
    expect(ends).toEqual(['e2', 'e4']);
  });

  it('F07: moves on over an empty page and brings no records', async () => {
    const peer = await api((query) => json({ items: [], next: query.get('cursor') === null ? 'e7' : 'e8' }));
    const first = await pull(open(peer, config), { downloads });
    expect([first.records.length, first.end?.value]).toEqual([0, 'e7']);
  });

  it('that a page with records does not give is an error: nothing would say where to go on', async () => {
    const peer = await api(() => json({ items: ids(1, 2), next: null }));
    await expect(pull(open(peer, config), { downloads })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
  });

  it('stops at `pagesMax`, and the next pull takes what is left', async () => {
    const peer = await api(stream(() => 9));
    const some = await pull(open(peer, { ...config, pagesMax: 2 }), { downloads });
    expect(idsOf(some)).toEqual(upTo(4));
    expect(idsOf(await pull(open(peer, config), { downloads, from: some.end }))).toEqual([5, 6, 7, 8, 9]);
  });

  it('F08: refuses positions of other kinds, in words', () => {
    const source = open({ url: 'http://127.0.0.1:1' }, config);
    expect(source.pulls!.refuses({ sourceName: 's', kind: 'odf/etag', value: '"v"' })).toContain('odf/etag');
    expect(source.pulls!.refuses({ sourceName: 's', kind: 'waybill/cursor', value: 'x' })).toBeUndefined();
  });
});

describe('an API that leads in a circle', () => {
  it.each<[string, Answer, unknown, number]>([
    ['by a cursor', (query) => json({ items: ids(1, 2), next: query.get('cursor') === 'a' ? 'b' : 'a' }), CURSOR(), 3],
    ['by a cursor that stands still', () => json({ items: ids(1, 2), next: 'a' }), CURSOR(), 2],
    ['by a cursor that lasts', (q) => json({ items: ids(1, 2), next: q.get('cursor') ?? 'a' }), CURSOR(true), 2],
    ['by a link', () => json({ items: ids(1, 2), next: '/items?p=2' }), { by: 'link', at: 'next' }, 2],
    ['by paying no heed to the page', () => json({ items: ids(1, 2) }), { by: 'page' }, 3],
    ['by paying no heed to the offset', () => json({ items: ids(1, 2) }), { by: 'offset', size: 2 }, 3],
    [
      'by pages without end',
      (query) => json({ items: [{ id: Number(query.get('page')) }] }),
      { by: 'page', pagesMax: 7 },
      7,
    ],
  ])('%s is found out', async (_name, answer, config, requests) => {
    const peer = await api(answer);
    const error = await readPull(open(peer, config), { downloads }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SOURCE_INVALID' });
    expect(peer.asked.length).toBeLessThanOrEqual(requests);
  });

  it('or away is not followed: a link to another origin needs the leave of the flow', async () => {
    const other = await api(() => json({ items: ids(3, 4) }));
    const peer = await api(() => json({ items: ids(1, 2), next: `${other.url}/items?p=2` }));
    const link = { by: 'link', at: 'next' };
    await expect(pull(open(peer, link), { downloads })).rejects.toMatchObject({ code: 'SOURCE_REDIRECTED' });
    expect(other.asked).toEqual([]);
    const named = { redirects: [`127.0.0.1:${other.port}`] };
    expect(idsOf(await pull(open(peer, link, named), { downloads }))).toEqual([1, 2, 3, 4]);
  });
});

function CURSOR(resumes = false) {
  return { by: 'cursor', at: 'next', resumes };
}

describe('a cursor that an API takes no longer', () => {
  it.each([410, 400])(
    'is told as what it may be where it is answered with %d, in the look and the reading',
    async (status) => {
      const first = json({ items: ids(1, 2), next: 'c' });
      const peer = await api((query) => (query.get('cursor') === null ? first : { status }));
      const source = open(peer, CURSOR(true));
      const from = { sourceName: 'items', kind: 'waybill/cursor', value: 'c' };
      const told = {
        message: expect.stringMatching(/\(page 1\) .* by the cursor that was kept$/),
        hint: expect.stringContaining('state FLOW reset'),
      };
      await expect(pull(source, { downloads, from })).rejects.toMatchObject(told);
      await expect(readPull(source, { downloads, from })).rejects.toMatchObject(told);
      // A cursor that came just now has not run out.
      await expect(readPull(source, { downloads })).rejects.toThrow(/\(page 2\) was answered with \d+[^;]*$/);
    },
  );
});

describe('a reply that is not as the flow says', () => {
  it.each<[string, PeerDocument, unknown]>([
    ['holds no object', json([{ id: 1 }]), { by: 'cursor', at: 'next' }],
    ['has an object for a cursor', json({ items: [], next: { a: 1 } }), { by: 'cursor', at: 'next' }],
    ['has a number for a link', json({ items: [], next: 7 }), { by: 'link', at: 'next' }],
    ['has words for a total', json({ items: ids(1, 1), total: 'many' }), { by: 'page', total: 'total' }],
    ['has records without the cursor', json({ items: [{ n: 1 }] }), { by: 'cursor', ofRecord: 'id' }],
    ['has no records where they should be', json({ data: [] }), { by: 'page' }],
    ['is larger than a page may be', json({ items: ids(1, 9999) }), { by: 'page' }],
  ])('%s: an error that says so', async (_name, document, config) => {
    const peer = await api(() => document);
    const reading = pull(open(peer, config, { pageBytesMax: '10kB' }), { downloads });
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
  });
});

describe('a header Link', () => {
  it.each([
    ['</a?x=1,2>; rel=next', '/a?x=1,2'],
    ['</p>; rel="prev", </n>; rel="next"', '/n'],
    ['</n>; title="rel=\\"prev\\""; rel="last next"', '/n'],
    ['</n>; rel=prev; rel=next, </m>; rel=next', '/m'],
    [`<${'/'.repeat(9000)}>;${'a;'.repeat(9000)}`, undefined],
    ['<>; rel="next"', ''],
    ['</n>; rel="nextish"', undefined],
    ['</n>', undefined],
    ['nonsense', undefined],
    [undefined, undefined],
  ])('%.40s leads to %s', (header, target) => {
    expect(nextLink(header)).toBe(target);
  });
});
