import { Buffer } from 'node:buffer';
import { parquetOfCsv } from '../formats/parquet/csv-file.ts';
import { ParquetFile } from '../formats/parquet/write.ts';
import { csvReader, fieldsOfJson } from '../formats/pgcopy/to-copy.ts';
import type { Batch, Payload } from '../model/batch.ts';
import type { Columns } from '../model/columns.ts';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../model/errors.ts';

/** Where a file says which batch it holds: a repeat recognises its own by it. */
export const DIGEST_ENTRY = 'waybill.batch';

/** A batch as a file of Parquet. Says which record it was that does not fit, without a word of its content. */
export async function parquetOf(columns: Columns, batch: Batch, payload: Payload, name: string): Promise<Uint8Array> {
  const entries = { [DIGEST_ENTRY]: batch.digest };
  const file = new ParquetFile(columns, { entries });
  if (payload.format === 'csv') {
    const { bytes, spans, columns: names = [] } = payload;
    const made = await parquetOfCsv(columns, { bytes, spans, names }, entries).catch(notWritten(name));
    if (made !== undefined) return made;
  }
  // What comes as JSON, and what does not fit: then this says which record it was.
  const buffer = Buffer.from(payload.bytes.buffer, payload.bytes.byteOffset, payload.bytes.byteLength);
  const read =
    payload.format === 'csv'
      ? csvReader(payload.columns ?? [], columns)
      : (text: string) => fieldsOfJson(text, columns);
  for (let at = 0; at < payload.spans.length / 2; at++) {
    try {
      const text = buffer.toString('utf8', payload.spans[at * 2], payload.spans[at * 2 + 1]);
      file.add(read(text));
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      const message = `record ${at + 1} of the batch: ${describeError(error)}`;
      throw new RefusedError(message, { reason: error.code, cause: error });
    }
  }
  return file.finish().catch(notWritten(name));
}

const notWritten =
  (name: string) =>
  (error: unknown): never => {
    const hint = error instanceof WaybillError ? { hint: error.hint } : {};
    const message = `nothing was written to ${name}: ${describeError(error)}`;
    throw new NotAppliedError(message, { cause: error, sinkAway: true, ...hint });
  };
