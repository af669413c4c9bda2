import type { Compressors } from 'hyparquet';
import { WaybillError } from '../../model/errors.ts';
import { unpackedMax } from '../unpacked.ts';

/**
 * Unpacks the pages of one row group, no more of them than can be meant. A page says itself how long it is, and so
 * much is taken for it before anything is unpacked: what the footer says of the whole group is no proof.
 */
export function boundedUnpackers(compressors: Compressors, packedBytes: number, groupBytesMax: number): Compressors {
  const max = Math.min(groupBytesMax, unpackedMax(packedBytes));
  let total = 0;
  return Object.fromEntries(
    Object.entries(compressors).map(([codec, unpack]) => [
      codec,
      (input: Uint8Array, length: number) => {
        total += length;
        if (total > max || length > unpackedMax(input.length)) throw tooDense(max);
        return unpack(input, length);
      },
    ]),
  );
}

function tooDense(max: number): WaybillError {
  return new WaybillError('SOURCE_INVALID', `a row group of the Parquet file unpacks to more than ${max} bytes`, {
    hint: 'Write the file anew with smaller row groups, or packed less densely, if it is meant to be so large.',
  });
}
