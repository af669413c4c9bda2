import { WaybillError } from '../model/errors.ts';
import type { Ports } from '../model/ports.ts';
import { OVER } from './over.ts';

/** What must be left of a lease when a send begins, beyond the time that the send may take. */
export const LEASE_MARGIN_MS = 250;

/**
 * Keeps one claim alive in the background, apart from the work that it protects: a working loop that hangs must not
 * look alive, and one that is busy must not lose its lease. When the claim is lost, `lost` is aborted.
 */
export class LeaseKeeper {
  readonly lost: AbortSignal;
  readonly #ports: Ports;
  readonly #leaseMs: number;
  readonly #renew: () => Promise<unknown>;
  readonly #lost = new AbortController();
  readonly #stop = new AbortController();
  #untilMs: number;
  readonly #running: Promise<void>;

  /** `grantedAtMs`: monotonic time before the claim was asked for, so that the lease is never thought longer. */
  constructor(ports: Ports, lease: { grantedAtMs: number; leaseMs: number }, renew: () => Promise<unknown>) {
    this.#ports = ports;
    this.#leaseMs = lease.leaseMs;
    this.#renew = renew;
    this.#untilMs = lease.grantedAtMs + lease.leaseMs;
    this.lost = this.#lost.signal;
    this.#running = this.#keep();
  }

  /** The monotonic moment after which nothing may be sent under this claim. */
  get untilMs(): number {
    return this.#untilMs;
  }

  async close(): Promise<void> {
    this.#stop.abort(OVER);
    await this.#running;
  }

  async #keep(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (!(await this.#pause(this.#leaseMs / 3))) return;
      const askedAtMs = this.#ports.monotonicMs();
      try {
        await this.#renew();
        this.#untilMs = askedAtMs + this.#leaseMs;
      } catch (error) {
        // Fenced is final. Anything else may pass; until it does, the lease runs out and permits expire by themselves.
        if (error instanceof WaybillError && error.code === 'FENCED') {
          this.#lost.abort(error);
          return;
        }
        if (this.#ports.monotonicMs() > this.#untilMs) this.#lost.abort(error);
      }
    }
  }

  async #pause(ms: number): Promise<boolean> {
    try {
      await this.#ports.sleep(ms, this.#stop.signal);
      return true;
    } catch (error) {
      if (this.#stop.signal.aborted) return false;
      throw error;
    }
  }
}
