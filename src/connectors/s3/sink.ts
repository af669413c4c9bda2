import type { Batch } from '../../model/batch.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Clock } from '../../model/ports.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import { encodedBatch, framingsOf, needsTypes, type WrittenFormat } from '../../objects/encode.ts';
import { objectLoads } from '../../objects/loads.ts';
import { fillPath, placeholdersOf } from '../../objects/paths.ts';
import type { Permit, Sink } from '../connector.ts';
import { Bucket } from './bucket.ts';
import type { S3Connection } from './connection.ts';
import { lockObjects, type ObjectLock } from './lock.ts';

export interface S3SinkOptions {
  readonly connection: S3Connection;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly written: WrittenFormat;
  /** A name with `{{ window }}`, `{{ flow }}`, `{{ lane }}`; with `{{ batch }}` each batch is an object of its own. */
  readonly path: string;
  readonly manifest?: string | undefined;
  /** A bucket of the same server for the manifest. */
  readonly manifestBucket?: string | undefined;
  readonly lock?: ObjectLock | undefined;
  readonly recordsPerBatch: number;
  readonly bytesPerBatch: number;
  readonly inFlight: number;
}

/** The label by which an object says which batch it holds. */
const BATCH_LABEL = 'waybill-batch';

/**
 * Each batch is an object, made only if there is none of its name: so it is there as a whole or not at all, and it is
 * its own marker. Loads are collected apart and shown by one object a window, by a manifest, or by their names.
 */
export function s3Sink(options: S3SinkOptions): Sink {
  const bucket = new Bucket(options.connection);
  const { path, manifest, written, lock, clock } = options;
  if (lock !== undefined) bucket.protect = (names, signal) => lockObjects(bucket, lock, { names, clock, signal });
  const { manifestBucket } = options;
  const books = manifestBucket === undefined ? bucket : new Bucket({ ...options.connection, bucket: manifestBucket });
  const loads = objectLoads({
    store: bucket,
    books,
    path,
    manifest,
    encode: (permit) => encodedBatch(written, permit),
  });
  const alone = placeholdersOf(path).includes('batch') && manifest === undefined;
  return {
    accepts: framingsOf(written),
    limits: {
      recordsPerBatch: options.recordsPerBatch,
      bytesPerBatch: options.bytesPerBatch,
      inFlight: options.inFlight,
    },
    can: { ...(alone ? { commitOnce: (permit) => commitOnce(bucket, options, permit) } : {}), ...loads.can },
    facts: { rejectsAtomically: true, ...loads.facts },
    ...(needsTypes(written) ? { needsTypes: true } : {}),
    requestTimeoutMs: options.connection.requestTimeoutMs,
    close: async () => {
      await bucket.close();
      if (books !== bucket) await books.close();
    },
  };
}

async function commitOnce(
  bucket: Bucket,
  { path, written }: S3SinkOptions,
  permit: Permit,
): Promise<Verdict | 'already'> {
  const { batch, signal } = permit;
  if (signal.aborted) throw new NotAppliedError('the send was given up before it began');
  const { flow, window, lane, idempotencyKey, digest } = batch;
  const name = fillPath(path, { flow, window, lane, batch: idempotencyKey });
  const { bytes } = await encodedBatch(written, permit);
  const made = await bucket.createLabelled(name, { bytes, labels: { [BATCH_LABEL]: digest } }, signal);
  if (made === 'there') return await already(bucket, name, batch, signal);
  return applied(batch.records, { summary: `${bytes.length} bytes as ${bucket.address(name)}`, reference: name });
}

async function already(bucket: Bucket, name: string, { digest }: Batch, signal: AbortSignal): Promise<'already'> {
  const labels = await bucket.labels(name, signal);
  if (labels === undefined) throw new NotAppliedError(`${name} was there a moment ago, and is gone`);
  if (labels[BATCH_LABEL] === digest) return 'already';
  throw new RefusedError(`${bucket.address(name)} is there and does not hold this batch`, { reason: 'marker' });
}
