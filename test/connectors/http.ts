import { setTimeout as pause } from 'node:timers/promises';
import { http } from '../../src/connectors/http/config.ts';
import { openApiPeer } from '../../src/testing/peer/api-peer.ts';
import type { Behaviour, Fault } from '../../src/testing/peer/behaviour.ts';
import { openContext } from '../../src/testing/peer/open-context.ts';
import type { Ability, Losing, SinkFixture, SinkSubject } from '../../src/testing/suites/sink-subject.ts';

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
