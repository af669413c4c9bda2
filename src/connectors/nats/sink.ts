import { verdictOfAnswers } from '../../model/answers.ts';
import { LINES } from '../../model/batch.ts';
import type { Permit, Sink } from '../connector.ts';
import { type BucketOptions, openBucket, putAll } from './bucket.ts';
import { type SessionOptions, SessionPool } from './session.ts';
import { openStream, publishAll, type StreamOptions } from './stream.ts';

export interface NatsSinkOptions extends SessionOptions {
  /** A bucket with a key for each record, or a stream that they are published to. */
  readonly into: BucketOptions | StreamOptions;
  readonly recordsPerBatch: number;
  readonly bytesPerBatch: number;
  /** Batches on their way at once, each in a connection of its own. */
  readonly connections: number;
}

/** Each record is one message and is acknowledged by itself, so a batch may be taken in part. */
export function natsSink(options: NatsSinkOptions): Sink {
  const { recordsPerBatch, bytesPerBatch, connections, requestTimeoutMs } = options;
  return {
    accepts: [LINES],
    limits: { recordsPerBatch, bytesPerBatch, inFlight: connections },
    requestTimeoutMs,
    ...('bucket' in options.into ? bucketSink(options, options.into) : streamSink(options, options.into)),
  };
}

type Rest = Pick<Sink, 'can' | 'facts' | 'close'>;

const KEPT =
  'The NATS server keeps what it acknowledged: a power cut takes what it had not synced to its disk, unless it syncs ' +
  'always or other servers of the cluster hold a copy.';

function bucketSink(options: NatsSinkOptions, into: BucketOptions): Rest {
  const pool = new SessionPool(options, options.connections, (connection, drivers) =>
    openBucket(connection, drivers, into),
  );
  const put = async (permit: Permit) => {
    const answers = await pool.run(permit, async (session) =>
      putAll(session, await permit.payload(), { ...into, timeoutMs: options.requestTimeoutMs }),
    );
    return verdictOfAnswers(answers, 'put');
  };
  const history =
    'A bucket keeps as many revisions of a key as its `history` says, and a watcher is told of each repeat.';
  return {
    can: { put },
    facts: { keepsReplaced: true, putKey: into.key, assumes: [history, KEPT] },
    close: () => pool.close(),
  };
}

function streamSink(options: NatsSinkOptions, into: StreamOptions): Rest {
  const pool = new SessionPool(options, options.connections, (connection, drivers) =>
    openStream(connection, drivers, into),
  );
  const appendOnce = async (permit: Permit) => {
    const answers = await pool.run(permit, async (session) => {
      const payload = await permit.payload();
      const sent = { batch: permit.batch, payload };
      return await publishAll(session, sent, { ...into, timeoutMs: options.requestTimeoutMs });
    });
    return verdictOfAnswers(answers, 'published');
  };
  const memory =
    'The stream holds each message for its duplicate window: after a restart the server knows only the ids of ' +
    'messages that it still holds.';
  const limits =
    'The stream keeps what it took: one that is full and discards what is old takes out messages for new ones, those ' +
    'of this flow included, and one in memory ends with its server.';
  return {
    can: { appendOnce },
    facts: { key: { horizonMs: into.duplicateWindowMs, storesErrors: false }, assumes: [memory, limits, KEPT] },
    close: () => pool.close(),
  };
}
