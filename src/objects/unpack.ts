import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { WaybillError } from '../model/errors.ts';

const CHUNK_BYTES = 1024 * 1024;
/** Text is compressed to a twentieth, seldom to a hundredth; a bomb to a thousandth and less. */
const RATIO_MAX = 400;
const RATIO_FREE_BYTES = 16 * 1024 * 1024;

export interface ReadLimits {
  /** What a compressed file may hold at most. */
  readonly inflatedBytesMax: number;
}

/** What a `.gz` holds. Throws SOURCE_INVALID when that is more than can be meant. */
export async function* inflated(
  input: Readable,
  packed: { readonly name: string; readonly bytes: number },
  limits: ReadLimits,
): AsyncGenerator<Uint8Array> {
  const max = Math.min(limits.inflatedBytesMax, Math.max(RATIO_FREE_BYTES, packed.bytes * RATIO_MAX));
  const output = input.pipe(createGunzip({ chunkSize: CHUNK_BYTES }));
  // `pipe` passes on bytes and not errors.
  input.once('error', (error) => output.destroy(error));
  let total = 0;
  try {
    for await (const bytes of output as AsyncIterable<Uint8Array>) {
      total += bytes.length;
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
