import type { IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { http } from '../../src/connectors/http/config.ts';
import { ALL } from '../../src/model/window.ts';
import { openApiPeer } from '../../src/testing/peer/api-peer.ts';
import type { Behaviour, Fault } from '../../src/testing/peer/behaviour.ts';
import { openDocumentPeer } from '../../src/testing/peer/document-peer.ts';
import { openContext } from '../../src/testing/peer/open-context.ts';
import type { Ability, Losing, SinkFixture, SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import type { SourceSubject } from '../../src/testing/suites/source-subject.ts';

const LATE_MS = 15;
const RECEIPT = { shape: 'position', success: 'success', id: 'id', code: 'errors.0.statusCode' };

/** A real server that keeps what it receives, and loses answers where an API does: on the wire. */
async function httpFixture(behaviour: Partial<Behaviour>, settings: Record<string, unknown>): Promise<SinkFixture> {
  const peer = await openApiPeer({
    shape: 'salesforce',
    reject: [{ path: 'n', values: [666], code: '422', message: 'bad' }],
    ...behaviour,
  });
  const parsed = http.sink!.settings.parse({ path: '/v1/records', receipt: RECEIPT, ...settings });
  const open = () => http.sink!.open(http.connection.parse({ url: peer.url }), parsed, openContext());
  const losing =
    (fault: Fault): Losing =>
    async (send) => {
      peer.set({ faults: [{ times: 1, ...fault }] });
      try {
        return await send();
      } finally {
        peer.set({ faults: [] });
      }
    };
  return {
    sink: open(),
    another: open,
    record: (n, version = 0) => ({ n, version }),
    refused: { record: { n: 666, version: 0 } },
    held: async () =>
      (peer.records() as { n: number; version: number }[]).map(({ n, version }) =>
        version === 0 ? `${n}` : `${n}v${version}`,
      ),
    // What the peer applies after its answer, it applies by its own clock.
    settle: () => pause(LATE_MS * 2),
    lose: {
      'lost-request': losing({ answer: 'close-before-reading', apply: 'none' }),
      'lost-reply': losing({ answer: 'close', apply: 'all' }),
      'half-applied': losing({ answer: 'close', apply: 'half' }),
      'applied-late': losing({ answer: 'close', apply: { laterMs: LATE_MS } }),
    },
    close: () => peer.close(),
  };
}

const LOOKUP = { path: '/records?ids={{ ids }}', recordId: 'n', results: 'results' };
const KEY = { header: 'idempotency-key', horizonMs: 60_000, storesErrors: false };

/** The connector also shows `append` here, by the same request; an API that knows repeats does not add them again. */
function only(fixture: SinkFixture, ability: Ability): SinkFixture {
  const narrow = (sink: SinkFixture['sink']) => ({ ...sink, can: { [ability]: sink.can[ability]! } });
  return { ...fixture, sink: narrow(fixture.sink), another: () => narrow(fixture.another!()) };
}

/** The peer takes a batch under its key in one step; what it applies late or by half it applies without a key. */
function wholeBatches(fixture: SinkFixture): SinkFixture {
  const { 'applied-late': _late, ...lose } = fixture.lose!;
  return { ...fixture, lose: { ...lose, 'half-applied': { never: 'the API takes a batch under its key as a whole' } } };
}

export const httpSinks: readonly SinkSubject[] = [
  { name: 'an HTTP API that only takes records', abilities: ['append'], open: () => httpFixture({}, {}) },
  {
    name: 'an HTTP API that can be asked',
    abilities: ['append', 'find'],
    open: () => httpFixture({ idAt: 'n' }, { lookup: LOOKUP }),
  },
  {
    name: 'an HTTP API that knows idempotency keys',
    abilities: ['appendOnce'],
    open: async () =>
      wholeBatches(only(await httpFixture({ idempotency: KEY }, { idempotencyKey: { horizon: '60s' } }), 'appendOnce')),
  },
  {
    name: 'an HTTP API that replaces by key',
    abilities: ['put'],
    open: async () => only(await httpFixture({ upsertKey: 'n' }, { upsert: true }), 'put'),
  },
  {
    name: 'an HTTP API that replaces one record at a time',
    abilities: ['put'],
    open: () =>
      httpFixture(
        { upsertKey: 'n', shape: 'meta' },
        {
          upsert: { path: '/items/{{ key }}', key: 'n' },
          body: 'single',
          receipt: { shape: 'all-or-nothing' },
        },
      ),
  },
];

const ROWS = Array.from({ length: 1500 }, (_, id) => ({ id: String(id), text: `"q", ${'ü'.repeat(400)}\n.` }));
const asJson = (rows: readonly object[]): string => JSON.stringify({ data: { items: rows } });
const range = { window: ALL, parameters: {} };

type Documents = Parameters<typeof openDocumentPeer>[0];

interface Given {
  readonly name: string;
  readonly abilities: SourceSubject['abilities'];
  /** What the server gives while it holds so many rows. */
  readonly documents: (held: () => readonly object[]) => Documents;
  readonly settings: Record<string, unknown>;
  readonly unreadable: readonly (readonly [kind: string, value: string])[];
  /** What a pull brings once rows were added: those, or all there are. */
  readonly brings: 'added' | 'all';
  readonly atEnd?: 'unchanged' | 'uncacheable';
}

const reading = ({ name, abilities, documents, settings, unreadable, brings, atEnd }: Given): SourceSubject => ({
  name,
  abilities,
  open: async () => {
    const rows: object[] = [...ROWS];
    const peer = await openDocumentPeer(documents(() => rows));
    const parsed = http.source!.settings.parse(settings);
    const open = () => http.source!.open(http.connection.parse({ url: peer.url }), parsed, openContext());
    const grow = async () => {
      const added = Array.from({ length: 100 }, (_, nth) => ({ id: String(rows.length + nth), text: 'new' }));
      rows.push(...added);
      return (brings === 'all' ? [...rows] : added) as readonly (typeof ROWS)[number][];
    };
    const strange = unreadable.map(([kind, value]) => ({ sourceName: 's', kind, value }));
    const pull = { unreadable: strange, grow, ...(atEnd === undefined ? {} : { atEnd }) };
    return { source: open(), another: open, range, expected: ROWS, pull, close: () => peer.close() };
  },
});

const queryOf = (request: IncomingMessage) => new URL(request.url ?? '/', 'http://h').searchParams;

export const httpSources: readonly SourceSubject[] = [
  reading({
    name: 'a packed document over HTTP',
    abilities: ['pull'],
    documents: (held) => ({
      '/o.ndjson': () => ({
        body: gzipSync(
          held()
            .map((row) => `${JSON.stringify(row)}\n`)
            .join(''),
        ),
        headers: { 'content-encoding': 'gzip' },
        etag: `"${held().length}"`,
      }),
    }),
    settings: { path: '/o.ndjson' },
    unreadable: [
      ['odf/etag', '*'],
      ['odf/last-modified', 'yesterday'],
    ],
    brings: 'all',
  }),
  reading({
    name: 'pages of an API',
    abilities: ['pull'],
    documents: (held) => ({
      '/o.json': (request) => ({
        body: asJson(
          held()
            .slice(Number(queryOf(request).get('offset')))
            .slice(0, 400),
        ),
      }),
    }),
    settings: { path: '/o.json', recordsAt: 'data.items', pages: { by: 'offset', size: 400 } },
    unreadable: [['odf/etag', '"v"']],
    brings: 'all',
    atEnd: 'uncacheable',
  }),
  reading({
    name: 'pages of an API with a cursor that is good for later',
    abilities: ['resume', 'pull'],
    documents: (held) => ({
      '/o.json': (request) => {
        const after = Number(queryOf(request).get('after') ?? -1);
        return { body: asJson(held().slice(after + 1, after + 201)) };
      },
    }),
    settings: {
      path: '/o.json',
      recordsAt: 'data.items',
      pages: { by: 'cursor', parameter: 'after', ofRecord: 'id', resumes: true },
    },
    unreadable: [['waybill/cursor', '']],
    brings: 'added',
  }),
  reading({
    name: 'a numbered source',
    abilities: ['resume', 'pull'],
    documents: (held) => ({
      '/head': () => ({ body: String(held().length / 100 - 1) }),
      '/o.ndjson': (request) => {
        const from = Number(queryOf(request).get('from')) * 100;
        const rows = held().slice(from, from + 100);
        return { body: rows.map((row) => `${JSON.stringify(row)}\n`).join('') };
      },
    }),
    settings: { path: '/o.ndjson?from={{ number }}', sequence: { head: { path: '/head' } } },
    unreadable: [['waybill/seq', '12x']],
    brings: 'added',
  }),
];
