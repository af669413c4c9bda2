/**
 * Everything that differs from one execution to the next comes in through here, so that the engine runs unchanged
 * under a simulated clock. The real ones are made in `app/ports.ts` and nowhere else.
 */
export interface Ports {
  /** Milliseconds since 1970; may jump. For what people read and for leases that outlive the process. */
  wallMs(): number;
  /** Milliseconds since some moment; never goes back. For deadlines and durations. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when that is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** At least 0, below 1. */
  random(): number;
  /** A new name that nobody else has: a UUID. */
  id(): string;
}

/** Only the clock, for what needs no more. */
export type Clock = Pick<Ports, 'wallMs' | 'monotonicMs'>;
