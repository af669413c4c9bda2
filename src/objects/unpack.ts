import type { Readable } from 'node:stream';
import { createGunzip, createInflateRaw } from 'node:zlib';
import { unpackedMax } from '../formats/unpacked.ts';
import { WaybillError } from '../model/errors.ts';

const CHUNK_BYTES = 1024 * 1024;

export interface ReadLimits {
  /** What a compressed file may hold at most. */
  readonly inflatedBytesMax: number;
}

export interface Packed {
  readonly name: string;
  /** May grow while it is being unpacked, where it is still on its way. */
  readonly bytes: number;
  /** `raw` is what lies in a zip: without header and checksum. */
  readonly coding?: 'gzip' | 'raw';
}

/** What a `.gz` holds. Throws SOURCE_INVALID when that is more than can be meant. */
export async function* inflated(input: Readable, packed: Packed, limits: ReadLimits): AsyncGenerator<Uint8Array> {
  const unpacker = packed.coding === 'raw' ? createInflateRaw : createGunzip;
  const output = input.pipe(unpacker({ chunkSize: CHUNK_BYTES }));
  // `pipe` passes on bytes and not errors.
  input.once('error', (error) => output.destroy(error));
  let total = 0;
  try {
    for await (const bytes of output as AsyncIterable<Uint8Array>) {
      total += bytes.length;
      const max = Math.min(limits.inflatedBytesMax, unpackedMax(packed.bytes));
      if (total > max) {
        throw new WaybillError('SOURCE_INVALID', `${packed.name} holds more than ${max} bytes when it is unpacked`, {
          hint: 'Raise `inflatedBytesMax` if it is meant to be so large; unpack it first if it is packed so densely.',
        });
      }
      yield bytes;
    }
  } finally {
    output.destroy();
    input.destroy();
  }
}
