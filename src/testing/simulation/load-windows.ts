import type { RunSummary } from '../../engine/engine.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { WaybillError } from '../../model/errors.ts';
import { periodOf } from '../../model/period.ts';
import { FLOW } from './job.ts';
import { type LoadScenario, windowsInOrder } from './load-scenario.ts';
import type { Machine } from './machine.ts';
import type { Task } from './task.ts';

/**
 * What a person, or a backfill, does about windows that are loaded as a whole: in order where the strategy needs it,
 * again where a later load has taken them out or where a person wants one again, and not before what was refused is
 * mended. Knows what the ledger tells everybody, and what starts say.
 */
export class LoadWindows {
  readonly #machine: Machine;
  readonly #load: LoadScenario;
  readonly #tasks: readonly Task[];
  #readAgain: number | null;
  /** Whether its last load was published is not known, and others wait for that. */
  #findOut: Task | undefined;

  constructor(machine: Machine, load: LoadScenario, tasks: readonly Task[]) {
    this.#machine = machine;
    this.#load = load;
    this.#tasks = tasks;
    this.#readAgain = load.readAgain;
  }

  /** The windows that may be started now, beside those that are being worked on. */
  startable(waiting: readonly Task[], running: ReadonlySet<Task>): readonly Task[] {
    if (!windowsInOrder(this.#load)) return waiting;
    const first = waiting.find((task) => task === this.#findOut) ?? waiting[0];
    const others = first === undefined || [...running].some((task) => task !== first);
    return others ? [] : [first];
  }

  /** Windows that have something to do again: what they had brought was taken out. */
  async lookForUndone(ledger: Ledger): Promise<void> {
    const runs = await ledger.read.runs({ flow: FLOW, newestFirst: true, limit: 20 });
    for (const task of this.#tasks) {
      const run = runs.find((one) => one.window.name === task.window.name);
      if (task.state !== 'done' || run?.state !== 'open') continue;
      this.#machine.world.mark('a window that was taken out is loaded again');
      task.state = 'waiting';
      task.again = true;
    }
  }

  /** What a start has said. */
  heard(task: Task, { stalled }: RunSummary): void {
    if (task === this.#findOut) this.#findOut = undefined;
    for (const { reason } of stalled) this.#followHint(reason);
    if (!stalled.some(({ reason }) => reason.includes('records were refused, so nothing is published'))) return;
    this.#machine.world.mark('a load was held back by what was refused');
    this.#machine.source.mend(task.window.name);
    this.#ask(task);
  }

  failed(task: Task, error: unknown): void {
    if (!(error instanceof WaybillError) || error.code !== 'PERIOD_PARTIAL') return;
    if (task === this.#findOut) this.#findOut = undefined;
    this.#machine.world.mark('a window could not be taken out of its period alone');
    const period = periodOf(task.window, this.#load.period).name;
    const first = this.#tasks.find((one) => periodOf(one.window, this.#load.period).name === period);
    if (first !== undefined && first !== task) this.#ask(first);
  }

  /** Once all are done, an earlier one is wanted again. */
  allDone(): void {
    if (this.#readAgain === null) return;
    const task = this.#tasks[this.#readAgain % this.#tasks.length]!;
    this.#readAgain = null;
    this.#machine.world.mark('a window was read again after all were done');
    this.#ask(task);
  }

  /** Another window may have been published: that is found out first. */
  #followHint(reason: string): void {
    const [, window, refresh] = / found out first: .* --for (\S+)( --refresh)?/.exec(reason) ?? [];
    const task = this.#tasks.find((one) => one.window.name === window);
    if (task === undefined) return;
    this.#machine.world.mark('a window had to be found out before another one');
    this.#findOut = task;
    this.#machine.book.orders++;
    if (refresh !== undefined) task.ask = 'refresh';
    task.state = 'waiting';
  }

  #ask(task: Task): void {
    this.#machine.book.orders++;
    task.ask = 'refresh';
    task.state = 'waiting';
  }
}
