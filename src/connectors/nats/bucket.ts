import type { KV } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { keyedRecords } from '../../formats/keyed-records.ts';
import type { Answer } from '../../model/answers.ts';
import type { Payload } from '../../model/batch.ts';
import type { Drivers } from './connection.ts';
import { type Message, sendAll } from './messages.ts';
import type { Session } from './session.ts';

export interface BucketOptions {
  readonly bucket: string;
  /** Stands before the texts of the key columns; in the letters of a key of NATS. */
  readonly prefix: string;
  readonly key: readonly string[];
  /** How to make the bucket where there is none. */
  readonly create?: {
    readonly history: number;
    readonly replicas: number;
    readonly ttlSeconds?: number | undefined;
  };
}

const MS = 1000;

/** Opens the bucket. Rejects with the server's error when it is not there and is not to be made. */
export async function openBucket(connection: NatsConnection, drivers: Drivers, options: BucketOptions): Promise<KV> {
  const { bucket, create } = options;
  const manager = new drivers.kv.Kvm(connection);
  const kv = await manager.open(bucket);
  try {
    // Opening alone asks nothing.
    await kv.status();
    return kv;
  } catch (error) {
    const { JetStreamApiError, JetStreamApiCodes } = drivers.jetstream;
    const missing = error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;
    if (create === undefined || !missing) throw error;
  }
  const { history, replicas, ttlSeconds } = create;
  const limits = { history, replicas, ...(ttlSeconds === undefined ? {} : { ttl: ttlSeconds * MS }) };
  return await manager.create(bucket, limits);
}

/** Puts a batch key by key, all at once. Never rejects once the first message has left. */
export async function putAll(
  session: Session<KV>,
  payload: Payload,
  options: BucketOptions & { readonly timeoutMs: number },
): Promise<readonly Answer[]> {
  const { records, unfit } = keyedRecords(payload, options.key);
  const answers: Answer[] = Array.from({ length: payload.spans.length / 2 });
  for (const [at, reason] of unfit) answers[at] = { kind: 'refused', ...reason };
  const kv = session.opened;
  const messages = records.flatMap(({ key, bytes, places }): readonly Message[] => {
    const name = keyName(options.prefix, key);
    const subjectBytes = SUBJECT_PREFIX.length + options.bucket.length + name.length;
    if (subjectBytes > SUBJECT_BYTES_MAX) {
      for (const at of places) answers[at] = keyTooLong(subjectBytes);
      return [];
    }
    const send = () => kv.put(name, bytes, { timeout: options.timeoutMs });
    return [{ bytes: bytes.length + HEADERS.length, places, send }];
  });
  return await sendAll(session, messages, answers);
}

/** What a bucket is called in the subjects of its keys: `$KV.members.42`. */
const SUBJECT_PREFIX = '$KV..';
/**
 * A server reads lines of 4096 bytes (`max_control_line`) unless it is told otherwise, and does not say how long they
 * may be. Beside the subject stand the inbox of the answer, some fifty bytes, and two sizes. The server ends the
 * connection over a longer one, and with it whatever else is on its way, so it is never sent.
 */
const SUBJECT_BYTES_MAX = 4000;

const keyTooLong = (bytes: number): Answer => ({
  kind: 'refused',
  code: 'key-too-long',
  message: `the key makes a subject of ${bytes} bytes; servers of NATS take ${SUBJECT_BYTES_MAX}`,
});

/** Headers without a header, as the driver writes them. */
const HEADERS = 'NATS/1.0\r\n\r\n';

/**
 * The texts of the key columns as a key of NATS, one token each. What is no letter, digit, `_` or `-` is written as `=`
 * and two hex digits for each byte of UTF-8, and the empty text as `=`: different keys have different names, and a
 * name can be read back.
 */
export function keyName(prefix: string, key: readonly string[]): string {
  return prefix + key.map(token).join('.');
}

function token(text: string): string {
  if (text === '') return '=';
  return text.replaceAll(/[^A-Za-z0-9_-]/gu, (letter) =>
    [...Buffer.from(letter)].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}
