import { showOwner } from '../app/owner.ts';
import type { BackfillPlan, Waybill } from '../app/waybill.ts';
import type { Context } from './context.ts';
import { EXIT, worstOf } from './exit-codes.ts';
import { plainText } from './format-values.ts';
import { type RunAsk, type RunResult, runWindow } from './run-windows.ts';

export interface BackfillOutcome {
  readonly results: readonly RunResult[];
  readonly doneElsewhere: readonly string[];
  readonly notBegun: readonly string[];
  readonly stopped?: string;
  readonly exitCode: number;
}

/** So many windows in a row that fail outright, and the next are likely to fail as well. */
const FAILED_IN_A_ROW_MAX = 3;

/** Carries out a plan, `parallel` windows at a time, each claimed by the lease of its run. */
export class BackfillWork {
  readonly #context: Context;
  readonly #waybill: Waybill;
  readonly #plan: BackfillPlan;
  readonly #ask: RunAsk;
  readonly #results: RunResult[] = [];
  readonly #elsewhere: string[] = [];
  readonly #held: string[] = [];
  readonly #waiting: string[];
  #stopped: string | undefined;
  #waits = false;
  #failedInARow = 0;

  constructor(context: Context, waybill: Waybill, plan: BackfillPlan, ask: RunAsk) {
    this.#context = context;
    this.#waybill = waybill;
    this.#plan = plan;
    this.#ask = ask;
    this.#waiting = [...plan.steps];
  }

  /** `shown` is called with each window that has ended. */
  async run(parallel: number, shown: (result: RunResult) => void): Promise<BackfillOutcome> {
    const workers = Array.from({ length: parallel }, () => this.#work(shown));
    const ends = await Promise.allSettled(workers);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    await this.#lookAgain();
    const codes = [...this.#results.map((result) => result.exitCode), ...(this.#waits ? [EXIT.leaseHeld] : [])];
    return {
      results: this.#results,
      doneElsewhere: this.#elsewhere,
      notBegun: this.#waiting,
      ...(this.#stopped === undefined ? {} : { stopped: this.#stopped }),
      exitCode: this.#ask.interrupts.exitCode ?? worstOf(codes),
    };
  }

  async #work(shown: (result: RunResult) => void): Promise<void> {
    for (;;) {
      if (this.#ask.interrupts.exitCode !== undefined) this.#stopped ??= 'it was interrupted';
      const [window] = this.#waiting;
      if (window === undefined || this.#stopped !== undefined) return;
      this.#waiting.shift();
      try {
        await this.#step(window, shown);
      } catch (error) {
        // The others finish the window that they are at, and begin no other.
        this.#stopped ??= `${window} could not be looked up`;
        throw error;
      }
    }
  }

  async #step(window: string, shown: (result: RunResult) => void): Promise<void> {
    const turn = await this.#waybill.backfillTurn(this.#plan, window);
    if (turn.turn === 'wait') {
      this.#waiting.unshift(window);
      this.#waits = true;
      this.#stop(`${showOwner(turn.owner)} is at work on ${turn.earlier}, and ${window} must not overtake it`);
      return;
    }
    if (turn.turn === 'done') {
      this.#elsewhere.push(window);
      return;
    }
    const again = turn.entry.state === 'undone' || this.#plan.windows.some(isAgain(window));
    const options = { ...this.#ask.options, because: this.#plan.tag, ...(again ? { refresh: true } : {}) };
    const result = await runWindow(this.#context, { flow: this.#plan.flow, window }, { ...this.#ask, options });
    if (result.error?.exitCode === EXIT.leaseHeld) this.#held.push(window);
    this.#results.push(result);
    shown(result);
    await this.#judge(window, result);
  }

  /** Whether the next windows may be begun after what became of this one. */
  async #judge(window: string, result: RunResult): Promise<void> {
    const failed = result.error !== undefined && result.error.exitCode !== EXIT.leaseHeld;
    this.#failedInARow = failed ? this.#failedInARow + 1 : 0;
    if (this.#ask.interrupts.exitCode !== undefined) return;
    if (result.exitCode === EXIT.temporary) this.#stop(`${window} could not be finished now`);
    else if (this.#failedInARow >= FAILED_IN_A_ROW_MAX) this.#stop(`${FAILED_IN_A_ROW_MAX} windows in a row failed`);
    else if (this.#plan.order === 'in-order' && !(await this.#isComplete(window, result)))
      this.#stop(`${window} is not complete, and the next must not overtake it`);
  }

  async #isComplete(window: string, result: RunResult): Promise<boolean> {
    if (result.run?.state.startsWith('complete') === true) return true;
    // Another process had it, and may have finished it meanwhile.
    const reader = await this.#waybill.reader();
    const [run] = await reader.runs({ flow: this.#plan.flow, window, newestFirst: true, limit: 1 });
    return run?.state.startsWith('complete') === true;
  }

  #stop(why: string): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = why;
    if (this.#waiting.length > 0) this.#context.complain(`no other window is begun: ${plainText(why)}`);
  }

  /** A window that another process held is no failure when that process has finished it by now. */
  async #lookAgain(): Promise<void> {
    for (const window of this.#held) {
      const turn = await this.#waybill.backfillTurn(this.#plan, window);
      if (turn.turn !== 'done') continue;
      const at = this.#results.findIndex((result) => result.window === window);
      this.#results.splice(at, 1);
      this.#elsewhere.push(window);
    }
  }
}

const isAgain = (name: string) => (it: BackfillPlan['windows'][number]) =>
  it.window.name === name && it.act === 'load-again';
