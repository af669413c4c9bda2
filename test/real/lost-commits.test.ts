import * as sdk from '@aws-sdk/client-s3';
import { afterEach, describe, expect, it } from 'vitest';
import type { Sink } from '../../src/connectors/connector.ts';
import { RefusedError, WaybillError } from '../../src/model/errors.ts';
import type { Cut } from '../../src/testing/faults/cut.ts';
import { type CutProxy, openCutProxy } from '../../src/testing/faults/cut-proxy.ts';
import { testPermit } from '../../src/testing/permit.ts';
import { cephMissing, startCeph } from '../ceph.ts';
import { TestNats } from '../nats.ts';
import { Places, thrownBy } from '../postgres-place.ts';
import { TestRedis } from '../redis.ts';
import { S3Places } from '../s3-place.ts';
import { missingProgram } from '../server.ts';
import { tellFigure } from './figures.ts';

/** For each connector, over all its ways; the API over HTTP has its own in lost-answers.test.ts. */
const LOST_BY_CONNECTOR = 2_000;
/** That send side by side, each over a connection of its own. */
const SENDERS = 4;

/** A sink of one connector, at which an answer can be lost. */
interface Place {
  readonly sink: Sink;
  readonly proxy: CutProxy;
}

interface Subject {
  readonly ability: 'commitOnce' | 'appendOnce' | 'put';
  /** In the one request of a batch that decides. */
  readonly commit: string;
  place(): Promise<Place>;
  /** The ids of all records that are held, as often as they are. */
  held(): Promise<readonly number[]>;
  stop(): Promise<void>;
}

interface Kind {
  /** The connector, and which way of it. */
  readonly name: string;
  readonly lost: number;
  missing(): string | undefined;
  start(): Promise<Subject>;
}

const idOf = (text: string): number => (JSON.parse(text) as { id: number }).id;

const postgres = (ability: 'commitOnce' | 'put'): Kind => ({
  name: `PostgreSQL, ${ability === 'put' ? 'by key' : 'by a marker'}`,
  lost: LOST_BY_CONNECTOR / 2,
  missing: () => undefined,
  start: async () => {
    const places = await Places.start();
    await places.client.query('create table items (id int primary key, name text)');
    return {
      ability,
      // The whole message: the word alone is also in the name of a setting.
      commit: 'Q\0\0\0\vcommit\0',
      place: async () => {
        const proxy = await openCutProxy({ target: places.server });
        return { proxy, sink: places.open({ table: 'items', key: ['id'] }, { port: proxy.port }) };
      },
      held: async () => (await places.client.query<{ id: number }>('select id from items')).rows.map(({ id }) => id),
      stop: () => places.stop(),
    };
  },
});

const redis = (settings: { stream: string } | { key: string[]; prefix: string }): Kind => ({
  name: 'stream' in settings ? 'Redis, a stream with markers' : 'Redis, by key',
  lost: LOST_BY_CONNECTOR / 2,
  missing: () => missingProgram('redis-server'),
  start: async () => {
    const server = await TestRedis.start();
    return {
      ability: 'stream' in settings ? 'commitOnce' : 'put',
      commit: 'canary',
      place: async () => {
        const proxy = await openCutProxy({ target: server.server });
        return { proxy, sink: server.sink(settings, { port: proxy.port }) };
      },
      held: async () =>
        'stream' in settings
          ? (await server.entries(settings.stream)).map(({ data }) => idOf(data!))
          : [...(await server.texts(settings.prefix)).values()].map(idOf),
      stop: () => server.stop(),
    };
  },
});

const nats: Kind = {
  name: 'NATS, a stream that knows a message again',
  lost: LOST_BY_CONNECTOR,
  missing: () => missingProgram('nats-server'),
  start: async () => {
    const server = await TestNats.start();
    await server.stream('lost', { duplicate_window: 600_000_000_000 });
    return {
      ability: 'appendOnce',
      commit: 'canary',
      place: async () => {
        const proxy = await openCutProxy({ target: server.server });
        const connection = { servers: [`127.0.0.1:${proxy.port}`] };
        return { proxy, sink: server.sink({ stream: 'lost', subject: 'lost' }, connection) };
      },
      held: async () => (await server.messages('lost')).map(idOf),
      stop: () => server.stop(),
    };
  },
};

const s3: Kind = {
  name: 'S3, an object that is written once',
  lost: LOST_BY_CONNECTOR,
  missing: cephMissing,
  start: async () => {
    const gateway = await startCeph();
    const places = await S3Places.open(gateway);
    return {
      ability: 'commitOnce',
      commit: 'PUT /',
      place: async () => {
        const place = await places.place();
        return { proxy: place.proxy, sink: place.sink({ path: 'of-{{ window }}-{{ batch }}.ndjson' }) };
      },
      held: async () => await idsInBucket(places),
      stop: async () => {
        places.client.destroy();
        await gateway.stop();
      },
    };
  },
};

async function idsInBucket(places: S3Places): Promise<readonly number[]> {
  const ids: number[] = [];
  const pages = sdk.paginateListObjectsV2({ client: places.client }, { Bucket: 'plain' });
  for await (const { Contents = [] } of pages) {
    const texts = await Promise.all(
      Contents.map(async ({ Key = '' }) => {
        const { Body } = await places.client.send(new sdk.GetObjectCommand({ Bucket: 'plain', Key }));
        return (await Body!.transformToString()).trim().split('\n');
      }),
    );
    for (const text of texts.flat()) ids.push(idOf(text));
  }
  return ids;
}

const KINDS: readonly Kind[] = [
  postgres('commitOnce'),
  postgres('put'),
  redis({ stream: 'lost' }),
  redis({ key: ['id'], prefix: 'lost:' }),
  nats,
  s3,
];

const CUTS: readonly Pick<Cut, 'side' | 'at' | 'act'>[] = [
  { side: 'request', at: 0, act: 'close' },
  { side: 'answer', at: 0, act: 'reset' },
  { side: 'request', at: 0, act: 'reset' },
  { side: 'answer', at: 0, act: 'close' },
];

let subject: Subject | undefined;
let open: readonly Place[] = [];
afterEach(async () => {
  for (const { sink, proxy } of open) {
    await sink.close?.();
    await proxy.close();
  }
  open = [];
  await subject?.stop();
  subject = undefined;
});

/** Loses the answer of a batch's first attempt, and lets the second one find out: true when the first was applied. */
async function loseOne({ sink, proxy }: Place, { ability, commit }: Subject, nth: number): Promise<boolean> {
  const records = [2 * nth, 2 * nth + 1].map((id) => ({ id, name: `canary ${id}` }));
  const about = { records, batch: nth + 1 };
  const made = proxy.made.length;
  proxy.set([{ ...CUTS[nth % CUTS.length]!, when: { holds: commit }, times: 1 }]);
  const error = await thrownBy(sink.can[ability]!(testPermit(about)));
  proxy.set([]);
  expect(proxy.made.length, `batch ${nth}: its answer was lost`).toBe(made + 1);
  expect(error, `batch ${nth}`).toBeInstanceOf(WaybillError);
  expect(error, `batch ${nth}`).not.toBeInstanceOf(RefusedError);
  return (await sink.can[ability]!(testPermit({ ...about, attempt: 2 }))) === 'already';
}

describe('G11: commits whose answer is lost', () => {
  it.for(KINDS)(
    'to $name, $lost of them: each is found out, and every record is there once',
    { timeout: 600_000 },
    async ({ name, lost, missing, start }, { skip }) => {
      const reason = missing();
      skip(reason !== undefined, reason);
      const one = await start();
      subject = one;
      open = await Promise.all(Array.from({ length: SENDERS }, () => one.place()));
      let already = 0;
      await Promise.all(
        open.map(async (place, sender) => {
          for (let nth = sender; nth < lost; nth += SENDERS) if (await loseOne(place, one, nth)) already++;
        }),
      );
      const held = [...(await one.held())].sort((a, b) => a - b);
      expect(held).toEqual(Array.from({ length: 2 * lost }, (_, id) => id));
      tellFigure('G11', `answers lost: ${name}`, lost, `${already} batches were in already`);
    },
  );
});
