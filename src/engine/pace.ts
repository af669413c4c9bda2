import type { Rate } from '../connectors/connector.ts';
import type { Ports } from '../model/ports.ts';

/**
 * How fast one lane may call its sink: budgets a second, a concurrency that adapts, a circuit breaker and a budget
 * for retries. It only ever delays; what is sent, and whether it is sent again, is decided elsewhere.
 */
export class Pace {
  readonly #ports: Ports;
  readonly #buckets: readonly { readonly of: 'requests' | 'records' | 'bytes'; readonly bucket: Bucket }[];
  readonly #ceiling: number;
  readonly breaker: Breaker;
  readonly retries = new RetryBudget();
  #allowed: number;
  #quietUntilMs = 0;
  #putOffSinceMs: number | undefined;
  #sinceThrottled = 0;

  constructor(ports: Ports, inFlightMax: number, rate: Rate | undefined) {
    this.#ports = ports;
    this.#ceiling = inFlightMax;
    this.#allowed = inFlightMax;
    this.breaker = new Breaker(ports);
    const burst = rate?.burst ?? 1;
    this.#buckets = (['requests', 'records', 'bytes'] as const).flatMap((of) => {
      const perSecond = rate?.[of];
      return perSecond === undefined ? [] : [{ of, bucket: new Bucket(ports, perSecond, perSecond * burst) }];
    });
  }

  /** How many batches may be on their way now. */
  get inFlight(): number {
    return this.breaker.state === 'half-open' ? 1 : Math.max(1, Math.floor(this.#allowed));
  }

  /** How long the sink is to be left alone from now; 0 when it may be called. */
  get quietMs(): number {
    return Math.max(0, this.#quietUntilMs - this.#ports.monotonicMs(), this.breaker.waitMs());
  }

  /** Nothing stands in the way of the next batch, nor of the one after that. */
  get calm(): boolean {
    return this.breaker.state === 'closed' && this.quietMs === 0;
  }

  /** Waits until a batch of this size may leave. */
  async acquire(size: { records: number; bytes: number }, signal: AbortSignal): Promise<void> {
    for (let quietMs = this.quietMs; quietMs > 0; quietMs = this.quietMs)
      await this.#ports.sleep(quietMs + this.#ports.random() * JITTER_MS, signal);
    const amounts = { requests: 1, ...size };
    for (const { of, bucket } of this.#buckets) await bucket.take(amounts[of], signal);
  }

  /** How long the sink will have put off whatever it was sent when it may be asked next; 0 since it took something. */
  get putOffMs(): number {
    return this.#putOffSinceMs === undefined ? 0 : this.#quietUntilMs - this.#putOffSinceMs;
  }

  /** The sink asked to be left alone for so long: everything of the lane waits. */
  leaveAlone(forMs: number): void {
    const nowMs = this.#ports.monotonicMs();
    this.#putOffSinceMs ??= nowMs;
    this.#quietUntilMs = Math.max(this.#quietUntilMs, nowMs + forMs);
  }

  /** The sink was sent too much: fewer batches travel at once. */
  throttled(): void {
    // Several answers to one burst count as one: only the first of a window cuts the concurrency.
    if (this.#sinceThrottled >= this.inFlight) this.#allowed = Math.max(1, this.#allowed * 0.7);
    this.#sinceThrottled = 0;
  }

  /** The sink has looked at what it was sent, whatever came of it. */
  served(): void {
    this.breaker.succeeded();
    this.#putOffSinceMs = undefined;
  }

  succeeded(): void {
    this.served();
    this.retries.refund();
    this.#sinceThrottled++;
    if (this.#allowed < this.#ceiling) this.#allowed = Math.min(this.#ceiling, this.#allowed + 1 / this.#allowed);
  }
}

/** Lanes and processes that were all told the same moment do not come back as one. */
const JITTER_MS = 100;

/** A token bucket. A demand that is larger than the bucket waits until it is full and leaves it in debt. */
class Bucket {
  readonly #ports: Ports;
  readonly #perSecond: number;
  readonly #capacity: number;
  #level: number;
  #atMs: number;
  #queue: Promise<void> = Promise.resolve();

  constructor(ports: Ports, perSecond: number, capacity: number) {
    this.#ports = ports;
    this.#perSecond = perSecond;
    this.#capacity = Math.max(capacity, 1);
    this.#level = this.#capacity;
    this.#atMs = ports.monotonicMs();
  }

  /** In the order of asking, so that a large batch is not starved by small ones. */
  take(amount: number, signal: AbortSignal): Promise<void> {
    const turn = this.#queue.then(() => this.#take(amount, signal));
    this.#queue = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  async #take(amount: number, signal: AbortSignal): Promise<void> {
    const needed = Math.min(amount, this.#capacity);
    for (;;) {
      this.#refill();
      if (this.#level >= needed) break;
      await this.#ports.sleep(Math.max(1, ((needed - this.#level) / this.#perSecond) * 1000), signal);
    }
    this.#level -= amount;
  }

  #refill(): void {
    const nowMs = this.#ports.monotonicMs();
    this.#level = Math.min(this.#capacity, this.#level + ((nowMs - this.#atMs) / 1000) * this.#perSecond);
    this.#atMs = nowMs;
  }
}

const FAILURES_TO_OPEN = 5;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Watches whether the sink as a whole is away (connections refused, "unavailable"), not whether records are refused.
 * Closed: everything passes. Open: nothing passes for a while. Half-open: one batch tries.
 */
export class Breaker {
  readonly #ports: Ports;
  #failures = 0;
  #openUntilMs = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #awaySinceMs: number | undefined;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  get state(): 'closed' | 'open' | 'half-open' {
    if (this.#failures < FAILURES_TO_OPEN) return 'closed';
    return this.waitMs() > 0 ? 'open' : 'half-open';
  }

  waitMs(): number {
    return Math.max(0, this.#openUntilMs - this.#ports.monotonicMs());
  }

  /** How long the sink has been away without a sign of life; 0 while it is there. */
  awayMs(): number {
    return this.#awaySinceMs === undefined ? 0 : this.#ports.monotonicMs() - this.#awaySinceMs;
  }

  failed(): void {
    this.#awaySinceMs ??= this.#ports.monotonicMs();
    if (++this.#failures < FAILURES_TO_OPEN || this.waitMs() > 0) return;
    this.#openUntilMs = this.#ports.monotonicMs() + this.#pauseMs * (0.5 + this.#ports.random() / 2);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#awaySinceMs = undefined;
    this.#pauseMs = FIRST_PAUSE_MS;
  }
}

const RETRY_CAPACITY = 500;
const RETRY_COST = 5;

/** Retries are paid for by successes, so that an outage is not made worse by everybody trying again. */
export class RetryBudget {
  #tokens = RETRY_CAPACITY;

  /** False when the budget is used up: the batch is left for later. */
  spend(): boolean {
    if (this.#tokens < RETRY_COST) return false;
    this.#tokens -= RETRY_COST;
    return true;
  }

  refund(): void {
    this.#tokens = Math.min(RETRY_CAPACITY, this.#tokens + 1);
  }
}

/** Full jitter: anywhere between nothing and the exponential bound, but not before the sink allows it. */
export function backoffMs(
  tries: number,
  policy: { firstDelayMs: number; maxDelayMs: number },
  random: number,
  retryAfterMs = 0,
): number {
  const bound = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** Math.min(tries - 1, 20));
  return Math.max(retryAfterMs, Math.ceil(bound * random));
}
