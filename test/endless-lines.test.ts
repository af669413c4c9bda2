import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MIB = 1024 * 1024;
const LINE = 700 * MIB;
/** A record may have 16 MiB, is copied when its end is looked for, and Node itself takes a part. */
const RSS_MAX = 256 * MIB;
const BUILD = resolve(import.meta.dirname, '../build');

/** Reads files in a process of its own, as `waybill run` would, and says how large that process ever was. */
const READER = `
import { readFileSync } from 'node:fs';
const [build, folder, settings, pulled] = process.argv.slice(1);
const { files } = await import(build + '/connectors/files/config.js');
const { openContext } = await import(build + '/testing/peer/open-context.js');
const parsed = files.source.settings.parse(JSON.parse(settings));
const source = files.source.open(files.connection.parse({ root: folder }), parsed, openContext());
const never = new AbortController().signal;
const pull = pulled === 'true' ? { pull: { downloads: folder, taken: async () => new Set() } } : {};
const found = { ids: [], rejects: [], messages: [], rest: [] };
const recordsOf = (chunk) => Array.from({ length: chunk.count }, (_, at) =>
  JSON.parse(Buffer.from(chunk.bytes.subarray(chunk.spans[at * 2], chunk.spans[at * 2 + 1])).toString()));
const numbersOf = (chunk) => recordsOf(chunk).map((one) => one.id ?? one);
let first;
for await (const chunk of source.read({ window: { name: 'all' }, parameters: {}, ...pull }, never)) {
  found.ids.push(...numbersOf(chunk));
  found.rejects.push(...(chunk.rejects ?? []).map(({ code }) => code));
  found.messages.push(...(chunk.rejects ?? []).map(({ message }) => message));
  if (chunk.rejects !== undefined) first ??= chunk.end;
}
const kib = /VmHWM:\\s*(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1];
if (first !== undefined) {
  for await (const chunk of source.read({ window: { name: 'all' }, parameters: {}, ...pull, from: first }, never)) {
    found.rest.push(...numbersOf(chunk), ...(chunk.rejects ?? []).map(({ code }) => code));
  }
}
process.stdout.write(JSON.stringify({ ...found, rss: Number(kib) * 1024 }));
`;

interface Found {
  readonly ids: readonly number[];
  readonly rejects: readonly string[];
  readonly messages: readonly string[];
  /** What reading on from behind the long record brings. */
  readonly rest: readonly unknown[];
  readonly rss: number;
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-endless-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function reading(settings: Record<string, unknown>, pulled = false): Promise<Found> {
  const given = [BUILD, folder, JSON.stringify({ settleSeconds: 0, ...settings }), String(pulled)];
  const child = spawn(process.execPath, ['--input-type=module', '-e', READER, ...given]);
  let [out, said] = ['', ''];
  child.stdout.on('data', (piece) => (out += piece));
  child.stderr.on('data', (piece) => (said += piece));
  return new Promise((done, failed) => {
    child.on('close', () => (said === '' ? done(JSON.parse(out) as Found) : failed(new RangeError(said))));
  });
}

function* long(before: string, after: string): Generator<Buffer> {
  yield Buffer.from(before);
  const piece = Buffer.alloc(MIB, 'x');
  for (let at = 0; at < LINE; at += MIB) yield piece;
  yield Buffer.from(after);
}

describe('a record without an end', () => {
  it.each([
    ['a line of NDJSON', 'a.ndjson.gz', '{"id":1}\n{"id":"', '"}\n{"id":3}\n'],
    ['a row of CSV', 'a.csv.gz', 'id\n1\n', '\n3\n'],
    ['a quoted field of CSV', 'b.csv.gz', 'id\n1\n"', '"\n3\n'],
    ['an element of a JSON document', 'a.json.gz', '[{"id":1},{"id":"', '"},{"id":3}]'],
    ['what stands before the records', 'b.json.gz', '{"meta":"', '","rows":[{"id":1},{"id":3}]}'],
  ])('is not kept in memory, and what follows it is read: %s', async (_what, name, before, after) => {
    await pipeline(Readable.from(long(before, after)), createGzip({ level: 1 }), createWriteStream(join(folder, name)));
    const found = await reading({ path: name, ...(before.startsWith('{"meta') ? { recordsAt: 'rows' } : {}) });
    expect(found.ids).toEqual([1, 3]);
    for (const message of found.messages) expect(message).toMatch(/longer than 16777216 bytes; raise `recordBytesMax`/);
    expect(found.rejects).toEqual(before.startsWith('{"meta') ? [] : ['RECORD_TOO_LARGE']);
    // Lines that are dropped end a chunk; elements of a document come with what follows them.
    expect(found.rest).toEqual(/ndjson|csv/.test(name) ? [3] : []);
    expect(found.rss, String(found.rss / MIB)).toBeLessThan(RSS_MAX);
  });

  it('is not kept in memory where lines are added to a file', async () => {
    const path = join(folder, 'a.ndjson');
    await pipeline(Readable.from(long('{"id":1}\n{"id":"', '"}\n{"id":3}\n')), createWriteStream(path));
    const found = await reading({ path: 'a.ndjson', pullBy: 'offset' }, true);
    expect(found.ids).toEqual([1, 3]);
    expect(found.rejects).toEqual(['RECORD_TOO_LARGE']);
    expect(found.rest).toEqual([3]);
    // It is read in larger pieces than what is unpacked, and when their memory is given back is Node's to decide.
    expect(found.rss, String(found.rss / MIB)).toBeLessThan(RSS_MAX * 1.5);
    writeFileSync(path, '');
  });
});
