import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DocumentPeer, openDocumentPeer, type PeerDocument } from '../../testing/peer/document-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { pull } from '../../testing/peer/pull.ts';
import { http } from './config.ts';

let downloads: string;
const closing: (() => Promise<void> | undefined)[] = [];
beforeEach(async () => {
  downloads = await mkdtemp(join(tmpdir(), 'waybill-ends-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(downloads, { recursive: true, force: true });
});

type Answer = (query: URLSearchParams) => PeerDocument;
const json = (value: unknown, headers: Record<string, string> = {}): PeerDocument => ({
  body: JSON.stringify(value),
  headers: { 'content-type': 'application/json', ...headers },
});

const upTo = (last: number, first = 1) => Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => first + n);
const ids = (first: number, last: number) => upTo(last, first).map((id) => ({ id }));
/** The first of five records a page of 23, in whichever way the page is asked for. */
const startOf = (query: URLSearchParams): number =>
  1 + Number(query.get('offset') ?? query.get('cursor') ?? (Number(query.get('page') ?? 1) - 1) * 5);
const five = (query: URLSearchParams, last = 23) => ids(startOf(query), Math.min(last, startOf(query) + 4));

interface Read {
  readonly ids: readonly number[];
  readonly peer: DocumentPeer;
}

async function read(answer: Answer, pages: unknown, settings: Record<string, unknown> = {}): Promise<Read> {
  const peer = await openDocumentPeer({
    '/items': (request) => answer(new URL(request.url ?? '/', 'http://h').searchParams),
  });
  closing.push(() => peer.close());
  const config = http.source!.settings.parse({ path: '/items', recordsAt: 'items', pages, ...settings });
  const source = http.source!.open(http.connection.parse({ url: peer.url }), config, openContext());
  closing.push(async () => source.close?.());
  const { records } = await pull(source, { downloads });
  return { ids: records.map(({ id }) => Number(id)), peer };
}

describe('pages that only look like the last', () => {
  it.each<[string, Answer, unknown]>([
    ['a path of `more` that leads nowhere', (q) => json({ items: five(q), has_more: true }), { by: 'page', more: 'm' }],
    [
      'the same by offset',
      (q) => json({ items: five(q), has_more: true }),
      { by: 'offset', size: 5, more: 'meta.has_more' },
    ],
    [
      'the same by cursor',
      (q) => json({ items: five(q), next: startOf(q) < 20 ? String(startOf(q) + 4) : null }),
      { by: 'cursor', at: 'next', more: 'meta.has_more' },
    ],
    [
      'a server that caps what is asked for',
      (q) => json({ items: five(q) }),
      { by: 'page', size: 9, endsWith: 'short' },
    ],
    ['the same by offset', (q) => json({ items: five(q) }), { by: 'offset', size: 9, endsWith: 'short' }],
  ])('%s: all are read', async (_name, answer, pages) => {
    expect((await read(answer, pages)).ids).toEqual(upTo(23));
  });

  it('end where a page is silent about further ones and others were not', async () => {
    const answer: Answer = (q) => json({ items: five(q), ...(startOf(q) < 20 ? { more: true } : {}) });
    const { ids: found, peer } = await read(answer, { by: 'page', more: 'more' });
    expect([found, peer.asked.length]).toEqual([upTo(23), 5]);
  });

  it.each<[string, PeerDocument]>([
    ['nothing', json({ items: [] })],
    ['null for a list', json({ items: null })],
    ['an error', { status: 404 }],
    ['another error', { status: 400 }],
    ['the last page again', json({ items: ids(1, 3) })],
  ])('the one page of an API that never says a word is all there is: behind it comes %s', async (_name, behind) => {
    for (const pages of [
      { by: 'page', more: 'has_more' },
      { by: 'page', size: 5, endsWith: 'short' },
    ]) {
      const answer: Answer = (q) => (q.get('page') === '1' ? json({ items: ids(1, 3) }) : behind);
      expect((await read(answer, pages)).ids).toEqual([1, 2, 3]);
    }
  });

  it.each([429, 401, 503])('an answer of %d behind them proves nothing', async (status) => {
    const answer: Answer = (q) => (q.get('page') === '1' ? json({ items: ids(1, 3) }) : { status });
    const reading = read(answer, { by: 'page', more: 'has_more' }, { patience: '1ms' });
    await expect(reading).rejects.toMatchObject({ code: expect.stringMatching(/SOURCE_(AWAY|DENIED)/) });
  });

  it.each<[string, Answer, unknown]>([
    ['by offset', (q) => json({ items: five(q), count: 5 }), { by: 'offset', size: 5, total: 'count' }],
    ['by number', (q) => json({ items: five(q), count: 1 }), { by: 'page', total: 'count' }],
  ])('a total of something else is an error where more come than it tells of, %s', async (_how, answer, pages) => {
    await expect(read(answer, pages)).rejects.toThrow(/page 2 is beyond the \d (records|pages) that `total` tells of/);
  });

  it('a total that is right costs one more question where the last page is full, and none else', async () => {
    const counted: (last: number) => Answer = (last) => (q) => json({ items: five(q, last), total: last });
    const pages = { by: 'offset', size: 5, total: 'total' };
    for (const [last, asked] of [
      [20, 5],
      [23, 5],
    ] as const) {
      const { ids: found, peer } = await read(counted(last), pages);
      expect([found, peer.asked.length]).toEqual([upTo(last), asked]);
    }
  });

  it('a total that is never reached is an error, and not a walk over empty pages', async () => {
    const answer: Answer = (q) => json({ items: five(q), total: 100_000 });
    const pages = { by: 'offset', size: 5, total: 'total' };
    await expect(read(answer, pages)).rejects.toThrow('101 pages in a row are empty, and `total` tells of 100000');
  });
});

describe('a path to the next page that leads nowhere', () => {
  const body = (rest: object) => json({ items: ids(1, 5), ...rest });
  it.each<[string, PeerDocument, unknown, string]>([
    ['a cursor', body({ meta: { next_cursor: 'c' } }), { by: 'cursor', at: 'meta.next' }, 'meta.next_cursor'],
    ['a link', body({ paging: { next: '/items?p=2' } }), { by: 'link', at: 'links.next' }, 'paging.next'],
    ['a header', body({ '@odata.nextLink': '/i?p=2' }), { by: 'link' }, '@odata.nextLink'],
    ['a word', body({ hasMore: true }), { by: 'link' }, 'hasMore'],
    [
      'a cursor beside a header',
      json({ items: ids(1, 5) }, { link: '</i?p=2>; rel=next' }),
      { by: 'cursor', at: 'next' },
      'a header Link',
    ],
  ])('is told where the reply leads on elsewhere: %s', async (_name, document, pages, place) => {
    const reading = read(() => document, pages);
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_INVALID', message: expect.stringContaining(place) });
  });

  it.each<[string, PeerDocument, unknown]>([
    ['nothing else', body({}), { by: 'cursor', at: 'next' }],
    ['null at the path', body({ next: null, next_cursor: 'c' }), { by: 'cursor', at: 'next' }],
    ['a word that denies it', body({ next_cursor: 'c', has_more: false }), { by: 'cursor', at: 'after' }],
    ['a name within the records', json({ items: [{ id: 1, next: 'x' }] }), { by: 'link' }],
    ['an empty text', body({ next_cursor: '' }), { by: 'cursor', at: 'after' }],
  ])('is the end where there is %s', async (_name, document, pages) => {
    expect((await read(() => document, pages)).ids.length).toBeGreaterThan(0);
  });
});

describe('an answer of 200 without records', () => {
  it.each([
    { items: [], error: 'no such tenant' },
    { items: null, errors: [{ message: 'boom' }] },
  ])('that says that it failed is no end: %j', async (failed) => {
    const answer: Answer = (q) => json(q.get('page') === '3' ? failed : { items: five(q) });
    await expect(read(answer, { by: 'page' })).rejects.toMatchObject({ code: expect.stringContaining('SOURCE_') });
  });

  it.each([
    { items: [], error: null },
    { items: [], errors: [] },
    { items: null, error: '' },
  ])('is one where it does not: %j', async (empty) => {
    const answer: Answer = (q) => json(q.get('page') === '3' ? empty : { items: five(q) });
    expect((await read(answer, { by: 'page' })).ids).toEqual(upTo(10));
  });

  it('and without a place for them is an error: null higher up is no list', async () => {
    const answer: Answer = (q) => json({ data: q.get('page') === '3' ? null : { items: five(q) } });
    await expect(read(answer, { by: 'page' }, { recordsAt: 'data.items' })).rejects.toThrow('has no array');
  });

  it('but null is no list of a step of numbers, which may not be there yet', async () => {
    const peer = await openDocumentPeer({
      '/head': () => ({ body: '2' }),
      '/n': () => json({ items: null }),
    });
    closing.push(() => peer.close());
    const settings = { path: '/n?number={{ number }}', recordsAt: 'items', sequence: { head: { path: '/head' } } };
    const config = http.source!.settings.parse(settings);
    const source = http.source!.open(http.connection.parse({ url: peer.url }), config, openContext());
    closing.push(async () => source.close?.());
    await expect(pull(source, { downloads })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
  });
});

describe('one page of many that is taken for all there is', () => {
  const list = (rest: object) => JSON.stringify({ items: ids(1, 5), ...rest });
  const packed = (text: string): PeerDocument => ({
    body: gzipSync(text),
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  });
  const NONE = { by: 'none' };
  const leading: [string, PeerDocument, string][] = [
    ['a header Link', json({ items: ids(1, 5) }, { link: '</i?p=2>; rel="next"' }), 'a header Link'],
    ['a cursor', json({ items: ids(1, 5), meta: { next_cursor: 'c' } }), 'meta.next_cursor'],
    ['a cursor, packed', packed(list({ next_page_token: 't' })), 'next_page_token'],
    ['a link of HAL', json({ items: ids(1, 5), _links: { next: { href: '/i?p=2' } } }), '_links.next'],
    ['a list of links', json({ items: ids(1, 5), links: [{ rel: 'self' }, { rel: 'next', href: '/' }] }), 'links'],
  ];

  it.each(leading)('is an error that says how to go on, unless no more is meant: %s', async (_name, page, where) => {
    const told = {
      code: 'SOURCE_INVALID',
      message: expect.stringContaining(where),
      hint: expect.stringMatching(/none/),
    };
    await expect(read(() => page, undefined)).rejects.toMatchObject(told);
    expect((await read(() => page, NONE)).ids).toEqual(upTo(5));
  });

  it.each([{ next: null }, { next_cursor: 'c', has_more: false }, { links: [{ rel: 'prev' }] }])(
    'is none where it says nothing of the kind: %j',
    async (rest) => {
      expect((await read(() => json({ items: ids(1, 5), ...rest }), undefined)).ids).toEqual(upTo(5));
    },
  );

  it('may be a step of numbers', async () => {
    const head = { path: '/items?head=1', at: 'head' };
    const settings = { path: '/items?n={{ from }}&to={{ to }}', sequence: { head, first: 1, step: 10 } };
    const answer: Answer = (q) => json(q.has('head') ? { head: 10 } : { items: ids(1, 5), has_more: true });
    const told = { code: 'SOURCE_INVALID', hint: expect.stringContaining('`step`') };
    await expect(read(answer, undefined, settings)).rejects.toMatchObject(told);
    expect((await read(answer, NONE, settings)).ids).toEqual(upTo(5));
  });
});
