import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fileBytes } from './open-file.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'waybill-unspoilt-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const PIECE = 1024 * 1024;
const lines = (letter: string, bytes: number): string => `${letter.repeat(99)}\n`.repeat(Math.ceil(bytes / 100));
const OLD = lines('a', 3 * PIECE);

/** What comes of a file to which `meanwhile` happens when its first piece has been read. */
async function readWhile(name: string, content: string | Uint8Array, meanwhile: (path: string) => void) {
  const path = join(root, name);
  writeFileSync(path, content);
  utimesSync(path, 1, 1);
  let [text, first] = ['', true];
  for await (const bytes of fileBytes(root, { name, path }, { inflatedBytesMax: 1e9 })) {
    text += Buffer.from(bytes).toString('latin1');
    if (first) meanwhile(path);
    first = false;
  }
  return text;
}

describe('a file of lines, to which something happens while it is read,', () => {
  it.each<[string, (path: string) => void, RegExp]>([
    ['emptied', (path) => truncateSync(path, 0), /has become shorter/],
    ['cut off in what was read', (path) => truncateSync(path, 1000), /has become shorter/],
    ['cut off in what was not', (path) => truncateSync(path, 2 * PIECE), /has become shorter/],
    ['written anew, shorter', (path) => writeFileSync(path, lines('b', PIECE)), /has become shorter/],
    ['written anew, as long', (path) => writeFileSync(path, OLD.replaceAll('a', 'b')), /was written to/],
    ['written anew, longer', (path) => writeFileSync(path, lines('b', 5 * PIECE)), /was written to/],
    ['added half a line to', (path) => appendFileSync(path, 'half'), /last line was not whole/],
  ])('is not read as one where it is %s', async (_what, meanwhile, says) => {
    const reading = readWhile('a.csv', OLD, meanwhile);
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_FAILED', message: expect.stringMatching(says) });
  });

  it.each<[string, (path: string) => void, string]>([
    ['left alone', () => undefined, OLD],
    ['added lines to', (path) => appendFileSync(path, 'more\n'), `${OLD}more\n`],
    [
      'replaced under its name',
      (path) => {
        writeFileSync(`${path}.new`, 'other\n');
        renameSync(`${path}.new`, path);
      },
      OLD,
    ],
    [
      'written anew behind what was read',
      (path) => writeFileSync(path, `${OLD.slice(0, -1)}bb\n`),
      `${OLD.slice(0, -1)}bb\n`,
    ],
    ['taken away', (path) => rmSync(path), OLD],
  ])('is read as one where it is %s', async (_what, meanwhile, wanted) => {
    expect((await readWhile('a.csv', OLD, meanwhile)) === wanted).toBe(true);
  });

  it('may end without a line end where nobody has written to it', async () => {
    expect(await readWhile('a.csv', 'a\n1', () => undefined)).toBe('a\n1');
  });
});

describe('a packed file, to which something happens while it is read,', () => {
  const packed = gzipSync(OLD, { level: 0 });

  it('is not read as one where others stand in its place', async () => {
    const anew = gzipSync(OLD.replaceAll('a', 'b'), { level: 0 });
    const reading = readWhile('a.csv.gz', packed, (path) => writeFileSync(path, anew));
    // By its checksum, where that is met first.
    await expect(reading).rejects.toThrow();
  });

  it('is read to what was added', async () => {
    const text = await readWhile('a.csv.gz', packed, (path) => appendFileSync(path, gzipSync('more\n')));
    expect([`${OLD}more\n`.length, OLD.length]).toContain(text.length);
    expect(readFileSync(join(root, 'a.csv.gz')).length).toBeGreaterThan(packed.length);
  });
});
