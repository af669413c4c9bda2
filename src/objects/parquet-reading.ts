import { openParquet, type ParquetChunk, type ParquetLimits } from '../formats/parquet/read.ts';
import { WaybillError } from '../model/errors.ts';
import type { FoundFile, Shelf } from './shelf.ts';

/** What of a Parquet file has been handed over: rows, and the CRC-32 of the footer that they were read by. */
export interface ParquetPlace {
  readonly rows: number;
  readonly footer: number;
}

export interface ParquetFileChunk {
  readonly chunk: Omit<ParquetChunk, 'nextRow'>;
  readonly place: ParquetPlace;
}

/** The rows of one file behind `from`, row group by row group. */
export async function* parquetFile(
  shelf: Shelf,
  file: FoundFile,
  { from, ...limits }: ParquetLimits & { readonly from: ParquetPlace | undefined },
  signal: AbortSignal,
): AsyncGenerator<ParquetFileChunk> {
  if (/\.gz$/i.test(file.name)) {
    throw new WaybillError('SOURCE_INVALID', `${file.name} is packed, and Parquet is read from its end`, {
      hint: 'Unpack it; the columns of Parquet are packed already.',
      ids: { path: file.name },
    });
  }
  const opening = await shelf.open(file, signal);
  try {
    const { columns: _, ...opened } = await openParquet(opening, limits);
    if (from !== undefined && from.footer !== opened.footer) {
      throw new WaybillError('SOURCE_FAILED', `${file.name} is another file than the one that was read`, {
        hint: 'Put the file back as it was, or read the window again from the top with `waybill run FLOW --refresh`.',
        ids: { path: file.name },
      });
    }
    for await (const { nextRow, ...chunk } of opened.chunks(from?.rows ?? 0, signal)) {
      yield { chunk, place: { rows: nextRow, footer: opened.footer } };
    }
  } finally {
    await opening.close();
  }
}
