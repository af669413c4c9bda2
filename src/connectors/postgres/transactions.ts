import type { WaybillError } from '../../model/errors.ts';
import { beforeCommit, type Writing } from './outcome.ts';
import { type Session, type SessionOptions, SessionPool, watch } from './session.ts';

/** What is done in one session; what is open when it resolves with undefined, or rejects, is rolled back. */
export type Work<T> = (session: Session, at: { writing?: Writing }) => Promise<T | undefined>;

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
    const at: { writing?: Writing } = {};
    const session = await this.#pool.take().catch((error: unknown) => {
      throw beforeCommit(error);
    });
    const { signal, timeoutMs: requestTimeoutMs = this.#options.requestTimeoutMs } = ask;
    const unwatch = watch(session, signal, { ...this.#options, requestTimeoutMs });
    try {
      await session.open(this.#options);
      const result = await work(session, at);
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
