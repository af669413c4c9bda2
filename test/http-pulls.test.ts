import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openWaybill } from '../src/app/open.ts';
import type { PullOutcome } from '../src/app/waybill.ts';
import { type DocumentPeer, openDocumentPeer, type PeerDocument } from '../src/testing/peer/document-peer.ts';
import { start } from './hard/processes.ts';

/** Flows that pull from a server of this test. What is killed is a process of the command line. */
let folder: string;
let peer: DocumentPeer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-http-pulls-'));
  peer = await openDocumentPeer();
});
afterEach(async () => {
  await peer.close();
  rmSync(folder, { recursive: true, force: true });
});

function flow(source: string): void {
  writeFileSync(
    join(folder, 'waybill.yaml'),
    `
version: 1
connections:
  web: { type: http, url: "${peer.url}" }
  out: { type: files, root: out }
flows:
  feed:
    window: pull
    source: { connection: web, key: [id], ${source} }
    sink: { connection: out, strategy: ledgered-append, path: "{{ window }}.ndjson" }
`,
  );
}

const call = (...words: string[]) => start({ folder, env: process.env }, words);
const never = new AbortController().signal;
const notices: string[] = [];

/** One pull, in this process: as `waybill run` does it. */
async function well(more: { readonly force?: boolean } = {}): Promise<PullOutcome> {
  const waybill = await openWaybill({ cwd: folder, env: {} });
  try {
    const signals = { stop: never, abort: never };
    const outcome = await waybill.pull('feed', { signals, notice: ({ kind }) => notices.push(kind), ...more });
    expect(outcome.runs.map(({ run }) => run.state)).toEqual(outcome.runs.map(() => 'complete'));
    return outcome;
  } finally {
    await waybill.close();
  }
}

/** The ids of everything that was delivered, in the order of the pulls. */
function delivered(): readonly number[] {
  const out = join(folder, 'out');
  if (!existsSync(out)) return [];
  return readdirSync(out)
    .filter((name) => name.endsWith('.ndjson'))
    .sort()
    .flatMap((name) => readFileSync(join(out, name), 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map((line) => Number((JSON.parse(line) as { id: unknown }).id));
}

/** A part of a batch may stand there, also half a line: what is being appended is to be seen, and not to be parsed. */
function begun(): boolean {
  const out = join(folder, 'out');
  return existsSync(out) && readdirSync(out).some((name) => statSync(join(out, name)).size > 0);
}

/** Kills a run at a moment, and resolves with how it ended: -1 when the kill came before the end. */
async function killed(reached: () => boolean, laterMs: number): Promise<number> {
  for (;;) {
    const job = call('run', 'feed', '--lease', '1s');
    let over = false;
    void job.ended.then(() => {
      over = true;
    });
    while (!over && !reached()) await pause(1);
    await pause(laterMs);
    job.kill('SIGKILL');
    const { status } = await job.ended;
    // The one before it was killed, and its lease has not run out yet.
    if (status !== LEASE_HELD) return status;
    await pause(100);
  }
}

/** Run until nothing is in the way any more. */
const finished = () =>
  expect.poll(() => call('run', 'feed').ended.then(({ status }) => status), { timeout: 60_000 }).toBe(0);

const LEASE_HELD = 6;
const csv = (...ids: number[]): string => `id,name\n${ids.map((id) => `${id},n${id}\n`).join('')}`;
const upTo = (last: number): number[] => Array.from({ length: last }, (_, nth) => nth + 1);
const downloads = (): readonly string[] => {
  const root = join(folder, '.waybill/downloads');
  return existsSync(root) ? readdirSync(root) : [];
};

describe('a flow that pulls a document', () => {
  it('F03: reads it once, asks by its ETag after that, and an unchanged one costs one request', async () => {
    peer.put('/o.csv', { body: csv(1, 2), etag: '"v1"' });
    flow('path: /o.csv');
    await well();
    expect(delivered()).toEqual([1, 2]);
    const before = readdirSync(join(folder, '.waybill'), { recursive: true }).length;
    await well();
    await well();
    expect(peer.asked.map(({ status }) => status)).toEqual([200, 304, 304]);
    expect(readdirSync(join(folder, 'out'))).toHaveLength(1);
    expect(readdirSync(join(folder, '.waybill'), { recursive: true }).length).toBeLessThanOrEqual(before);
    peer.put('/o.csv', { body: csv(3), etag: '"v2"' });
    await well();
    expect(delivered()).toEqual([1, 2, 3]);
  });

  it('F04: asks by the time of its last change where there is no ETag', async () => {
    peer.put('/o.csv', { body: csv(1), lastModified: 'Sun, 06 Nov 1994 08:49:37 GMT' });
    flow('path: /o.csv');
    await well();
    await well();
    expect(peer.asked.map(({ status, headers }) => [status, headers['if-modified-since']])).toEqual([
      [200, undefined],
      [304, 'Sun, 06 Nov 1994 08:49:37 GMT'],
    ]);
  });

  it('F13: does not read one without either again unless it is forced to', async () => {
    peer.put('/o.csv', { body: csv(1) });
    flow('path: /o.csv');
    await well();
    expect(await well()).toMatchObject({ runs: [], look: { kind: 'uncacheable' } });
    expect(peer.asked).toHaveLength(1);
    peer.put('/o.csv', { body: csv(1, 2) });
    await well({ force: true });
    expect(delivered()).toEqual([1, 1, 2]);
  });

  it('F07: moves the state over an ETag that flaps, and delivers nothing twice', async () => {
    flow('path: /o.csv');
    for (const etag of ['"a"', '"b"', '"c"']) {
      peer.put('/o.csv', { body: csv(1, 2), etag });
      await well();
    }
    expect(delivered()).toEqual([1, 2]);
    expect(peer.asked.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"a"', '"b"']);
  });

  it.each<[string, PeerDocument, string, number]>([
    ['missing', { status: 404 }, 'SOURCE_MISSING', 5],
    ['gone', { status: 410 }, 'SOURCE_GONE', 2],
    ['denied', { status: 403 }, 'SOURCE_DENIED', 2],
    ['not to be had now', { status: 503, headers: { 'retry-after': '7' } }, 'SOURCE_AWAY', 5],
    ['elsewhere', { status: 302, headers: { location: 'http://169.254.169.254/' } }, 'SOURCE_REDIRECTED', 2],
  ])('says what to do about one that is %s, and stays where it was', async (_name, document, code, exit) => {
    peer.put('/o.csv', { body: csv(1), etag: '"v1"' });
    flow('path: /o.csv');
    await well();
    peer.put('/o.csv', document);
    await expect(well()).rejects.toMatchObject({ code, exitCode: exit });
    expect(readdirSync(join(folder, 'out'))).toHaveLength(1);
    peer.put('/o.csv', { body: csv(2), etag: '"v2"' });
    await well();
    expect(peer.asked.at(-1)!.headers['if-none-match']).toBe('"v1"');
    expect(delivered()).toEqual([1, 2]);
  });

  it('F17: loses and repeats nothing when it is killed at any moment, and downloads it once', async () => {
    const body = csv(...upTo(60_000));
    peer.put('/o.csv', { body, etag: '"v1"' });
    flow('path: /o.csv');
    const whole = () => downloads().some((name) => name.endsWith('.json'));
    const moments: readonly [() => boolean, number][] = [
      [() => downloads().some((name) => name.endsWith('.part')), 0],
      [whole, 0],
      [whole, 20],
      [whole, 60],
      [whole, 150],
      [begun, 0],
    ];
    let bodies: number | undefined;
    for (const [reached, laterMs] of moments) {
      const asked = peer.asked.length;
      const ended = await killed(() => peer.asked.length > asked && reached(), laterMs);
      // Where the poll came too late to see the download, what was made of it is seen.
      if (whole() || begun()) bodies ??= peer.asked.filter(({ status }) => status === 200).length;
      if (ended === 0) break;
    }
    await finished();
    expect(delivered()).toEqual(upTo(60_000));
    // From the moment on that the download was whole nothing of it was sent again.
    expect(peer.asked.filter(({ status }) => status === 200)).toHaveLength(bodies!);
    await well();
    expect(peer.asked.at(-1)).toMatchObject({ status: 304, headers: { 'if-none-match': '"v1"' } });
  }, 120_000);
});

describe('a flow that pulls what is numbered', () => {
  it('F06: goes on after the last number, also after it was killed in between', async () => {
    let head = 40;
    peer.put('/head', () => ({ body: String(head) }));
    peer.put('*', (request, response) => {
      const number = Number(/^\/blocks\/(\d+)$/.exec(request.url ?? '')?.[1]);
      setTimeout(() => response.end(`[{"id":${number}}]`), 5);
      response.writeHead(200, { 'content-type': 'application/json' });
      return undefined;
    });
    flow('path: "/blocks/{{ number }}", sequence: { head: { path: /head }, first: 1 }');
    for (const moment of [5, 25]) {
      const asked = peer.asked.length;
      expect(await killed(() => peer.asked.length > asked + moment, 0)).toBe(-1);
    }
    await finished();
    expect(delivered()).toEqual(upTo(40));
    head = 43;
    await well();
    expect(delivered()).toEqual(upTo(43));
    head = 30;
    notices.length = 0;
    expect(await well()).toMatchObject({ runs: [], look: { kind: 'unchanged' } });
    expect(notices).toEqual(['head-went-back']);
    expect(delivered()).toEqual(upTo(43));
  }, 120_000);
});
