import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openWaybill } from '../src/app/open.ts';
import type { PullOutcome, Waybill } from '../src/app/waybill.ts';
import { memoryStore } from '../src/connectors/memory/store.ts';
import { TestNats } from './nats.ts';
import { TestRedis } from './redis.ts';
import { missingProgram } from './server.ts';
import { rowOf, TAP, TestTap } from './singer/tap.ts';

vi.setConfig({ testTimeout: 120_000 });

/** A flow that pulls from some stream into a table in memory. */
class Pulling {
  readonly #folder = mkdtempSync(join(tmpdir(), 'waybill-pulled-'));
  readonly #store = this.#folder;
  #open: Waybill | undefined;
  readonly notices: string[] = [];

  constructor(connection: object, source: object, strategy = 'ledgered-append') {
    const flow = {
      version: 1,
      connections: { stream: connection, memory: { type: 'memory', store: this.#store } },
      flows: {
        events: {
          window: 'pull',
          source: { connection: 'stream', onReject: 'skip', ...source },
          sink: { connection: 'memory', table: 'out', strategy },
        },
      },
    };
    writeFileSync(join(this.#folder, 'waybill.yaml'), JSON.stringify(flow));
  }

  async waybill(): Promise<Waybill> {
    this.#open ??= await openWaybill({ cwd: this.#folder, env: {} });
    return this.#open;
  }

  async pull(more: { force?: boolean } = {}): Promise<PullOutcome> {
    const never = new AbortController().signal;
    const signals = { stop: never, abort: never };
    const notice = ({ kind, message }: { kind: string; message: string }) => this.notices.push(`${kind}: ${message}`);
    return await (await this.waybill()).pull('events', { signals, notice, ...more });
  }

  /** What has arrived, by a column. */
  arrived(column: string): readonly unknown[] {
    return memoryStore(this.#store)
      .table('out')
      .records.map((record) => record[column]);
  }

  async position(): Promise<Record<string, unknown>> {
    const [found] = await (await this.waybill()).positions('events');
    return JSON.parse(found!.position.value) as Record<string, unknown>;
  }

  async close(): Promise<void> {
    await this.#open?.close();
    rmSync(this.#folder, { recursive: true });
  }
}

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function pulling(connection: object, source: object, strategy?: string): Pulling {
  const made = new Pulling(connection, source, strategy);
  closing.push(() => made.close());
  return made;
}

const windows = ({ runs }: PullOutcome) => runs.map(({ run }) => `${run.window.name} ${run.state}`);

/** What a person does whom the error tells how to go on. */
async function goOnAsTold(pull: Pulling, kind: string): Promise<void> {
  const error = await pull.pull().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'SOURCE_TRIMMED' });
  const value = /--value '([^']+)'/.exec((error as { hint: string }).hint)![1]!;
  const waybill = await pull.waybill();
  await waybill.setPosition('events', 'stream', { sourceName: 'stream', kind, value });
}

describe('a flow that pulls from a stream of NATS', () => {
  const missing = missingProgram('nats-server');
  beforeEach(({ skip }) => skip(missing !== undefined, missing));

  it('F06: brings each message once over many pulls, and stops where some were removed unread', async () => {
    const nats = await TestNats.start();
    closing.push(() => nats.stop());
    await nats.stream('ORDERS', { subjects: ['orders.>'] });
    const publish = async (...ids: number[]) => {
      for (const id of ids) nats.connection.publish(`orders.${id % 2}`, JSON.stringify({ id }));
      await nats.connection.flush();
    };
    const pull = pulling(
      { type: 'nats', servers: [`127.0.0.1:${nats.server.port}`] },
      { stream: 'ORDERS', key: ['id'], columns: { seq: 'sequence', about: 'subject' } },
    );
    await publish(1, 2, 3);
    expect(windows(await pull.pull())).toEqual(['pull-000001 complete']);
    expect(await pull.pull()).toMatchObject({ runs: [], look: { kind: 'unchanged' } });
    await publish(4, 5);
    expect(windows(await pull.pull())).toEqual(['pull-000002 complete']);
    expect(pull.arrived('id')).toEqual([1, 2, 3, 4, 5]);
    expect(pull.arrived('about').slice(0, 2)).toEqual(['orders.1', 'orders.0']);
    await publish(6, 7, 8);
    const manager = await jetstreamManager(nats.connection);
    await manager.streams.purge('ORDERS', { seq: 8 });
    const before = await pull.position();
    await expect(pull.pull()).rejects.toMatchObject({ code: 'SOURCE_TRIMMED', ids: { lost: '6-7' } });
    expect(await pull.position()).toEqual(before);
    await goOnAsTold(pull, 'waybill/seq');
    expect((await pull.pull()).runs).toHaveLength(1);
    expect(pull.arrived('id')).toEqual([1, 2, 3, 4, 5, 8]);
    // Made anew: nothing is taken in, and nothing moves.
    await manager.streams.delete('ORDERS');
    await nats.stream('ORDERS', { subjects: ['orders.>'] });
    await publish(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    await expect(pull.pull()).rejects.toMatchObject({ code: 'SOURCE_REPLACED' });
    expect([(await pull.position()).seq, pull.arrived('id').length]).toEqual([8, 6]);
  });
});

describe('a stream that lost its first events, written under keys', () => {
  const events = { key: ['id'] };
  const expectLost = async (
    pull: Pulling,
    first: readonly unknown[],
    all: readonly unknown[],
    lose: () => Promise<void>,
  ) => {
    expect(windows(await pull.pull())).toEqual(['pull-000001 complete']);
    expect(pull.notices.join('\n')).toMatch(
      /begins-late: .*not in the stream .*nobody has read from it before.* begins at 3/,
    );
    expect(pull.arrived('id').map(String)).toEqual(first);
    await lose();
    await goOnAsTold(pull, 'waybill/seq');
    expect((await pull.pull()).runs).toHaveLength(1);
    expect(pull.arrived('id').map(String)).toEqual(all);
    expect(pull.notices.filter((said) => said.startsWith('begins-late'))).toHaveLength(1);
  };

  it('P31: is reported by the first pull from NATS, and stops a later one', async ({ skip }) => {
    skip(missingProgram('nats-server') !== undefined, missingProgram('nats-server'));
    const nats = await TestNats.start();
    closing.push(() => nats.stop());
    await nats.stream('ORDERS', { subjects: ['orders'] });
    const publish = async (...ids: number[]) => {
      for (const id of ids) nats.connection.publish('orders', JSON.stringify({ id }));
      await nats.connection.flush();
    };
    const manager = await jetstreamManager(nats.connection);
    await publish(1, 2, 3, 4);
    await manager.streams.purge('ORDERS', { seq: 3 });
    const connection = { type: 'nats', servers: [`127.0.0.1:${nats.server.port}`] };
    await expectLost(
      pulling(connection, { stream: 'ORDERS', ...events }, 'keyed'),
      ['3', '4'],
      ['3', '4', '7'],
      async () => {
        await publish(5, 6, 7);
        await manager.streams.purge('ORDERS', { seq: 7 });
      },
    );
  });

  it('P31: is reported by the first pull from Redis, and stops a later one', async ({ skip }) => {
    skip(missingProgram('redis-server') !== undefined, missingProgram('redis-server'));
    const redis = await TestRedis.start();
    closing.push(() => redis.stop());
    const add = async (...ids: number[]) => {
      for (const id of ids) await redis.ask('XADD', 'orders', `${id}-0`, 'id', String(id));
    };
    await add(1, 2, 3, 4);
    await redis.ask('XTRIM', 'orders', 'MINID', '3');
    const connection = { type: 'redis', host: '127.0.0.1', port: redis.server.port };
    await expectLost(
      pulling(connection, { stream: 'orders', ...events }, 'keyed'),
      ['3', '4'],
      ['3', '4', '7'],
      async () => {
        await add(5, 6, 7);
        await redis.ask('XTRIM', 'orders', 'MINID', '7');
      },
    );
  });
});

describe('a flow that pulls from a stream of Redis', () => {
  const missing = missingProgram('redis-server');
  beforeEach(({ skip }) => skip(missing !== undefined, missing));

  it('F06: brings each entry once over many pulls, and stops where some were trimmed unread', async () => {
    const redis = await TestRedis.start();
    closing.push(() => redis.stop());
    const add = async (...ids: number[]) => {
      for (const id of ids) await redis.ask('XADD', 'orders', `${id}-0`, 'id', String(id));
    };
    const connection = { type: 'redis', host: '127.0.0.1', port: redis.server.port };
    const pull = pulling(connection, { stream: 'orders', key: ['id'], whenNone: 'empty' });
    expect(await pull.pull()).toMatchObject({ runs: [], look: { kind: 'unchanged' } });
    await add(1, 2, 3);
    expect(windows(await pull.pull())).toEqual(['pull-000001 complete']);
    await add(4);
    await redis.ask('XTRIM', 'orders', 'MAXLEN', '1');
    expect(windows(await pull.pull())).toEqual(['pull-000002 complete']);
    expect(await pull.pull()).toMatchObject({ runs: [], look: { kind: 'unchanged' } });
    await add(5, 6, 7);
    await redis.ask('XTRIM', 'orders', 'MINID', '7');
    const before = await pull.position();
    await expect(pull.pull()).rejects.toMatchObject({ code: 'SOURCE_TRIMMED', ids: { lost: 2 } });
    expect(await pull.position()).toEqual(before);
    await goOnAsTold(pull, 'waybill/seq');
    expect((await pull.pull()).runs).toHaveLength(1);
    expect(pull.arrived('id')).toEqual(['1', '2', '3', '4', '7']);
  });
});

describe('a flow that pulls from a tap', () => {
  const missing = missingProgram('python3');
  beforeEach(({ skip }) => skip(missing !== undefined, missing));

  const tapOf = (count: number) => {
    const tap = new TestTap(Array.from({ length: count }, (_, at) => rowOf(at + 1)));
    closing.push(() => tap.remove());
    return tap;
  };
  const connectionOf = (tap: TestTap, config: object = {}) => ({
    type: 'singer',
    command: ['python3', TAP],
    config: { rows: tap.rows, ...config },
  });

  it('F01: keeps the bookmark of the tap with the records before it, and leaves no trace of a tail', async () => {
    const tap = tapOf(10);
    const acts = [{ at: 9, exit: 1, log: 'the far end went away\n' }];
    const pull = pulling(connectionOf(tap, { every: 3, acts }), { key: ['id'], stream: 'items' });
    await expect(pull.pull()).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('the far end went away'),
    });
    // The records before the bookmark came in one piece with the tail: none of it is kept, and nothing moves.
    const waybill = await pull.waybill();
    const kept = pull.arrived('id').length;
    const [stands] = await waybill.positions('events');
    expect(stands === undefined ? 0 : (JSON.parse(stands.position.value) as { last: number }).last).toBe(kept);
    expect([0, 3, 6]).toContain(kept);
  });

  it('F06: gives the tap the bookmark of the pull before', async () => {
    const tap = tapOf(4);
    const pull = pulling(connectionOf(tap, { every: 2 }), { key: ['id'], stream: 'items' });
    expect(windows(await pull.pull())).toEqual(['pull-000001 complete']);
    tap.grow([rowOf(5), rowOf(6)]);
    expect(windows(await pull.pull())).toEqual(['pull-000002 complete']);
    await pull.pull();
    expect([pull.arrived('id'), await pull.position()]).toEqual([[1, 2, 3, 4, 5, 6], { last: 6 }]);
  });

  it('F13: does not read a tap again that gives no bookmark, unless it is forced to', async () => {
    const tap = tapOf(3);
    const pull = pulling(connectionOf(tap, { every: 0, final: false }), { key: ['id'], stream: 'items' });
    await pull.pull();
    expect(await pull.pull()).toMatchObject({ runs: [], look: { kind: 'uncacheable' } });
    expect(pull.arrived('id')).toEqual([1, 2, 3]);
    await pull.pull({ force: true });
    expect(pull.arrived('id')).toEqual([1, 2, 3, 1, 2, 3]);
  });
});
