import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import type { RandomAccess } from '../formats/parquet/read.ts';
import { zipOf } from '../testing/peer/zip.ts';
import { zipBytes, zipEntries } from './zip.ts';

const LIMITS = { entriesMax: 10, inflatedBytesMax: 64 * 1024 * 1024 };

const accessTo = (bytes: Uint8Array): RandomAccess => ({
  size: bytes.length,
  read: async (start, end) => Uint8Array.from(bytes.subarray(start, end)).buffer,
});

async function unpacked(bytes: Uint8Array, limits = LIMITS): Promise<Record<string, string>> {
  const file = accessTo(bytes);
  const found: Record<string, string> = {};
  for (const entry of await zipEntries(file, 'a.zip', limits)) {
    const pieces: Uint8Array[] = [];
    for await (const piece of zipBytes(file, 'a.zip', entry, limits)) pieces.push(piece);
    found[entry.name] = Buffer.concat(pieces).toString();
  }
  return found;
}

const LONG = 'line\n'.repeat(200_000);

describe('a zip', () => {
  it.each([
    ['plain', {}],
    ['with a comment', { comment: 'PK\u0005\u0006 is no end here' }],
    ['with lengths of eight bytes', { large: true }],
  ])('%s gives its files in the order of their names', async (_name, shape) => {
    const zip = zipOf(
      [
        { name: 'b.csv', content: LONG },
        { name: 'folder/', content: '', stored: true },
        { name: 'a.csv', content: 'stored', stored: true },
        { name: 'empty.csv', content: '' },
      ],
      shape,
    );
    expect(Object.entries(await unpacked(zip))).toEqual([
      ['a.csv', 'stored'],
      ['b.csv', LONG],
      ['empty.csv', ''],
    ]);
  });

  it('that was cut short anywhere is refused', async () => {
    const zip = zipOf([
      { name: 'a.csv', content: 'one two three' },
      { name: 'b.csv', content: 'four' },
    ]);
    for (let length = 0; length < zip.length; length++) {
      await expect(unpacked(zip.subarray(0, length)), `${length} bytes`).rejects.toMatchObject({
        code: 'SOURCE_INVALID',
      });
    }
  });

  it.each([
    ['another checksum', { crc: 7 }, 'checksum'],
    ['more bytes than it has', { bytes: 14 }, 'less of a.csv'],
    ['fewer bytes than it has', { bytes: 3 }, 'more of a.csv'],
    ['encryption', { flags: 1 }, 'encrypted'],
    ['a method that nobody knows', { method: 93 }, 'method 93'],
  ])('whose directory claims %s is refused', async (_name, claims, message) => {
    await expect(unpacked(zipOf([{ name: 'a.csv', content: 'one two three', claims }]))).rejects.toThrow(message);
  });

  it('whose files share their bytes is refused', async () => {
    const part = { name: 'a.csv', content: LONG };
    const zip = zipOf([part, { ...part, name: 'b.csv' }], { overlapping: true });
    await expect(unpacked(zip)).rejects.toThrow('in the same bytes');
  });

  it('with more files, or more in them, than allowed is refused before anything is unpacked', async () => {
    const parts = Array.from({ length: 11 }, (_, nth) => ({ name: `${nth}.csv`, content: 'x' }));
    await expect(unpacked(zipOf(parts))).rejects.toThrow('11 files');
    const zip = zipOf([{ name: 'a.csv', content: LONG }]);
    await expect(unpacked(zip, { ...LIMITS, inflatedBytesMax: 999_999 })).rejects.toThrow('1000000 bytes');
  });

  it('that is packed more densely than text can be is refused, whatever its directory says', async () => {
    const bomb = Buffer.alloc(40 * 1024 * 1024);
    await expect(unpacked(zipOf([{ name: 'a.csv', content: bomb }]))).rejects.toThrow('when it is unpacked');
    await expect(unpacked(zipOf([{ name: 'a.csv', content: bomb, claims: { bytes: 10 } }]))).rejects.toThrow('more of');
  });
});
