import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createGzip, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type DocumentPeer, openDocumentPeer, type PeerServe } from '../src/testing/peer/document-peer.ts';
import { zipOf } from '../src/testing/peer/zip.ts';

const MIB = 1024 * 1024;
const RSS_MAX = 256 * MIB;
const BUILD = resolve(import.meta.dirname, '../build');

/** Reads a source in a process of its own, as `waybill run` would, and says how large that process ever was. */
const READER = `
import { readFileSync } from 'node:fs';
const [build, url, downloads, settings] = process.argv.slice(1);
const { http } = await import(build + '/connectors/http/config.js');
const { openContext } = await import(build + '/testing/peer/open-context.js');
const parsed = http.source.settings.parse(JSON.parse(settings));
const source = http.source.open(http.connection.parse({ url }), parsed, openContext());
const range = { window: { name: 'p' }, parameters: {}, pull: { downloads, taken: async () => new Set() } };
const found = { records: 0, rejects: 0, ends: 0 };
try {
  await source.pulls.look(range, new AbortController().signal);
  for await (const chunk of source.read(range, new AbortController().signal)) {
    found.records += chunk.count;
    found.rejects += chunk.rejects?.length ?? 0;
    if (chunk.end !== undefined) found.ends += 1;
  }
} catch (error) {
  found.code = error.code;
}
await source.close?.();
const kib = /VmHWM:\\s*(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1];
process.stdout.write(JSON.stringify({ ...found, rss: Number(kib) * 1024 }));
`;

interface Reading {
  readonly records: number;
  readonly rejects: number;
  readonly ends: number;
  readonly code?: string;
  readonly rss: number;
}

let folder: string;
let peer: DocumentPeer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-bombs-'));
  peer = await openDocumentPeer();
});
afterAll(async () => {
  await peer.close();
  rmSync(folder, { recursive: true, force: true });
});

function reading(settings: Record<string, unknown>): Promise<Reading> {
  const downloads = mkdtempSync(join(folder, 'd-'));
  const args = ['--input-type=module', '-e', READER, BUILD, peer.url, downloads, JSON.stringify(settings)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (text: Buffer) => {
    said.stdout += text.toString();
  });
  child.stderr.on('data', (text: Buffer) => {
    said.stderr += text.toString();
  });
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('close', () => {
      if (said.stdout.startsWith('{')) done(JSON.parse(said.stdout) as Reading);
      else fail(new Error(`the reader said nothing: ${said.stderr}`));
    });
  });
}

/** What many zeros, or many lines, become when they are packed, without ever being in memory as a whole. */
async function packed(piece: Uint8Array, times: number): Promise<Buffer> {
  const gzip = createGzip({ level: 9 });
  const out: Buffer[] = [];
  gzip.on('data', (bytes: Buffer) => out.push(bytes));
  for (let nth = 0; nth < times; nth++) {
    if (!gzip.write(piece)) await new Promise((resolve) => gzip.once('drain', resolve));
  }
  await new Promise((resolve) => gzip.once('end', resolve).end());
  return Buffer.concat(out);
}

/** Sends these bytes over and over, in chunks, as fast as they are taken. */
const endless =
  (piece: Buffer, times: number): PeerServe =>
  (_request, response) => {
    response.writeHead(200);
    let left = times;
    const more = (): void => {
      while (left-- > 0) if (!response.write(piece)) return void response.once('drain', more);
      response.end();
    };
    more();
    return undefined;
  };

const built = existsSync(join(BUILD, 'connectors/http/config.js'));
const missing = existsSync('/proc/self/status') ? (built ? undefined : 'build is not there') : 'there is no /proc here';
beforeEach(({ skip }) => skip(missing !== undefined, missing));

describe('a document that unpacks to more than it should', () => {
  it('keeps the process under 256 MiB when half a MiB holds 512 MiB of zeros, wherever that is told', async () => {
    const bomb = await packed(new Uint8Array(MIB), 512);
    expect(bomb.length).toBeLessThan(MIB);
    peer.put('/o.csv', { body: bomb, headers: { 'content-encoding': 'gzip' } });
    peer.put('/o.csv.gz', { body: bomb });
    peer.put('/twice.csv', { body: gzipSync(bomb), headers: { 'content-encoding': 'gzip' } });
    for (const path of ['/o.csv', '/o.csv.gz', '/twice.csv']) {
      const found = await reading({ path });
      expect(found, path).toMatchObject({ code: 'SOURCE_INVALID', records: 0, ends: 0 });
      expect(found.rss, path).toBeLessThan(RSS_MAX);
    }
  });

  it('keeps the process under 256 MiB when a zip holds it, denies it, or has files share their bytes', async () => {
    const content = Buffer.alloc(200 * MIB);
    peer.put('/plain.zip', { body: zipOf([{ name: 'a.csv', content }]) });
    peer.put('/lies.zip', { body: zipOf([{ name: 'a.csv', content, claims: { bytes: 100 } }]) });
    const many = Array.from({ length: 900 }, (_, nth) => ({ name: `${nth}.csv`, content: 'id\n1\n' }));
    peer.put('/shared.zip', { body: zipOf(many, { overlapping: true }) });
    for (const path of ['/plain.zip', '/lies.zip', '/shared.zip']) {
      const found = await reading({ path });
      expect(found, path).toMatchObject({ code: 'SOURCE_INVALID', records: 0, ends: 0 });
      expect(found.rss, path).toBeLessThan(RSS_MAX);
    }
  });

  it('keeps the process under 256 MiB over a record, or a page, that does not end', async () => {
    const letters = Buffer.alloc(MIB, 'x');
    peer.put('/line.ndjson', endless(letters, 300));
    const line = await reading({ path: '/line.ndjson' });
    expect(line).toMatchObject({ records: 0, rejects: 1, ends: 1 });
    expect(line.rss).toBeLessThan(RSS_MAX);
    peer.put('/pages.json', endless(letters, 300));
    const page = await reading({ path: '/pages.json', pages: { by: 'page' } });
    expect(page).toMatchObject({ code: 'SOURCE_INVALID', ends: 0 });
    expect(page.rss).toBeLessThan(RSS_MAX);
  });

  it('keeps the process under 256 MiB over a document that is meant: 256 MiB of lines, densely packed', async () => {
    const lines = Array.from({ length: 200 }, (_, id) => `{"id":${id},"text":"${randomBytes(40).toString('hex')}"}\n`);
    const piece = Buffer.from(lines.join(''));
    const times = Math.ceil((256 * MIB) / piece.length);
    const body = await packed(piece, times);
    expect((piece.length * times) / body.length).toBeGreaterThan(50);
    peer.put('/dense.ndjson.gz', { body, etag: '"v"' });
    const found = await reading({ path: '/dense.ndjson.gz' });
    expect(found).toMatchObject({ records: 200 * times, ends: 1 });
    expect(found.rss).toBeLessThan(RSS_MAX);
  });
});
