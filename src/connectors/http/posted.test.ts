import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DocumentPeer, openDocumentPeer, type PeerDocument } from '../../testing/peer/document-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { pull } from '../../testing/peer/pull.ts';
import type { Source } from '../connector.ts';
import { http } from './config.ts';

let downloads: string;
const closing: (() => Promise<void> | undefined)[] = [];
beforeEach(async () => {
  downloads = await mkdtemp(join(tmpdir(), 'waybill-posted-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await rm(downloads, { recursive: true, force: true });
});

// biome-ignore lint/suspicious/noExplicitAny: a peer looks into what it was sent as an API would
type Sent = any;
type Answer = (body: Sent, query: URLSearchParams) => PeerDocument;
const json = (value: unknown): PeerDocument => ({
  body: JSON.stringify(value),
  headers: { 'content-type': 'application/json' },
});

async function api(answer: Answer): Promise<DocumentPeer> {
  const peer = await openDocumentPeer({
    '/ask': ({ method, url = '/' }, _response, body) =>
      method === 'POST' ? answer(JSON.parse(body), new URL(url, 'http://h').searchParams) : { status: 405 },
  });
  closing.push(() => peer.close());
  return peer;
}

function open(peer: DocumentPeer, settings: Record<string, unknown>): Source {
  const config = http.source!.settings.parse({ path: '/ask', ...settings });
  const source = http.source!.open(http.connection.parse({ url: peer.url }), config, openContext());
  closing.push(async () => source.close?.());
  return source;
}

/** Records `from` to before `to` of 23, of which each knows its own number. */
const some = (from: number, to: number) =>
  Array.from({ length: Math.max(0, Math.min(23, to) - from) }, (_, nth) => ({ id: from + nth }));
const ALL_OF_THEM = some(0, 23).map(({ id }) => id);
const sentTo = (peer: DocumentPeer): Sent[] => peer.asked.map(({ body }) => JSON.parse(body));

const GRAPHQL = {
  recordsAt: 'data.members.nodes',
  body: {
    query:
      'query ($after: String) { members(first: 5, after: $after) { nodes { id } pageInfo { endCursor hasNextPage } } }',
    variables: { first: 5 },
  },
  pages: {
    by: 'cursor',
    parameter: 'variables.after',
    at: 'data.members.pageInfo.endCursor',
    more: 'data.members.pageInfo.hasNextPage',
  },
};

const graphql: Answer = ({ variables }) => {
  const from = variables.after === undefined ? 0 : Number(variables.after.slice(2));
  const pageInfo = { endCursor: `c-${from + 5}`, hasNextPage: from + 5 < 23 };
  return json({ data: { members: { nodes: some(from, from + variables.first), pageInfo } } });
};

describe('pages that are asked for by POST', () => {
  it.each<[string, Answer, Record<string, unknown>, number, Sent]>([
    ['of GraphQL, by a cursor among the variables', graphql, GRAPHQL, 5, { variables: { first: 5, after: 'c-20' } }],
    [
      'by a cursor beside a filter',
      ({ filter, start_cursor }) => {
        const from = filter.state === 'open' ? Number(start_cursor?.slice(2) ?? 0) : 99;
        return json({
          results: some(from, from + 5),
          next_cursor: from + 5 < 23 ? `n-${from + 5}` : null,
          has_more: from + 5 < 23,
        });
      },
      {
        recordsAt: 'results',
        body: { filter: { state: 'open' } },
        pages: { by: 'cursor', parameter: 'start_cursor', at: 'next_cursor', more: 'has_more' },
      },
      5,
      { filter: { state: 'open' }, start_cursor: 'n-20' },
    ],
    [
      'by the values that the last record was sorted by, which are no text',
      ({ search_after = [-1], size }) =>
        json({
          hits: {
            hits: some(search_after[0] + 1, search_after[0] + 1 + size).map((one) => ({ ...one, sort: [one.id] })),
          },
        }),
      {
        recordsAt: 'hits.hits',
        body: { size: 5, sort: [{ id: 'asc' }] },
        pages: { by: 'cursor', parameter: 'search_after', ofRecord: 'sort' },
      },
      6,
      { size: 5, sort: [{ id: 'asc' }], search_after: [22] },
    ],
    [
      'by an offset, as a number',
      ({ offset, limit }) =>
        offset === Math.trunc(offset) ? json({ rows: some(offset, offset + limit) }) : { status: 400 },
      { recordsAt: 'rows', body: { dimensions: ['date'] }, pages: { by: 'offset', size: 10 } },
      4,
      { dimensions: ['date'], offset: 23, limit: 10 },
    ],
    [
      'by their number, at a path that is made',
      ({ paging }) => json({ rows: some(paging.page * 10, paging.page * 10 + paging.size) }),
      {
        recordsAt: 'rows',
        body: {},
        pages: { by: 'page', first: 0, parameter: 'paging.page', size: 10, sizeParameter: 'paging.size' },
      },
      4,
      { paging: { page: 3, size: 10 } },
    ],
    [
      'by their number in the query, where that is said',
      ({ kind }, query) =>
        json({
          rows: kind === 'member' ? some(Number(query.get('page')) * 10 - 10, Number(query.get('page')) * 10) : [],
        }),
      { recordsAt: 'rows', body: { kind: 'member' }, pages: { by: 'page', parameterIn: 'query' } },
      4,
      { kind: 'member' },
    ],
  ])('%s', async (_name, answer, settings, requests, last) => {
    const peer = await api(answer);
    const { records } = await pull(open(peer, settings), { downloads });
    expect(records.map(({ id }) => id)).toEqual(ALL_OF_THEM);
    expect(peer.asked.map(({ method }) => method)).toEqual(new Array(requests).fill('POST'));
    expect(peer.asked[0]?.headers['content-type']).toBe('application/json');
    expect(sentTo(peer).at(-1)).toMatchObject(last);
  });

  it('of a cursor that is good for later go on from it, whatever kind of value it is', async () => {
    for (const cursor of [
      (id: number) => id,
      (id: number) => `${id}`,
      (id: number) => ({ at: id }),
      (id: number) => `c${id}`,
    ]) {
      const seen: unknown[] = [];
      const peer = await api(({ after }) => {
        seen.push(after);
        const next = after === undefined ? 4 : 22;
        return json({
          rows: after === undefined ? some(0, 5) : some(5, 23),
          next: cursor(next),
          more: after === undefined,
        });
      });
      const settings = {
        recordsAt: 'rows',
        body: {},
        pages: { by: 'cursor', parameter: 'after', at: 'next', resumes: true, pagesMax: 1 },
      };
      const source = open(peer, settings);
      const first = await pull(source, { downloads });
      const second = await pull(source, { downloads, from: first.end });
      expect([...first.records, ...second.records].map(({ id }) => id)).toEqual(ALL_OF_THEM);
      expect(seen).toEqual([undefined, cursor(4)]);
    }
  });

  it('with a link are further asked for by GET, where that leads', async () => {
    const peer = await openDocumentPeer({
      '/ask': ({ method }) => (method === 'POST' ? json({ rows: some(0, 10), next: '/more' }) : { status: 405 }),
      '/more': ({ method }) => (method === 'GET' ? json({ rows: some(10, 23) }) : { status: 405 }),
    });
    closing.push(() => peer.close());
    const settings = { recordsAt: 'rows', body: { q: 1 }, pages: { by: 'link', at: 'next' } };
    expect((await pull(open(peer, settings), { downloads })).records).toHaveLength(23);
  });

  it('that lead in a circle are noticed by what is sent', async () => {
    const peer = await api(() => json({ rows: some(0, 5), next: 'same' }));
    const settings = { recordsAt: 'rows', body: {}, pages: { by: 'cursor', parameter: 'after', at: 'next' } };
    await expect(pull(open(peer, settings), { downloads })).rejects.toThrow('was read before');
  });
});

describe('a document that is asked for by POST', () => {
  const asked = async (body: unknown, parameters: Parameters<typeof pull>[1]['parameters'] = {}): Promise<Sent> => {
    const peer = await api(() => json([{ id: 1 }]));
    await pull(open(peer, { body }), { downloads, parameters });
    return sentTo(peer)[0];
  };

  it('is asked with parameters as what they are, and within text as text', async () => {
    const parameters = {
      since: { type: 'integer', value: 1_790_000_000 },
      until: { type: 'timestamp', value: '2026-11-20T00:00:00Z' },
      all: { type: 'boolean', value: false },
      none: { type: 'date', value: null },
    } as const;
    const body = {
      at: '{{ since }}',
      text: '{{ since | text }}',
      hex: '{{since|hex}}',
      where: ["updated < '{{ until }}' and x > {{ since }}", { all: '{{ all }}', none: '{{ none }}' }],
      window: '{{ window }}',
      '{{ since }}': 'a { b { c } } {{',
    };
    expect(await asked(body, parameters)).toEqual({
      at: 1_790_000_000,
      text: '1790000000',
      hex: '0x6ab13b80',
      where: ["updated < '2026-11-20T00:00:00Z' and x > 1790000000", { all: false, none: null }],
      window: 'pull-000001',
      '{{ since }}': 'a { b { c } } {{',
    });
  });

  it('keeps the order of members, and names that are no plain ones', async () => {
    const body = JSON.parse('{"z":1,"constructor":{"a":"{{ window }}"},"a":[2,{"y":null,"b":true}]}');
    const peer = await api(() => json([{ id: 1 }]));
    await pull(open(peer, { body }), { downloads });
    expect(peer.asked[0]?.body).toBe('{"z":1,"constructor":{"a":"pull-000001"},"a":[2,{"y":null,"b":true}]}');
  });

  it.each([
    [{ a: '{{ nothing }}' }, 'a body cannot hold {{ nothing }}; it can hold window'],
    [{ a: '{{ window | hex }}' }, '{{ window | hex }} is no whole number'],
    [{ a: '{{ window | upper }}' }, 'not upper'],
  ])('is not asked for with %j', async (body, message) => {
    await expect(asked(body)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message),
    });
  });

  it('is another one where another body is asked by', async () => {
    let broken = true;
    const peer = await api(({ n }) =>
      broken ? { ...json(`[{"id":1}`), headers: { 'content-length': '99' } } : json([{ id: n }]),
    );
    await expect(pull(open(peer, { format: 'json', body: { n: 1 } }), { downloads })).rejects.toThrow();
    broken = false;
    await pull(open(peer, { format: 'json', body: { n: 1 } }), { downloads });
    const { records } = await pull(open(peer, { format: 'json', body: { n: 2 } }), { downloads });
    expect(records).toEqual([{ id: 2 }]);
  });
});

describe('numbers that are asked for by POST', () => {
  it('of a chain: by JSON-RPC, in hex', async () => {
    const logs = (from: number, to: number) => some(from, to + 1);
    const peer = await api(({ method, params }) => {
      if (method === 'eth_blockNumber') return json({ jsonrpc: '2.0', id: 1, result: '0x1a' });
      return json({ jsonrpc: '2.0', id: 1, result: logs(Number(params[0].fromBlock), Number(params[0].toBlock)) });
    });
    const call = (method: string, params: unknown) => ({ jsonrpc: '2.0', id: 1, method, params });
    const source = open(peer, {
      recordsAt: 'result',
      body: call('eth_getLogs', [{ fromBlock: '{{ from | hex }}', toBlock: '{{ to | hex }}' }]),
      sequence: { head: { path: '/ask', body: call('eth_blockNumber', []), at: 'result' }, step: 10, confirmations: 4 },
    });
    const { records, end } = await pull(source, { downloads });
    expect(records.map(({ id }) => id)).toEqual(ALL_OF_THEM);
    expect(end).toMatchObject({ kind: 'waybill/seq', value: '22' });
    expect(sentTo(peer).at(-1).params).toEqual([{ fromBlock: '0x14', toBlock: '0x16' }]);
  });

  it('are numbers where nothing else is said', async () => {
    const peer = await openDocumentPeer({
      '/head': json(3),
      '/ask': (_request, _response, body) => json([{ id: JSON.parse(body).number }]),
    });
    closing.push(() => peer.close());
    const source = open(peer, { body: { number: '{{ number }}' }, sequence: { head: { path: '/head' }, first: 2 } });
    expect((await pull(source, { downloads })).records).toEqual([{ id: 2 }, { id: 3 }]);
  });
});

describe('an answer of 200 that says what went wrong', () => {
  const failing = (failed: unknown, at: string | undefined, times = Number.POSITIVE_INFINITY): Answer => {
    let left = times;
    return (body, query) => (body.variables.after === at && left-- > 0 ? json(failed) : graphql(body, query));
  };
  const AWAY = { code: 'SOURCE_AWAY' };

  it.each([
    ['without data', { data: null, errors: [{ message: "Field 'x' doesn't exist" }] }],
    ['without anything else', { errors: [{ message: "Field 'x' doesn't exist" }] }],
    [
      'with a part of the data',
      { data: { members: { nodes: some(10, 12) } }, errors: [{ message: "Field 'x' doesn't exist" }] },
    ],
  ])('is an error that quotes it: %s', async (_name, failed) => {
    const peer = await api(failing(failed, 'c-10'));
    const reading = pull(open(peer, GRAPHQL), { downloads });
    await expect(reading).rejects.toMatchObject({
      ...AWAY,
      message: expect.stringContaining("Field 'x' doesn't exist"),
    });
  });

  it('is one of the head of a sequence', async () => {
    const peer = await api(() => json({ jsonrpc: '2.0', id: 1, error: { code: -32601, message: 'no such method' } }));
    const head = { path: '/ask', body: { method: 'eth_blockNumbers' }, at: 'result' };
    const reading = pull(open(peer, { body: { number: '{{ number }}' }, sequence: { head } }), { downloads });
    await expect(reading).rejects.toMatchObject({ ...AWAY, message: expect.stringContaining('no such method') });
  });

  it('is one where a document is read that has no pages', async () => {
    const failed = { data: { items: [{ id: 1 }] }, errors: [{ message: 'no shard 3' }] };
    const peer = await api(() => json(failed));
    const reading = pull(open(peer, { recordsAt: 'data.items', body: {} }), { downloads });
    await expect(reading).rejects.toMatchObject({ ...AWAY, message: expect.stringContaining('no shard 3') });
  });

  it.each([
    ['its code', { data: null, errors: [{ message: 'wait', extensions: { code: 'THROTTLED' } }] }],
    ['its type', { errors: [{ type: 'RATE_LIMITED', message: 'wait' }] }],
    ['its message', { error: { code: -32005, message: 'Too many requests, slow down' } }],
  ])('is waited for behind the first page where it was asked for too often, by %s', async (_name, failed) => {
    const peer = await api(failing(failed, 'c-10', 1));
    const { records } = await pull(open(peer, GRAPHQL), { downloads });
    expect(records).toHaveLength(23);
    expect(peer.asked).toHaveLength(6);
    const first = await api(failing(failed, undefined, 1));
    await expect(pull(open(first, GRAPHQL), { downloads })).rejects.toMatchObject(AWAY);
  });

  it.each([{ errors: [] }, { errors: null }, { errors: 0 }, { errors: ['deprecated'] }])(
    'is none where no message stands beside the records: %j',
    async (beside) => {
      const peer = await api((body, query) => {
        const { body: page } = graphql(body, query);
        return json({ ...JSON.parse(String(page)), ...beside });
      });
      expect((await pull(open(peer, GRAPHQL), { downloads })).records).toHaveLength(23);
    },
  );
});

describe('a redirect of what is asked by POST', () => {
  const led = async (status: number, location: string, redirects: unknown) => {
    const peer = await openDocumentPeer({
      '/ask': () => ({ status, headers: { location } }),
      '/there': ({ method }, _response, body) => json([{ method, ...JSON.parse(body || '{}') }]),
    });
    closing.push(() => peer.close());
    return await pull(open(peer, { body: { q: 1 }, redirects }), { downloads });
  };

  it.each([307, 308])('by %i is followed to the same origin, body and all', async (status) => {
    expect((await led(status, '/there', 'same-origin')).records).toEqual([{ method: 'POST', q: 1 }]);
  });

  it.each([301, 302, 303])('by %i is not: it would be another question', async (status) => {
    await expect(led(status, '/there', 'same-origin')).rejects.toMatchObject({ code: 'SOURCE_REDIRECTED' });
  });

  it('leads nowhere else, whatever the flow says: what stands in the body is for nobody else', async () => {
    const other = await openDocumentPeer({ '/there': json([{ id: 1 }]) });
    closing.push(() => other.close());
    for (const redirects of ['public', ['127.0.0.1']]) {
      await expect(led(307, `${other.url}/there`, redirects)).rejects.toMatchObject({ code: 'SOURCE_REDIRECTED' });
    }
    expect(other.asked).toEqual([]);
  });
});

describe('settings of a body', () => {
  const issues = (settings: Record<string, unknown>): string =>
    JSON.stringify(http.source!.settings.safeParse({ path: '/ask', ...settings }).error?.issues ?? []);

  it.each([
    [{ body: 'text' }, 'body'],
    [{ pages: { by: 'page', parameterIn: 'body' } }, 'there is no `body`'],
    [
      { body: { a: '{{ number }}' } },
      'only a sequence fills in {{ number }}; a parameter of the flow needs another name',
    ],
    [{ body: { a: 1 }, sequence: { head: { path: '/h' } } }, 'a sequence needs'],
    [
      { body: { a: '{{ from }}' }, sequence: { head: { path: '/h' }, step: 2 } },
      'a step of more than one number needs',
    ],
  ])('%j are refused', (settings, message) => {
    expect(issues(settings)).toContain(message);
  });

  it('are enough for a sequence, whose path holds no number then', () => {
    const sequence = { head: { path: '/h' }, step: 2 };
    expect(issues({ body: { a: ['{{ from }}', '{{ to | hex }}'] }, sequence })).toBe('[]');
  });
});
