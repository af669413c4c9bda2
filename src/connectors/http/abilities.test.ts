import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { type ApiPeer, openApiPeer } from '../../testing/peer/api-peer.ts';
import type { Behaviour } from '../../testing/peer/behaviour.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { type TestPermitOptions, testPayload, testPermit } from '../../testing/permit.ts';
import type { Permit, Sink } from '../connector.ts';
import { http } from './config.ts';

const { ports } = openContext();
let peer: ApiPeer;
let sink: Sink;
afterEach(async () => {
  await sink.close?.();
  await peer.close();
});

async function open(behaviour: Partial<Behaviour>, settings: Record<string, unknown>): Promise<void> {
  peer = await openApiPeer(behaviour);
  const config = http.sink!.settings.parse({ path: '/v1/records', receipt: { shape: 'none' }, ...settings });
  sink = http.sink!.open(http.connection.parse({ url: peer.url }), config, openContext());
}

const permitOf = (options: TestPermitOptions): Permit => testPermit({ framing: sink.accepts[0]!, ...options });
const people = (...ids: string[]) => ids.map((id) => ({ id, name: `n-${id}` }));

describe('an idempotency key', () => {
  const rule = { header: 'idempotency-key', horizonMs: 60_000, storesErrors: false };
  const settings = { idempotencyKey: { horizon: '24h' } };

  it('travels with every attempt, so that a repeat after a lost answer is applied once', async () => {
    await open({ idempotency: rule, faults: [{ when: { nth: [1] }, answer: 'close', apply: 'all' }] }, settings);
    await expect(sink.can.appendOnce!(permitOf({ records: people('a') }))).rejects.toThrow(WaybillError);
    const verdict = await sink.can.appendOnce!(permitOf({ records: people('a'), attempt: 2 }));
    expect([...verdict.outcomes]).toEqual([1]);
    expect(peer.received).toHaveLength(2);
    expect(peer.records()).toHaveLength(1);
    expect(sink.facts.key).toEqual({ horizonMs: 86_400_000, storesErrors: false });
  });

  it('leaves a doubt while the first request is still running', async () => {
    await open({ idempotency: rule, delayMs: 200 }, settings);
    const first = sink.can.appendOnce!(permitOf({ records: people('a') }));
    while (peer.received.length === 0) await ports.sleep(5);
    const second = sink.can.appendOnce!(permitOf({ records: people('a'), attempt: 2 }));
    await expect(second).rejects.toThrow('still running');
    expect([...(await first).outcomes]).toEqual([1]);
  });

  it('stops the lane once the API has said that it ignores the key', async () => {
    const confirm = { name: 'Idempotency-Status', value: 'ignored' };
    const confirmHeader = { name: 'Idempotency-Status', ignored: 'ignored' };
    await open(
      { idempotency: { ...rule, ignored: true, confirm } },
      { idempotencyKey: { horizon: '1h', confirmHeader } },
    );
    await sink.can.appendOnce!(permitOf({ records: people('a') }));
    const next = sink.can.appendOnce!(permitOf({ records: people('b'), batch: 2 }));
    await expect(next).rejects.toSatisfy((error) => error instanceof NotAppliedError && error.sinkAway);
    expect(peer.received).toHaveLength(1);
  });
});

describe('a look-up', () => {
  type Records = TestPermitOptions['records'];
  const batch = (records: Records) => permitOf({ records }).batch;
  const bytes = (records: Records) => testPayload({ records, framing: sink.accepts[0]! });
  const append = (records: Records) => sink.can.append!(permitOf({ records }));
  const find = (records: Records) => sink.can.find!(batch(records), bytes(records));

  it.each([
    ['by many ids at once', { path: '/records?ids={{ ids }}', recordId: 'id', results: 'results', idsPerRequest: 2 }],
    ['by one id a request', { path: '/records/{{ id }}', recordId: 'id' }],
    ['by ids in a body', { path: '/lookup', method: 'POST', recordId: 'id', results: 'results' }],
    ['by the batch', { path: '/records?batch={{ batch.idempotencyKey }}', recordId: 'id', results: 'results' }],
  ])('%s tells what is there and what is not', async (_how, lookup) => {
    await open({ faults: [{ answer: 'close', apply: 'half' }] }, { lookup });
    const records = people('a', 'b/../c', 'd e', 'f');
    await expect(append(records)).rejects.toThrow(WaybillError);
    const found = await find(records);
    expect(found.records).toEqual(['applied', 'applied', 'absent', 'absent']);
    expect(found.evidence).toContain('2 found, 2 absent, 0 unclear');
    expect(found.evidence).not.toContain('d e');
  });

  it('speaks JSON even where batches are lines', async () => {
    const lookup = { path: '/lookup', method: 'POST', recordId: 'id', results: 'results' };
    await open({}, { lookup, body: 'ndjson' });
    await append(people('a'));
    expect(peer.received[0]?.headers['content-type']).toBe('application/x-ndjson');
    expect((await find(people('a', 'b'))).records).toEqual(['applied', 'absent']);
  });

  it('does not call a record absent when the answer has further pages', async () => {
    const lookup = {
      path: '/records?batch={{ batch.idempotencyKey }}',
      recordId: 'id',
      results: 'results',
      more: 'next',
    };
    await open({}, { lookup, batch: { maxRecords: 150 } });
    const records = Array.from({ length: 120 }, (_, at) => ({ id: `r-${at}` }));
    await append(records);
    const found = await find(records);
    expect(found.records.filter((one) => one === 'applied')).toHaveLength(100);
    expect(found.records.filter((one) => one === 'unknown')).toHaveLength(20);
  });

  it('declares how long a record may stay out of sight, because within that time it looks absent', async () => {
    const lookup = { path: '/records?ids={{ ids }}', recordId: 'id', results: 'results', visibilityLag: '600ms' };
    await open({ visibilityLagMs: 500 }, { lookup });
    const records = people('a');
    await append(records);
    expect((await find(records)).records).toEqual(['absent']);
    await ports.sleep(sink.facts.visibilityLagMs!);
    expect((await find(records)).records).toEqual(['applied']);
  });

  it('decides records that share an id only when all or none of them are found', async () => {
    const lookup = { path: '/records?ids={{ ids }}', recordId: 'id', results: 'results' };
    await open({ faults: [{ when: { nth: [1] }, answer: 'close', apply: 'half' }] }, { lookup });
    const twins = people('a', 'a');
    await expect(append(twins)).rejects.toThrow(WaybillError);
    expect((await find(twins)).records).toEqual(['unknown', 'unknown']);
    await append(twins);
    expect((await find(twins)).records).toEqual(['applied', 'applied']);
  });

  it('asks for ids with all of their digits, and reads them so', async () => {
    const asked: string[] = [];
    const api = createServer(({ url = '' }, response) => {
      asked.push(url);
      response.end('{"results":[{"id":9007199254740992},{"id":9007199254740995},{"id":0.12345678901234567890}]}');
    });
    await new Promise<void>((listening) => api.listen(0, '127.0.0.1', listening));
    await open({}, { lookup: { path: '/records?ids={{ ids }}', recordId: 'id', results: 'results' } });
    try {
      const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
      const lookup = { path: '/records?ids={{ ids }}', recordId: 'id', results: 'results' };
      const config = http.sink!.settings.parse({ path: '/v1/records', receipt: { shape: 'none' }, lookup });
      sink = http.sink!.open(http.connection.parse({ url }), config, openContext());
      const found = await find(['{"id":9007199254740993}', '{"id":9007199254740995}', '{"id":".."}']);
      // An API that rounds its ids gives one that nobody asked for, and means one that somebody did.
      expect(found.records).toEqual(['unknown', 'applied', 'unknown']);
      expect(asked).toEqual(['/records?ids=9007199254740993%2C9007199254740995']);
    } finally {
      api.close();
    }
  });

  it('finds nothing out when the API does not answer as declared', async () => {
    await open({}, { lookup: { path: '/elsewhere?ids={{ ids }}', recordId: 'id', results: 'results' } });
    await expect(find(people('a'))).rejects.toSatisfy(
      (error) => error instanceof WaybillError && error.code === 'SINK_FAILED',
    );
  });
});

describe('an upsert', () => {
  it('replaces what has the same key, so sending a batch twice changes nothing', async () => {
    await open({ upsertKey: 'id' }, { upsert: true });
    await sink.can.put!(permitOf({ records: people('a', 'b') }));
    await sink.can.put!(permitOf({ records: people('a', 'b'), attempt: 2 }));
    expect(peer.received).toHaveLength(2);
    expect(peer.records()).toEqual(people('a', 'b'));
  });

  it('puts one record under its own key, whatever the key holds', async () => {
    await open({ upsertKey: 'id' }, { upsert: { path: '/items/{{ key }}', key: 'id' }, body: 'single' });
    expect(sink.limits.recordsPerBatch).toBe(1);
    expect(sink.can.append).toBeUndefined();
    await sink.can.put!(permitOf({ records: people('a/b?c') }));
    expect(peer.received[0]).toMatchObject({
      method: 'PUT',
      path: '/items/a%2Fb%3Fc',
      body: '{"id":"a/b?c","name":"n-a/b?c"}',
    });
  });

  it('keeps every digit of a key: two long numbers are two records', async () => {
    await open({ upsertKey: 'id' }, { upsert: { path: '/items/{{ key }}', key: 'id' }, body: 'single' });
    for (const batch of [2, 3]) {
      await sink.can.put!(permitOf({ records: [`{"id":900719925474099${batch}}`], batch }));
    }
    expect(peer.received.map(({ path }) => path)).toEqual(['/items/9007199254740992', '/items/9007199254740993']);
  });

  it.each(['..', 'a\ud800'])('refuses a record whose key cannot stand in an address: %j', async (id) => {
    await open({}, { upsert: { path: '/items/{{ key }}', key: 'id' }, body: 'single' });
    const sending = sink.can.put!(permitOf({ records: [{ id }] }));
    await expect(sending).rejects.toMatchObject({ reason: 'key-unfit', about: 'content' });
    expect(peer.received).toHaveLength(0);
  });

  it('sends nothing for a record without a key', async () => {
    await open({}, { upsert: { path: '/items/{{ key }}', key: 'id' }, body: 'single' });
    const sending = sink.can.put!(permitOf({ records: [{ name: 'x' }] }));
    await expect(sending).rejects.toBeInstanceOf(RefusedError);
    expect(peer.received).toHaveLength(0);
  });
});

describe('an asynchronous job (Klaviyo)', () => {
  const job = {
    create: { path: '/jobs', handle: 'data.id' },
    upload: { path: '/jobs/{{ handle }}/data' },
    complete: { path: '/jobs/{{ handle }}/complete' },
    state: {
      path: '/jobs/{{ handle }}',
      status: 'data.attributes.status',
      empty: ['open'],
      running: ['queued', 'processing'],
      done: ['complete'],
      failed: ['cancelled'],
      receipt: {
        shape: 'counts',
        applied: 'data.attributes.completed_count',
        refused: 'data.attributes.failed_count',
        total: 'data.attributes.total_count',
      },
    },
    errors: {
      path: '/jobs/{{ handle }}/errors',
      receipt: {
        shape: 'echoed-record',
        path: 'data',
        record: 'attributes.original_payload',
        code: 'attributes.code',
        error: 'attributes.detail',
      },
    },
  };
  const settings = { receipt: undefined, job };
  const reject = [{ path: 'id', values: ['b'], code: 'INVALID', message: 'bad profile' }];
  const needsComplete = { job: { processMs: 60, needsComplete: true } };

  async function ended(handle: string, permit: Permit) {
    for (;;) {
      const state = await sink.can.job!.state(handle, permit.batch);
      if (state !== 'running') return state;
      await ports.sleep(10);
    }
  }

  it('U11: a job with counts and a list of errors marks exactly the refused records', async () => {
    await open({ ...needsComplete, reject }, settings);
    const permit = permitOf({ records: people('a', 'b', 'c') });
    const handle = await sink.can.job!.open(permit);
    expect(await sink.can.job!.state(handle, permit.batch)).toBe('empty');
    expect(peer.received).toHaveLength(0);
    await sink.can.job!.send(handle, permit);
    expect(await sink.can.job!.state(handle, permit.batch)).toBe('running');
    const verdict = await ended(handle, permit);
    expect(verdict).toMatchObject({ refusals: [{ index: 1, code: 'INVALID', message: 'bad profile' }] });
    expect(verdict).toMatchObject({ outcomes: new Uint8Array([1, 2, 1]), receipt: { reference: `job ${handle}` } });
  });

  it('finds out by its handle what became of data whose answer was lost', async () => {
    const faults = [{ answer: 'close', apply: 'all' } as const];
    await open({ job: { processMs: 0, needsComplete: false }, faults }, settings);
    const permit = permitOf({ records: people('a', 'b') });
    const handle = await sink.can.job!.open(permit);
    await expect(sink.can.job!.send(handle, permit)).rejects.toSatisfy(
      (error) => error instanceof WaybillError && error.code === 'SINK_FAILED',
    );
    expect(await ended(handle, permit)).toMatchObject({ outcomes: new Uint8Array([1, 1]) });
  });

  it('after a restart, ties no error to a record that it cannot see', async () => {
    await open({ job: { processMs: 0, needsComplete: false }, reject }, settings);
    const permit = permitOf({ records: people('a', 'b') });
    const handle = await sink.can.job!.open(permit);
    await sink.can.job!.send(handle, permit);
    await sink.close?.();
    const config = http.sink!.settings.parse({ job });
    sink = http.sink!.open(http.connection.parse({ url: peer.url }), config, openContext());
    expect(await ended(handle, permit)).toMatchObject({ outcomes: new Uint8Array([3, 3]) });
  });

  it('of a cancelled job believes only its counts', async () => {
    await open({ job: { processMs: 0, needsComplete: false, endsAs: 'cancelled' }, reject }, settings);
    const mixed = permitOf({ records: people('a', 'b') });
    const first = await sink.can.job!.open(mixed);
    await sink.can.job!.send(first, mixed);
    expect(await ended(first, mixed)).toMatchObject({ outcomes: new Uint8Array([1, 2]) });
  });

  it('says for how long it is to be left alone', async () => {
    const faults = [{ answer: { status: 429, headers: { 'retry-after': '7' } } }];
    await open({ job: { processMs: 0, needsComplete: false }, faults }, settings);
    const permit = permitOf({ records: people('a') });
    const sent = sink.can.job!.send(await sink.can.job!.open(permit), permit);
    await expect(sent).rejects.toMatchObject({ retryAfterMs: 7000, message: expect.stringContaining('7 s') });
  });

  it('says that nothing was sent when no job could be made', async () => {
    await open({}, { receipt: undefined, job: { ...job, create: { path: '/nowhere', handle: 'data.id' } } });
    await expect(sink.can.job!.open(permitOf({ records: people('a') }))).rejects.toBeInstanceOf(NotAppliedError);
  });
});
