import type { Ports } from '../../model/ports.ts';

/** One thing that is given up when it takes too long. */
export interface Deadline {
  readonly atMs: number;
  expire(): void;
}

/**
 * Gives up whatever takes too long, with one sleep for all requests instead of one each: a timer a request would be a
 * good part of the cost of sending it. A deadline is kept at most one tick early and never late, because what is
 * settled afterwards counts on a request being over by then.
 */
export class Deadlines {
  readonly #ports: Pick<Ports, 'monotonicMs' | 'sleep'>;
  readonly #tickMs: number;
  readonly #open = new Set<Deadline>();
  readonly #closed = new AbortController();
  #watching = false;
  #failed: unknown;

  constructor(ports: Pick<Ports, 'monotonicMs' | 'sleep'>, shortestMs: number) {
    this.#ports = ports;
    this.#tickMs = Math.min(250, Math.max(5, Math.floor(shortestMs / 10)));
  }

  /** Throws what the clock threw, once it has: a request without an end must not begin. */
  start(ms: number, expire: () => void): Deadline {
    if (this.#failed !== undefined) throw this.#failed;
    const deadline = { atMs: this.#ports.monotonicMs() + ms, expire };
    this.#open.add(deadline);
    if (!this.#watching && !this.#closed.signal.aborted) {
      this.#watching = true;
      void this.#watch();
    }
    return deadline;
  }

  end(deadline: Deadline): void {
    this.#open.delete(deadline);
  }

  close(): void {
    this.#closed.abort();
  }

  async #watch(): Promise<void> {
    while (this.#open.size > 0 && !this.#closed.signal.aborted) {
      if (!(await this.#tick())) break;
      const dueMs = this.#ports.monotonicMs() + this.#tickMs;
      for (const deadline of this.#open) {
        if (deadline.atMs > dueMs) continue;
        this.#open.delete(deadline);
        deadline.expire();
      }
    }
    this.#watching = false;
  }

  /**
   * False when this was closed meanwhile. A clock that fails for any other reason would leave requests without an end:
   * those under way are given up, and no further one may begin.
   */
  async #tick(): Promise<boolean> {
    try {
      await this.#ports.sleep(this.#tickMs, this.#closed.signal);
      return true;
    } catch (error) {
      if (this.#closed.signal.aborted) return false;
      this.#failed = error;
      for (const deadline of [...this.#open]) {
        this.#open.delete(deadline);
        deadline.expire();
      }
      return false;
    }
  }
}
