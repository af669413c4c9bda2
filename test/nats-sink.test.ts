import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kvm } from '@nats-io/kv';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Sink } from '../src/connectors/connector.ts';
import { NotAppliedError, RefusedError } from '../src/model/errors.ts';
import { testPermit } from '../src/testing/permit.ts';
import { TestNats } from './nats.ts';
import { thrownBy } from './postgres-place.ts';
import { missingProgram } from './server.ts';

const missing = missingProgram('nats-server');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

let nats: TestNats;
let name: string;
const sinks: Sink[] = [];
const folder = mkdtempSync(join(tmpdir(), 'waybill-nats-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(async () => {
  if (missing === undefined) nats = await TestNats.start();
});
beforeEach(() => {
  name = nats?.name() ?? '';
});
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close!();
});
afterAll(() => nats?.stop());

const open = (settings: Record<string, unknown>, connection = {}, secrets = {}): Sink => {
  const sink = nats.sink(settings, connection, secrets);
  sinks.push(sink);
  return sink;
};
let batch = 0;
const permit = (...records: (object | string)[]) => testPermit({ records, batch: ++batch });
const big = (id: number) => ({ id, text: 'x'.repeat(2_000_000) });

describe('a bucket of NATS', () => {
  it('P27: holds the same keys for the same input from every process, and a second write replaces', async () => {
    await nats.bucket(name);
    const settings = { bucket: name, key: ['team', 'id'], prefix: 'members.' };
    for (const sink of [open(settings), open(settings)]) {
      await sink.can.put!(permit({ team: 'a.b ü', id: 1 }, { team: '', id: '=' }, { team: 'a', id: 9.5 }));
      await sink.can.put!(permit('{"team":"a","id":9.50,"v":2}'));
    }
    expect(Object.fromEntries(await nats.texts(name))).toEqual({
      'members.a=2Eb=20=C3=BC.1': '{"team":"a.b ü","id":1}',
      'members.=.=3D': '{"team":"","id":"="}',
      'members.a.9=2E5': '{"team":"a","id":9.50,"v":2}',
    });
  });

  it('holds the last of several records of one batch, as one revision, and each counts as put', async () => {
    const kv = await nats.bucket(name, { history: 5 });
    const verdict = await open({ bucket: name, key: ['id'] }).can.put!(permit({ id: 1 }, { id: 2 }, { id: 1, v: 2 }));
    expect([...verdict.outcomes]).toEqual([1, 1, 1]);
    expect((await kv.get('1'))!.string()).toBe('{"id":1,"v":2}');
    expect((await kv.status()).values).toBe(2);
  });

  it('refuses the record that is too large for the server, for the bucket, or has no key, and no other', async () => {
    await nats.bucket(name, { maxValueSize: 100 });
    const sink = open({ bucket: name, key: ['id'] });
    const verdict = await sink.can.put!(
      permit({ id: 1 }, big(2), { id: 3, text: 'x'.repeat(200) }, { no: 4 }, { id: 5 }),
    );
    expect([...verdict.outcomes]).toEqual([1, 2, 2, 2, 1]);
    expect(verdict.refusals).toMatchObject([
      { index: 1, code: 'max-payload', retryable: false },
      { index: 2, code: '10054', retryable: false },
      { index: 3, code: 'key-missing', message: /"id"/ },
    ]);
    expect([...(await nats.texts(name)).keys()].sort()).toEqual(['1', '5']);
  });

  it('refuses the record whose key is longer than a line of the server, and takes one that just fits', async () => {
    await nats.bucket(name);
    const longest = 'k'.repeat(4000 - `$KV.${name}.`.length);
    const sink = open({ bucket: name, key: ['id'] });
    const verdict = await sink.can.put!(
      permit({ id: 1 }, { id: longest }, { id: `${longest}k` }, { id: 'ü'.repeat(700) }),
    );
    expect([...verdict.outcomes]).toEqual([1, 1, 2, 2]);
    expect(verdict.refusals).toMatchObject([
      { index: 2, code: 'key-too-long', retryable: false },
      { index: 3, code: 'key-too-long' },
    ]);
    expect([...(await nats.texts(name)).keys()].sort()).toEqual(['1', longest]);
  });

  it('is made where that is asked for, and otherwise missed before anything is sent', async () => {
    const error = await thrownBy(open({ bucket: name, key: ['id'] }).can.put!(permit({ id: 1 })));
    expect(error).toBeInstanceOf(RefusedError);
    expect(error).toMatchObject({ about: 'request', hint: /Make the stream or the bucket/ });
    const sink = open({ bucket: name, key: ['id'], create: { history: 3, ttlSeconds: 600 } });
    await sink.can.put!(permit({ id: 1 }));
    const status = await (await new Kvm(nats.connection).open(name)).status();
    expect(status).toMatchObject({ history: 3, ttl: 600_000, values: 1 });
  });

  it('is a sink that is away while no server is there, and is written to when it is back', async () => {
    const other = await TestNats.start();
    try {
      await other.bucket('members');
      const sink = other.sink({ bucket: 'members', key: ['id'] });
      await sink.can.put!(permit({ id: 1 }));
      await other.kill();
      const first = await thrownBy(sink.can.put!(permit({ id: 2 })));
      // An idle connection that ended is noticed when the news arrives; until then a byte may have left.
      if (!(first instanceof NotAppliedError)) expect(first).toMatchObject({ code: 'SINK_FAILED' });
      const error = await thrownBy(sink.can.put!(permit({ id: 2 })));
      expect(error).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true });
      await other.again();
      await sink.can.put!(permit({ id: 2 }));
      expect([...(await other.texts('members')).keys()].sort()).toEqual(['1', '2']);
      await sink.close!();
    } finally {
      await other.stop();
    }
  });

  it('is not made with replicas that the server cannot have, which is told at once', async () => {
    const error = await thrownBy(
      open({ bucket: name, key: ['id'], create: { replicas: 3 } }).can.put!(permit({ id: 1 })),
    );
    expect(error).toMatchObject({ about: 'request', message: /replicas > 1 not supported/, hint: /`create`/ });
  });
});

describe('a stream of NATS', () => {
  const settings = () => ({ stream: name, subject: name });

  it('gets nothing where it acknowledges nothing: all that is sent would be there and in doubt', async () => {
    await nats.stream(name, { no_ack: true });
    const error = await thrownBy(open(settings()).can.appendOnce!(permit({ n: 1 })));
    expect(error).toMatchObject({ reason: 'no-ack', about: 'request', message: /acknowledges nothing/ });
    expect(await nats.messages(name)).toEqual([]);
  });

  it('recognises the messages of a batch for as long as is promised, or nothing is sent', async () => {
    await nats.stream(name, { duplicate_window: 60e9 });
    const error = await thrownBy(open(settings()).can.appendOnce!(permit({ n: 1 })));
    expect(error).toMatchObject({ reason: 'duplicate-window', about: 'request', message: /after 60000 ms/ });
    const sink = open({ ...settings(), duplicateWindowSeconds: 60 });
    expect(sink.facts.key).toEqual({ horizonMs: 60_000, storesErrors: false });
    const sent = testPermit({ records: [{ n: 1 }, { n: 2 }], batch: ++batch });
    for (const attempt of [1, 2, 3]) {
      const verdict = await sink.can.appendOnce!({ ...sent, attempt });
      expect([...verdict.outcomes]).toEqual([1, 1]);
    }
    expect(await nats.messages(name)).toEqual(['{"n":1}', '{"n":2}']);
  });

  it('recognises them after the server was killed and started again', async () => {
    const other = await TestNats.start();
    try {
      await other.stream('facts');
      const sent = testPermit({ records: [{ n: 1 }, { n: 2 }], batch: ++batch });
      const sink = other.sink({ stream: 'facts', subject: 'facts' });
      await sink.can.appendOnce!(sent);
      await sink.close!();
      await other.kill();
      await other.again();
      const again = other.sink({ stream: 'facts', subject: 'facts' });
      expect(await again.can.appendOnce!({ ...sent, attempt: 2 })).toMatchObject({ refusals: [] });
      await again.close!();
      expect(await other.messages('facts')).toEqual(['{"n":1}', '{"n":2}']);
    } finally {
      await other.stop();
    }
  });

  it('that is full takes what fits, and the rest is tried later', async () => {
    await nats.stream(name, { max_msgs: 2, discard: 'new' });
    const sink = open(settings());
    const verdict = await sink.can.appendOnce!(permit({ n: 1 }, { n: 2 }, { n: 3 }));
    expect([...verdict.outcomes]).toEqual([1, 1, 2]);
    expect(verdict.refusals).toMatchObject([{ index: 2, code: '10077', retryable: true }]);
    const error = await thrownBy(sink.can.appendOnce!(permit({ n: 4 })));
    expect(error).toMatchObject({ code: 'NOT_APPLIED', sinkAway: true, hint: /full/ });
    expect(await nats.messages(name)).toEqual(['{"n":1}', '{"n":2}']);
  });

  it('that does not take the subject gets nothing, whoever else takes it', async () => {
    await nats.stream(name);
    const nobody = await thrownBy(open({ stream: name, subject: `${name}.other` }).can.appendOnce!(permit({ n: 1 })));
    expect(nobody).toMatchObject({ code: 'NOT_APPLIED', ids: { code: 'no-responders' } });
    const other = nats.name();
    await nats.stream(other);
    const another = await thrownBy(open({ stream: name, subject: other }).can.appendOnce!(permit({ n: 1 })));
    expect(another).toMatchObject({ code: 'REFUSED', about: 'request', reason: '10060' });
    expect([await nats.messages(name), await nats.messages(other)]).toEqual([[], []]);
  });

  it('of which the account has no more room is tried later', async () => {
    const config = join(folder, 'account.conf');
    writeFileSync(
      config,
      `jetstream { max_file_store: 1GB }
      accounts { A { jetstream { max_file: 3000 }, users: [{ user: a, password: a }] } }
      no_auth_user: a\n`,
    );
    const other = await TestNats.start(['--config', config]);
    try {
      await other.stream('small');
      const sink = other.sink({ stream: 'small', subject: 'small' });
      const many = Array.from({ length: 60 }, (_, n) => ({ n, text: 'x'.repeat(100) }));
      const verdict = await sink.can.appendOnce!(permit(...many));
      const held = await other.messages('small');
      expect(held.length).toBeLessThan(60);
      expect([...verdict.outcomes].filter((one) => one === 1)).toHaveLength(held.length);
      expect(new Set(verdict.refusals.map(({ code, retryable }) => `${code} ${retryable}`))).toEqual(
        new Set(['10002 true']),
      );
      await sink.close!();
    } finally {
      await other.stop();
    }
  });
});

describe('a connection to NATS', () => {
  let guarded: TestNats;
  const config = join(folder, 'users.conf');
  const users = `[{ user: admin, password: admin }, { user: few, password: secret-canary,
    permissions: { publish: ["$JS.API.>"], subscribe: ["_INBOX.>"] } }]`;
  beforeAll(async () => {
    if (missing !== undefined) return;
    writeFileSync(config, `authorization { users: ${users} }\n`);
    guarded = await TestNats.start(['--config', config], { user: 'admin', pass: 'admin' });
    await guarded.stream('facts');
  });
  afterAll(() => guarded?.stop());
  const as = (user: string, password: string) =>
    guarded.sink({ stream: 'facts', subject: 'facts' }, { user, password: 'env:P' }, { 'env:P': password });

  it('of a user with a wrong password is refused as a request, and no message holds the password', async () => {
    const sink = as('few', 'wrong-canary');
    const error = await thrownBy(sink.can.appendOnce!(permit({ n: 1 })));
    expect(error).toMatchObject({ code: 'REFUSED', about: 'request', reason: 'authorization' });
    expect(String(error)).not.toContain('canary');
    await sink.close!();
  });

  it('of a user who may not publish to the subject has proved that nothing was applied', async () => {
    const sink = as('few', 'secret-canary');
    const error = await thrownBy(sink.can.appendOnce!(permit({ n: 1 }, { n: 2 })));
    expect(error).toMatchObject({ code: 'REFUSED', about: 'request', reason: 'permission' });
    await sink.close!();
    expect(await guarded.messages('facts')).toEqual([]);
    const admin = as('admin', 'admin');
    await admin.can.appendOnce!(permit({ n: 1 }));
    await admin.close!();
    expect(await guarded.messages('facts')).toEqual(['{"n":1}']);
  });
});
