import { WaybillError } from '../model/errors.ts';
import type { BatchId, RunId } from '../model/ids.ts';
import { showBatch, showRun } from '../model/ids.ts';
import type { BatchState } from '../model/states.ts';
import { isPull, type Window } from '../model/window.ts';
import type { StopSignals } from './engine.ts';
import type { GoOnElsewhere, LaneRuntime } from './lane.ts';

/** What the ledger says of a batch that may stand where the lane would write next. */
interface InTheWay {
  readonly batch: BatchId;
  readonly run: RunId;
  readonly state: BatchState;
}

const PAUSE_MAX_MS = 5_000;

/**
 * A lane that writes by position writes where nobody else does meanwhile, and after what was lost there has been
 * decided: the sink tells what stands at a place and not whose it is. This waits until that is so. What another window
 * left in doubt is repeated at its own place first, on behalf of that window, unless somebody has said that nothing of
 * it is to be sent any more.
 */
export class PlaceInTurn {
  readonly #lane: LaneRuntime;
  readonly #signals: StopSignals;
  #sinceMs: number | undefined;
  #pauseMs = 250;

  constructor(lane: LaneRuntime, signals: StopSignals) {
    this.#lane = lane;
    this.#signals = signals;
  }

  /** The place was had. */
  taken(): void {
    this.#sinceMs = undefined;
    this.#pauseMs = 250;
  }

  /**
   * After a claim that was refused with `error`: does what can be done about it, or waits. Resolves with why the lane
   * cannot go on, or with nothing when it is worth another try. Rejects with an error that is about something else.
   */
  async clear(error: unknown): Promise<string | undefined> {
    if (!(error instanceof WaybillError) || this.#lane.place === undefined) throw error;
    if (error.code === 'LEASE_HELD') return await this.#wait(error.message);
    if (error.code !== 'PLACE_IN_DOUBT') throw error;
    return await this.#settle(error.ids as unknown as InTheWay, error.message);
  }

  async #settle({ batch, run: id, state }: InTheWay, message: string): Promise<string | undefined> {
    const { ledger, elsewhere, job } = this.#lane;
    const run = await ledger.read.run(id);
    const name = `${message}; ${showRun(id)}`;
    // One that its process has left on its way is made a doubt by the next start of its window, cancelled or not.
    if (run.state === 'cancelled' && state !== 'sending') {
      const settle = `settle it with waybill settle ${showBatch(batch)}`;
      // What was new then cannot be read again.
      if (isPull(run.window.name)) return `${name} was cancelled: ${settle}`;
      const again = `waybill run ${run.flow} --for ${run.window.name} --refresh`;
      return `${name} was cancelled: ${settle}, or with ${again}`;
    }
    const lane = (await ledger.read.lanes(id)).find((one) => one.lane === job.name);
    if (run.paused || lane?.paused === true) return `${name} is paused: waybill resume ${showRun(id)}`;
    if (id === this.#lane.run.run) return `${message}; it is the window's own`;
    return await this.#elsewhere(run.window, batch, elsewhere, message);
  }

  async #elsewhere(window: Window, batch: BatchId, goOn: GoOnElsewhere, message: string): Promise<string | undefined> {
    const { services, ledger } = this.#lane;
    const notice = `${message}: that is settled first`;
    services.notice({ level: 'info', kind: 'settling-first', message: notice, ids: { batch: showBatch(batch) } });
    try {
      const { stalled } = await goOn(window, [batch], this.#signals);
      const [first] = stalled;
      if (first !== undefined) return `${message}: ${first.reason}`;
    } catch (error) {
      if (!(error instanceof WaybillError) || error.code !== 'LEASE_HELD') throw error;
      return await this.#wait(`${message}: ${error.message}`);
    }
    const { state } = await ledger.read.batch(batch);
    const open = state === 'sending' || state === 'in-doubt' || state === 'sealed';
    return open ? await this.#wait(message) : undefined;
  }

  /** For as long as a sink that is away is waited for. */
  async #wait(why: string): Promise<string | undefined> {
    const { services, job } = this.#lane;
    const { ports } = services;
    this.#sinceMs ??= ports.monotonicMs();
    if (ports.monotonicMs() - this.#sinceMs > job.retry.maxAgeMs) return why;
    const { stop } = this.#signals;
    try {
      await ports.sleep(this.#pauseMs, stop);
    } catch (error) {
      if (!stop.aborted) throw error;
    }
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MAX_MS);
    return undefined;
  }
}
