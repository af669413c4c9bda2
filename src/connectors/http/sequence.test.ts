import { afterEach, describe, expect, it } from 'vitest';
import { type DocumentPeer, openDocumentPeer, type PeerDocument } from '../../testing/peer/document-peer.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { pull } from '../../testing/peer/pull.ts';
import type { Source } from '../connector.ts';
import { http } from './config.ts';

const closing: (() => Promise<void> | undefined)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const json = (body: string): PeerDocument => ({ body, headers: { 'content-type': 'application/json' } });
const block = (height: bigint): string => `{"height":${height},"hash":"h${height}"}`;

interface Chain {
  head: bigint;
  peer: DocumentPeer;
  missing: bigint;
}

async function chain(head: bigint): Promise<Chain> {
  const held = { head, missing: -1n } as Chain;
  held.peer = await openDocumentPeer({
    '/head': () => json(`{"result":{"height":${held.head}}}`),
    '*': (request) => {
      const url = new URL(request.url ?? '/', 'http://h');
      const one = /^\/blocks\/(\d+)$/.exec(url.pathname)?.[1];
      const [from, to] = one === undefined ? [url.searchParams.get('from'), url.searchParams.get('to')] : [one, one];
      const blocks: string[] = [];
      for (let height = BigInt(from ?? 0); height <= BigInt(to ?? 0); height++) {
        if (height > held.head || height === held.missing) return { status: 404 };
        blocks.push(block(height));
      }
      return json(one === undefined ? `[${blocks.join(',')}]` : blocks[0]!);
    },
  });
  closing.push(() => held.peer.close());
  return held;
}

const HEAD = { path: '/head', at: 'result.height' };
const RANGES = { path: '/blocks?from={{ from }}&to={{ to }}' };
const ONE = { path: '/blocks/{{ number }}', single: true };

function open(
  { url }: { url: string },
  sequence: Record<string, unknown>,
  settings: Record<string, unknown> = ONE,
): Source {
  const config = http.source!.settings.parse({ ...settings, sequence: { head: HEAD, ...sequence } });
  const source = http.source!.open(http.connection.parse({ url }), config, openContext());
  closing.push(async () => source.close?.());
  return source;
}

const downloads = '/nowhere/that/anything/is/written';
const heights = ({ records }: { records: readonly Record<string, unknown>[] }) =>
  records.map(({ height }) => String(height));
const at = (value: string) => ({ sourceName: 's', kind: 'waybill/seq', value });

describe('a numbered source', () => {
  it('F06: is read number by number, and goes on after the recorded position', async () => {
    const blocks = await chain(3n);
    const first = await pull(open(blocks.peer, { first: 1 }), { downloads });
    expect(heights(first)).toEqual(['1', '2', '3']);
    expect(first.ends.map(({ kind, value }) => `${kind} ${value}`)).toEqual([
      'waybill/seq 1',
      'waybill/seq 2',
      'waybill/seq 3',
    ]);
    const asked = blocks.peer.asked.length;
    expect((await pull(open(blocks.peer, { first: 1 }), { downloads, from: first.end })).look.kind).toBe('unchanged');
    expect(blocks.peer.asked.length).toBe(asked + 1);
    blocks.head = 5n;
    expect(heights(await pull(open(blocks.peer, { first: 1 }), { downloads, from: first.end }))).toEqual(['4', '5']);
    expect(heights(await pull(open(blocks.peer, {}), { downloads, from: first.ends[0] }))).toEqual([
      '2',
      '3',
      '4',
      '5',
    ]);
  });

  it('F06: is read in steps of several numbers, the last one as short as it has to be', async () => {
    const blocks = await chain(25n);
    const { records, ends } = await pull(open(blocks.peer, { first: 1, step: 10 }, RANGES), { downloads });
    expect(heights({ records })).toEqual(Array.from({ length: 25 }, (_, nth) => String(nth + 1)));
    expect(ends.map(({ value }) => value)).toEqual(['10', '20', '25']);
    expect(blocks.peer.asked.map(({ path }) => path).slice(1)).toEqual([
      '/blocks?from=1&to=10',
      '/blocks?from=11&to=20',
      '/blocks?from=21&to=25',
    ]);
  });

  it('F06: stays behind the head by as many numbers as are to confirm it', async () => {
    const blocks = await chain(5n);
    const source = () => open(blocks.peer, { first: 1, confirmations: 2 });
    const first = await pull(source(), { downloads });
    expect(heights(first)).toEqual(['1', '2', '3']);
    const { look } = await pull(source(), { downloads, from: first.end });
    expect(look).toMatchObject({ kind: 'unchanged', why: expect.stringContaining('confirmed') });
    blocks.head = 6n;
    expect(heights(await pull(source(), { downloads, from: first.end }))).toEqual(['4']);
  });

  it('F06: has numbers of any size', async () => {
    const start = 9_007_199_254_740_993_000n;
    const blocks = await chain(start + 2n);
    const { records, end } = await pull(open(blocks.peer, { first: String(start), step: 2 }, RANGES), { downloads });
    expect(heights({ records })).toEqual([start, start + 1n, start + 2n].map(String));
    expect(end?.value).toBe(String(start + 2n));
  });

  it('reports a head that went back, and reads nothing until it has passed what was read', async () => {
    const blocks = await chain(4n);
    const back = await pull(open(blocks.peer, {}), { downloads, from: at('7') });
    expect(back.look).toMatchObject({ kind: 'unchanged', notices: [{ kind: 'head-went-back' }] });
    expect(blocks.peer.asked.map(({ path }) => path)).toEqual(['/head']);
    blocks.head = 8n;
    expect(heights(await pull(open(blocks.peer, {}), { downloads, from: at('7') }))).toEqual(['8']);
  });

  it('reads to where the head was when it began', async () => {
    const blocks = await chain(2n);
    const source = open(blocks.peer, { first: 1 });
    const range = { window: { name: 'p' }, parameters: {}, pull: { downloads, taken: async () => new Set<string>() } };
    expect((await source.pulls!.look(range, new AbortController().signal)).kind).toBe('new');
    blocks.head = 9n;
    const ends: unknown[] = [];
    for await (const { end } of source.read(range, new AbortController().signal)) ends.push(end?.value);
    expect(ends).toEqual(['1', '2']);
  });

  it('stops at a number that is missing, with what stands before it committed; or passes it over', async () => {
    const blocks = await chain(4n);
    blocks.missing = 3n;
    const ends: unknown[] = [];
    const reading = async () => {
      const range = { window: { name: 'all' }, parameters: {} };
      for await (const { end } of open(blocks.peer, { first: 1 }).read(range, new AbortController().signal)) {
        ends.push(end?.value);
      }
    };
    await expect(reading()).rejects.toMatchObject({
      code: 'SOURCE_MISSING',
      message: expect.stringContaining('number 3'),
    });
    expect(ends).toEqual(['1', '2']);
    const skipped = await pull(open(blocks.peer, { first: 1, whenMissing: 'skip' }), { downloads });
    expect(heights(skipped)).toEqual(['1', '2', '4']);
  });

  it.each([
    ['17', undefined],
    ['"0x11"', undefined],
    [' 17\n', undefined],
    ['{"result":"0x11"}', 'result'],
  ])('F06: understands the head %j', async (body, path) => {
    const peer = await openDocumentPeer({ '/head': { body }, '*': json(block(17n)) });
    closing.push(() => peer.close());
    const head = { path: '/head', ...(path === undefined ? {} : { at: path }) };
    const { end } = await pull(open(peer, { head, first: 17 }), { downloads });
    expect(end?.value).toBe('17');
  });

  it.each(['1.5', '-1', 'null', '{}', '{"result":{"height":1.5}}', 'soon', '1e9', ''])(
    'takes %j for no head',
    async (body) => {
      const peer = await openDocumentPeer({ '/head': { body } });
      closing.push(() => peer.close());
      await expect(pull(open(peer, {}), { downloads })).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    },
  );

  it('F08: understands a block at its hash, and refuses what is no number', () => {
    const { pulls } = open({ url: 'http://127.0.0.1:1' }, {});
    const kind = 'odf/etag';
    expect(pulls!.refuses({ sourceName: 's', kind, value: '19@0xabc123' })).toBeUndefined();
    expect(pulls!.refuses({ sourceName: 's', kind, value: '"v1"' })).toContain('no number');
    expect(pulls!.refuses(at('12x'))).toContain('no number');
    expect(pulls!.refuses({ sourceName: 's', kind: 'waybill/cursor', value: '1' })).toContain('waybill/cursor');
  });

  it('F06: goes on after a block that another tool has recorded at its hash', async () => {
    const blocks = await chain(5n);
    const from = { sourceName: 's', kind: 'odf/etag', value: '3@0xabc' };
    expect(heights(await pull(open(blocks.peer, {}), { downloads, from }))).toEqual(['4', '5']);
  });
});
