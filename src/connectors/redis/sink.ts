import { verdictOfAnswers } from '../../model/answers.ts';
import { LINES } from '../../model/batch.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Verdict } from '../../model/verdict.ts';
import type { Abilities, Permit, Sink } from '../connector.ts';
import { type KeyOptions, putAll } from './keys.ts';
import { type SessionOptions, SessionPool } from './session.ts';
import { commit, commitCommand, type StreamOptions } from './stream.ts';

export interface RedisSinkOptions extends SessionOptions {
  /** A key for each record, or a stream that they are appended to. */
  readonly into: KeyOptions | StreamOptions;
  readonly recordsPerBatch: number;
  readonly bytesPerBatch: number;
  /** Batches on their way at once, each in a connection of its own. */
  readonly connections: number;
}

/**
 * Writes each record under its key, or appends batches to a stream. Keys are written one by one and answered one by
 * one; a batch for a stream is one step of the server and is refused as a whole.
 */
export function redisSink(options: RedisSinkOptions): Sink {
  const { into, recordsPerBatch, bytesPerBatch, connections, requestTimeoutMs } = options;
  const pool = new SessionPool(options, connections);
  const toStream = 'stream' in into;
  return {
    accepts: [LINES],
    limits: { recordsPerBatch, bytesPerBatch, inFlight: connections },
    can: toStream ? streamAbilities(pool, into) : keyAbilities(pool, into),
    facts: { ...(toStream ? { rejectsAtomically: true } : { putKey: into.key }), assumes: assumptions(options) },
    requestTimeoutMs,
    close: async () => pool.close(),
  };
}

function keyAbilities(pool: SessionPool, into: KeyOptions): Partial<Abilities> {
  return {
    put: async (permit: Permit): Promise<Verdict> => {
      const answers = await pool.run(permit, async (session) => await putAll(session, await permit.payload(), into));
      return verdictOfAnswers(answers, 'written');
    },
  };
}

function streamAbilities(pool: SessionPool, into: StreamOptions): Partial<Abilities> {
  return {
    commitOnce: async (permit: Permit): Promise<Verdict | 'already'> => {
      const result = await pool.run(permit, async (session) => {
        const command = commitCommand(permit.batch, await permit.payload(), into);
        return await commit(session, permit.batch, command);
      });
      if (result instanceof WaybillError) throw result;
      return result;
    },
  };
}

/** What Redis keeps of what it has acknowledged is a matter of how the server is set up, and not of this side. */
function assumptions({ durability, into, lasting }: RedisSinkOptions): readonly string[] {
  const kept =
    durability === 'fsync'
      ? 'The Redis server keeps `appendfsync always`, which is looked at when a connection is made; a replica that ' +
        'takes over has everything that its master acknowledged.'
      : 'The Redis server keeps what it acknowledged: a crash or a failover of the server takes what was not on its ' +
        'disk or its replica yet, unless `durability: fsync` is asked for.';
  const evicted =
    lasting === undefined
      ? 'The server evicts nothing, though it may be set up to: `eviction: accept`.'
      : 'The server evicts nothing: its `maxmemory-policy`, which is looked at when a connection is made, stays so.';
  if (!('stream' in into)) {
    return [
      kept,
      evicted,
      ...(into.expireSeconds === undefined ? [] : [`A key is gone ${into.expireSeconds} s after it was last written.`]),
    ];
  }
  const days = into.markerDays;
  const markers = `A batch is sent again within ${days} days of the first time or not at all: then its marker expires.`;
  return [kept, evicted, ...(days === undefined ? [] : [markers])];
}
