import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request as ask } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { type ApiPeer, openApiPeer } from './api-peer.ts';
import { type Behaviour, FaultPlan } from './behaviour.ts';

let peer: ApiPeer;
afterEach(() => peer.close());

async function open(behaviour: Partial<Behaviour>): Promise<void> {
  peer = await openApiPeer(behaviour);
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const reply = await ask(peer.url + path, {
    method: 'POST',
    body: text,
    headers: { 'content-type': 'application/json', ...headers },
  });
  return { status: reply.statusCode, text: await reply.body.text() };
}

const people = [{ id: 1 }, { id: 2 }, { id: 3 }];

describe('a peer', () => {
  it('keeps every record of every request, equal ones as often as they came', async () => {
    await open({});
    await post('/v1', people);
    await post('/v1', people);
    await post('/v1', '{"id":4}\n{"id":5}\n', { 'content-type': 'application/x-ndjson' });
    expect(peer.records()).toHaveLength(8);
    expect(peer.received.map((one) => [one.nth, one.applied, one.answered])).toEqual([
      [1, 3, true],
      [2, 3, true],
      [3, 2, true],
    ]);
  });

  it('applies half and dies, applies and dies, or dies and applies nothing', async () => {
    await open({});
    for (const [apply, kept] of [
      ['half', 1],
      ['all', 4],
      ['none', 4],
    ] as const) {
      peer.set({ faults: [{ answer: 'close', apply }] });
      await expect(post('/v1', people)).rejects.toThrow();
      expect(peer.records()).toHaveLength(kept);
    }
    expect(peer.received.every((one) => !one.answered)).toBe(true);
  });

  it('applies late: after it has answered with an error', async () => {
    await open({ faults: [{ answer: { status: 504 }, apply: { laterMs: 40 } }] });
    expect((await post('/v1', people)).status).toBe(504);
    expect(peer.records()).toHaveLength(0);
    while (peer.records().length === 0) await pause(5);
    expect(peer.records()).toEqual(people);
  });

  it('remembers idempotency keys: a repeat, one with other content, one still running, one too old', async () => {
    const rule = { header: 'idempotency-key', horizonMs: 500, storesErrors: false };
    await open({ idempotency: rule, shape: 'counts', delayMs: 150 });
    const key = { 'idempotency-key': 'k' };
    const [first, running] = await Promise.all([
      post('/v1', people, key),
      pause(40).then(() => post('/v1', people, key)),
    ]);
    expect([first.status, running?.status]).toEqual([200, 409]);
    expect((await post('/v1', people, key)).text).toBe(first.text);
    expect((await post('/v1', [{ id: 9 }], key)).status).toBe(422);
    expect(peer.records()).toHaveLength(3);
    await pause(510);
    await post('/v1', people, key);
    expect(peer.records()).toHaveLength(6);
  });

  it('stores an error under its key only when it is told to', async () => {
    const key = { 'idempotency-key': 'k' };
    for (const [storesErrors, wanted] of [
      [true, 500],
      [false, 200],
    ] as const) {
      await open({
        shape: 'counts',
        idempotency: { header: 'idempotency-key', horizonMs: 1e4, storesErrors },
        faults: [{ answer: { status: 500 }, times: 1 }],
      });
      expect((await post('/v1', people, key)).status).toBe(500);
      expect((await post('/v1', people, key)).status).toBe(wanted);
      if (storesErrors) await peer.close();
    }
  });

  it('can be watched and told what to do from outside', async () => {
    await open({});
    await post('/v1', people);
    const behaviour = { faults: [{ answer: { status: 503 } }] };
    await post('/_peer/behaviour', behaviour);
    expect((await post('/v1', people)).status).toBe(503);
    const records = JSON.parse((await (await ask(`${peer.url}/_peer/records`)).body.text()) as string);
    expect(records).toHaveLength(3);
    const received = JSON.parse((await (await ask(`${peer.url}/_peer/received`)).body.text()) as string);
    expect(received.map((one: { status: number }) => one.status)).toEqual([204, 503]);
  });
});

describe('a plan of faults', () => {
  it('meets requests by number, by share, by record and at most so many times', async () => {
    await open({});
    const hit = (plan: FaultPlan, nth: number) => (plan.pick({ nth, path: '/v1', records: people }) ? 1 : 0);
    const hits = (plan: FaultPlan, count: number) =>
      Array.from({ length: count }, (_, at) => hit(plan, at + 1)).join('');
    expect(hits(new FaultPlan([{ when: { nth: [2, 4] }, answer: 'close' }]), 5)).toBe('01010');
    expect(hits(new FaultPlan([{ when: { every: 3 }, answer: 'close' }]), 6)).toBe('001001');
    expect(hits(new FaultPlan([{ when: { from: 3 }, times: 2, answer: 'close' }]), 6)).toBe('001100');
    expect(hits(new FaultPlan([{ when: { record: { path: 'id', values: [9] } }, answer: 'close' }]), 2)).toBe('00');
    const share = hits(new FaultPlan([{ when: { rate: 0.3, seed: 7 }, answer: 'close' }]), 2000);
    expect(share.split('1').length - 1).toBeGreaterThan(500);
    expect(share.split('1').length - 1).toBeLessThan(700);
    expect(hits(new FaultPlan([{ when: { rate: 0.3, seed: 7 }, answer: 'close' }]), 2000)).toBe(share);
  });
});

describe('a peer in a process of its own', () => {
  it('has written every record before it answers, so that a kill loses nothing of its truth', async () => {
    await open({});
    const folder = mkdtempSync(join(tmpdir(), 'waybill-peer-'));
    const log = join(folder, 'log.ndjson');
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const args = ['--import', 'jiti/register', main, '--log', log, '--config', '{"shape":"counts"}'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const url = await new Promise<string>((found) =>
      child.stdout.once('data', (bytes: Buffer) => found(String(bytes).trim())),
    );
    const send = () =>
      ask(`${url}/v1`, {
        method: 'POST',
        body: JSON.stringify(people),
        headers: { 'content-type': 'application/json', 'x-waybill-batch': 'b-1' },
      });
    await (await send()).body.text();
    child.kill('SIGKILL');
    await new Promise((ended) => child.once('exit', ended));
    const lines = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toEqual(people.map((record) => ({ nth: 1, batch: 'b-1', applied: true, record })));
    rmSync(folder, { recursive: true });
  });
});
