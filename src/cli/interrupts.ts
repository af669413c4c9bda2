import type { ProcessPort } from '../app/process.ts';
import type { StopSignals } from '../app/waybill.ts';
import { WaybillError } from '../model/errors.ts';
import { EXIT } from './exit-codes.ts';

const interrupted = (signal: string): WaybillError => new WaybillError('INTERRUPTED', `${signal} was received`);

/** How long the engine has, after the second signal, to give up by itself before the process ends under it. */
const LEAVE_WITHIN_MS = 1000;

/**
 * What a person asks for with Ctrl-C. Before the first signal: nothing. After it: `stop`, finish what is in flight and
 * record it. After the second: `abort`, and the process ends within a second whatever the engine is doing; the ledger
 * holds an intent for all that was in flight, so the next start finds it in doubt and settles it. After the third: at
 * once.
 */
export class Interrupts {
  readonly #stop = new AbortController();
  readonly #abort = new AbortController();
  readonly #release: () => void;
  #first: 'SIGINT' | 'SIGTERM' | undefined;

  /** `heard` is called at each of the first two signals, to tell whoever waits. */
  constructor(io: ProcessPort, heard: (nth: 1 | 2) => void) {
    this.#release = io.onInterrupt((signal) => {
      if (this.#first === undefined) {
        this.#first = signal;
        heard(1);
        this.#stop.abort(interrupted(signal));
      } else if (!this.#abort.signal.aborted) {
        heard(2);
        this.#abort.abort(interrupted(signal));
        void this.#leaveSoon(io);
      } else io.exit(this.exitCode ?? EXIT.interrupted);
    });
  }

  async #leaveSoon(io: ProcessPort): Promise<void> {
    await io.sleep(LEAVE_WITHIN_MS);
    io.exit(this.exitCode ?? EXIT.interrupted);
  }

  get signals(): StopSignals {
    return { stop: this.#stop.signal, abort: this.#abort.signal };
  }

  /** 130 or 143 after a signal. */
  get exitCode(): number | undefined {
    if (this.#first === undefined) return undefined;
    return this.#first === 'SIGINT' ? EXIT.interrupted : EXIT.terminated;
  }

  release(): void {
    this.#release();
  }
}
