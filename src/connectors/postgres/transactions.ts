import { NotAppliedError, RefusedError, type WaybillError } from '../../model/errors.ts';
import { beforeCommit, type Course } from './outcome.ts';
import { type Session, type SessionOptions, SessionPool, watch } from './session.ts';

/**
 * What is done in one session; what is open when it resolves with undefined, or rejects, is rolled back. Called once
 * more, from its beginning, when the server has refused rows that were handed to it unread.
 */
export type Work<T> = (session: Session, at: Course) => Promise<T | undefined>;

export interface SessionAsk {
  readonly signal?: AbortSignal;
  /** How long this side waits for all of the work; that of a request when absent. */
  readonly timeoutMs?: number;
  /** Called with what an error has come to mean, before it is thrown. */
  failed?(outcome: WaybillError): void;
}

/** Hands out sessions for one piece of work each, and turns what goes wrong in them into the errors of a sink. */
export class Transactions {
  readonly #options: SessionOptions;
  readonly #pool: SessionPool;

  constructor(options: SessionOptions & { readonly connections: number }) {
    this.#options = options;
    this.#pool = new SessionPool(options, options.connections);
  }

  async inSession<T>(ask: SessionAsk, work: Work<T>): Promise<T | undefined> {
    const at: Course = {};
    const session = await this.#pool.take().catch((error: unknown) => {
      throw beforeCommit(error);
    });
    const { signal, timeoutMs: requestTimeoutMs = this.#options.requestTimeoutMs } = ask;
    const unwatch = watch(session, signal, { ...this.#options, requestTimeoutMs });
    try {
      await session.open(this.#options);
      const result = await lookingTwice(session, work, at);
      if (result === undefined) await session.rollback();
      return result;
    } catch (error) {
      const outcome = session.outcome(error, at.writing);
      ask.failed?.(outcome);
      if (outcome.code !== 'SINK_FAILED') await session.rollback();
      else session.giveUp('the outcome of its transaction is not known');
      throw outcome;
    } finally {
      unwatch();
      await this.#pool.give(session);
    }
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}

/**
 * The server refuses rows by the line on which they stand, in its own reading, and without a name for some of them. So
 * what it refuses of rows that were handed on unread is rolled back and written once more, now with each record looked
 * into: what comes of that is what counts.
 */
async function lookingTwice<T>(session: Session, work: Work<T>, at: Course): Promise<T | undefined> {
  try {
    return await work(session, at);
  } catch (error) {
    if (at.unread !== true || !(session.outcome(error) instanceof RefusedError)) throw error;
    if (!(await session.rollback())) {
      throw new NotAppliedError('rows were refused, and the connection broke off before it was known which', {
        cause: error,
        sinkAway: true,
      });
    }
    delete at.unread;
    at.looks = true;
    return await work(session, at);
  }
}
