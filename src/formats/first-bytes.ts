import { WaybillError } from '../model/errors.ts';

const PACKED: readonly (readonly [readonly number[], string, string])[] = [
  [[0x1f, 0x8b], 'gzip', 'Files that are named `.gz` are unpacked: name it so.'],
  [[0x28, 0xb5, 0x2f], 'zstd', 'Unpack it first: of files, only gzip is unpacked here.'],
  [[0x50, 0x4b, 0x03], 'zip', 'Unpack it first: of files, only gzip is unpacked here.'],
  [[0xfd, 0x37, 0x7a], 'xz', 'Unpack it first: of files, only gzip is unpacked here.'],
];

/**
 * What is no text in UTF-8 by its first three bytes. Read as lines, each of them would be rejected for itself, and a
 * flow that passes over rejects would pass over all of it.
 */
export function refuseNoText(bytes: Uint8Array): void {
  if (isUtf16(bytes)) {
    throw new WaybillError('SOURCE_INVALID', 'the file is UTF-16', { hint: 'Convert it to UTF-8 first.' });
  }
  const packed = PACKED.find(([mark]) => mark.every((byte, at) => bytes[at] === byte));
  if (packed === undefined) return;
  const [, kind, hint] = packed;
  throw new WaybillError('SOURCE_INVALID', `the file is packed (${kind})`, { hint });
}

/** By its mark, or by the empty halves of its first letters. */
function isUtf16([a, b, c]: Uint8Array): boolean {
  const marked = (a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff);
  return marked || (a === 0 && b !== 0 && c === 0) || (b === 0 && a !== 0 && c !== 0 && c !== undefined);
}
