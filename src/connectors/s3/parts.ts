import { Buffer } from 'node:buffer';
import type * as Sdk from '@aws-sdk/client-s3';
import { WaybillError } from '../../model/errors.ts';
import type { SourceRange } from '../../model/range.ts';
import { rangeLost } from '../../objects/rereading.ts';
import type { Bucket } from './bucket.ts';
import { questionError, replyOf } from './outcome.ts';

/** Answers that say that what was asked for is not there: gone, a mark in its place, another version, shorter. */
const NOT_THERE: ReadonlySet<number> = new Set([404, 405, 412, 416]);

/** Some servers leave out the quotes in one place, and not in another. */
const bare = (version: string): string => version.replaceAll('"', '');

/**
 * The bytes of a range of an object: of the version that was read, where the bucket keeps versions, and else only while
 * its ETag is what it was. Throws RANGE_LOST where neither is to be had.
 */
export async function partOf(bucket: Bucket, range: SourceRange, signal: AbortSignal): Promise<Uint8Array> {
  const answer = await asked(bucket, range, signal);
  if (answer.ETag !== undefined && bare(answer.ETag) !== bare(range.version)) throw replaced(bucket, range);
  const bytes = await read(bucket, range, answer);
  if (bytes.length === Number(range.to) - Number(range.from)) return bytes;
  throw new WaybillError('SOURCE_FAILED', `${bucket.address(range.object)}: the answer was cut off`);
}

/** What lies there now first, if it is still that: reading versions by name takes a right of its own. */
async function asked(bucket: Bucket, range: SourceRange, signal: AbortSignal): Promise<Sdk.GetObjectCommandOutput> {
  const { version, keptAs } = range;
  try {
    return await got(bucket, range, { IfMatch: version }, signal);
  } catch (error) {
    if (keptAs === undefined || !(error instanceof WaybillError) || error.code !== 'RANGE_LOST') throw error;
    return await got(bucket, range, { VersionId: keptAs }, signal);
  }
}

async function got(
  bucket: Bucket,
  range: SourceRange,
  which: Pick<Sdk.GetObjectCommandInput, 'IfMatch' | 'VersionId'>,
  signal: AbortSignal,
): Promise<Sdk.GetObjectCommandOutput> {
  const { object: Key, from, to } = range;
  const Range = `bytes=${from}-${Number(to) - 1}`;
  try {
    return await bucket.ask(({ sdk, client }, Bucket) =>
      client.send(new sdk.GetObjectCommand({ Bucket, Key, Range, ...which }), { abortSignal: signal }),
    );
  } catch (error) {
    signal.throwIfAborted();
    const { status, code } = replyOf(error);
    if (status === undefined || !NOT_THERE.has(status) || code === 'NoSuchBucket') throw failed(bucket, range, error);
    if (status === 412) throw replaced(bucket, range);
    throw rangeLost(range, `the server has no such version of ${bucket.address(Key)} any more (${code})`);
  }
}

async function read(bucket: Bucket, range: SourceRange, answer: Sdk.GetObjectCommandOutput): Promise<Uint8Array> {
  try {
    return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
  } catch (error) {
    throw failed(bucket, range, error);
  }
}

const replaced = (bucket: Bucket, range: SourceRange): WaybillError =>
  rangeLost(range, `another version of ${bucket.address(range.object)} has taken its place`);

/** The server cannot say now; it may be asked again. */
function failed(bucket: Bucket, { object }: SourceRange, error: unknown): WaybillError {
  const cause = questionError(error, `reading ${bucket.address(object)}`);
  const denied = replyOf(error).status === 403;
  return new WaybillError('SOURCE_FAILED', `cannot read ${object}: ${cause.message}`, {
    cause,
    ids: { path: object },
    ...(denied ? { hint: 'A version that was replaced takes the right s3:GetObjectVersion to be read.' } : {}),
  });
}
