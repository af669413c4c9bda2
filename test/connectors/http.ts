import { setTimeout as pause } from 'node:timers/promises';
import { http } from '../../src/connectors/http/config.ts';
import { openApiPeer } from '../../src/testing/peer/api-peer.ts';
import type { Behaviour, Fault } from '../../src/testing/peer/behaviour.ts';
import { openContext } from '../../src/testing/peer/open-context.ts';
import type { Losing, SinkFixture, SinkSubject } from '../../src/testing/suites/sink-subject.ts';

const LATE_MS = 15;

/** A real server that keeps what it receives, and loses answers where an API does: on the wire. */
async function httpFixture(behaviour: Partial<Behaviour>, settings: Record<string, unknown>): Promise<SinkFixture> {
  const peer = await openApiPeer({
    reject: [{ path: 'n', values: [666], code: '422', message: 'bad' }],
    ...behaviour,
  });
  const parsed = http.sink!.settings.parse({ path: '/v1/records', ...settings });
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

const idAt = 'n';
const lookup = { path: '/records?ids={{ ids }}', recordId: 'n', results: 'results' };
const byName = { shape: 'hubspot' as const };

export const httpSinks: readonly SinkSubject[] = [
  { name: 'an HTTP API that only takes records', abilities: ['append'], open: () => httpFixture({}, {}) },
  {
    name: 'an HTTP API that can be asked',
    abilities: ['append', 'find'],
    open: () => httpFixture({ idAt }, { lookup }),
  },
  {
    name: 'an HTTP API that replaces by key',
    abilities: ['append', 'put'],
    open: () => httpFixture({ upsertKey: 'n' }, { upsert: true }),
  },
];
