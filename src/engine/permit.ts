import type { Permit } from '../connectors/connector.ts';
import type { Batch, Payload } from '../model/batch.ts';
import { NotAppliedError, WaybillError } from '../model/errors.ts';
import type { Load } from '../model/load.ts';
import type { Ports } from '../model/ports.ts';
import { OVER } from './over.ts';

export interface PermitFacts {
  readonly batch: Batch;
  readonly attempt: number;
  readonly shard: string;
  readonly fence: number;
  readonly correlationId: string;
  readonly load?: Load;
  readonly payload: Payload;
  /** By the monotonic clock. */
  readonly deadlineMs: number;
}

/**
 * The only way to the bytes of a batch. It is made after the intent is durable, and hands the bytes out only while
 * the lease behind it is surely ours: a process that was paused and wakes up late finds its permits worthless.
 */
class SendPermit implements Permit {
  readonly #facts: PermitFacts;
  readonly #ports: Ports;
  readonly #abort = new AbortController();

  constructor(facts: PermitFacts, ports: Ports) {
    this.#facts = facts;
    this.#ports = ports;
  }

  get batch(): Batch {
    return this.#facts.batch;
  }
  get attempt(): number {
    return this.#facts.attempt;
  }
  get shard(): string {
    return this.#facts.shard;
  }
  get fence(): number {
    return this.#facts.fence;
  }
  get correlationId(): string {
    return this.#facts.correlationId;
  }
  get load(): Load | undefined {
    return this.#facts.load;
  }
  get deadlineMs(): number {
    return this.#facts.deadlineMs;
  }
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  payload(): Promise<Payload> {
    if (this.#ports.monotonicMs() < this.deadlineMs && !this.signal.aborted) {
      return Promise.resolve(this.#facts.payload);
    }
    const cause = new WaybillError('PERMIT_EXPIRED', `the time to send batch ${this.batch.id} is over`);
    return Promise.reject(new NotAppliedError('the batch was not sent', { cause }));
  }

  withdraw(reason: WaybillError): void {
    this.#abort.abort(reason);
  }
}

/**
 * Hands out the permits of one lane and withdraws them: each at its deadline, all of them when the lane is told to
 * give up. One watch for all, since a timer for each would cost more than the sending.
 */
export class PermitDesk {
  readonly #ports: Ports;
  readonly #open = new Set<SendPermit>();
  readonly #closed = new AbortController();
  #watch: Promise<void> | undefined;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  issue(facts: PermitFacts): Permit {
    const permit = new SendPermit(facts, this.#ports);
    this.#open.add(permit);
    this.#watch ??= this.#withdrawInTime();
    return permit;
  }

  /** The attempt is over. */
  giveBack(permit: Permit): void {
    this.#open.delete(permit as SendPermit);
  }

  withdrawAll(reason: string): void {
    for (const permit of this.#open) permit.withdraw(new WaybillError('INTERRUPTED', reason));
  }

  async close(): Promise<void> {
    this.#closed.abort(OVER);
    await this.#watch;
  }

  async #withdrawInTime(): Promise<void> {
    while (this.#open.size > 0 && !this.#closed.signal.aborted) {
      const first = Math.min(...[...this.#open].map((permit) => permit.deadlineMs));
      try {
        await this.#ports.sleep(Math.max(1, first - this.#ports.monotonicMs()), this.#closed.signal);
      } catch (error) {
        if (this.#closed.signal.aborted) return;
        throw error;
      }
      this.#withdrawLate();
    }
    this.#watch = undefined;
  }

  #withdrawLate(): void {
    const nowMs = this.#ports.monotonicMs();
    for (const permit of this.#open) {
      if (permit.deadlineMs > nowMs) continue;
      this.#open.delete(permit);
      permit.withdraw(new WaybillError('PERMIT_EXPIRED', `batch ${permit.batch.id} was given up at its deadline`));
    }
  }
}
