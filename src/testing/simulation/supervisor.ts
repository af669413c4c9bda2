import type { RunAsk, RunSummary } from '../../engine/engine.ts';
import { runJob } from '../../engine/run.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Window } from '../../model/window.ts';
import type { Happening } from './heap.ts';
import { jobOf } from './job.ts';
import { windowsOf } from './load-scenario.ts';
import { LoadWindows } from './load-windows.ts';
import type { Machine, Opened } from './machine.ts';
import type { SimProcess } from './process.ts';
import { PullWindows } from './pull-windows.ts';
import type { Task } from './task.ts';

/** After the faults have stopped, a window needs no more starts than this, however it was left. */
const CALM_STARTS_MAX = 40;
const FAULTY_STARTS_MAX = 14;
/** Each window of theirs needs a start, some of them twice. */
const FAULTY_LOAD_STARTS_MAX = 24;

interface Running {
  readonly process: SimProcess;
  readonly task: Task;
  readonly ask: Task['ask'];
  /** It is to see to an order. */
  readonly again: boolean;
  readonly stop: AbortController;
  readonly abort: AbortController;
}

/**
 * Starts windows until they are done, as a scheduler or a person would: again after a death, after a failure, after a
 * while. It knows what the public answers tell it and no more.
 */
export class Supervisor {
  readonly tasks: readonly Task[];
  readonly running = new Set<Running>();
  /** Has a person look after a batch. */
  settle: (batch: number) => void = () => undefined;
  readonly #machine: Machine;
  readonly #loads: LoadWindows | undefined;
  readonly #pulls: PullWindows | undefined;
  #next: Happening | undefined;
  /** Holds up all others. */
  #urgent: Task | undefined;
  calmStarts = 0;
  starts = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
    const { scenario } = machine;
    this.tasks = windowsOf(scenario).map((window) => ({
      window,
      state: 'waiting',
      ask: 'go-on',
      starts: 0,
      again: false,
      last: undefined,
      notBeforeMs: 0,
      calm: false,
    }));
    if (scenario.load !== undefined) this.#loads = new LoadWindows(machine, scenario.load, this.tasks);
    if (scenario.pull !== undefined) this.#pulls = new PullWindows(machine, scenario.pull);
    machine.onDeath((process) => this.#died(process));
  }

  get idle(): boolean {
    return this.running.size === 0 && this.tasks.every((task) => task.state !== 'waiting');
  }

  /** Too many starts since the faults stopped: it will never be done. */
  get hopeless(): boolean {
    return this.calmStarts > CALM_STARTS_MAX;
  }

  /** The faults are over: whatever was left in doubt is taken up once more. */
  calmDown(): void {
    for (const task of this.tasks) {
      task.notBeforeMs = this.#onceMoreInPeace(task) ? this.#machine.world.nowMs + this.#patienceMs() * 3 : 0;
    }
    this.#later(0);
  }

  begin(): void {
    this.#later(0);
  }

  /** Does what is due, and comes back. */
  tick(): void {
    const { world } = this.#machine;
    const all = this.tasks.filter((one) => one.state === 'waiting');
    const busy = new Set([...this.running].map(({ task }) => task));
    const waiting = (this.#loads ?? this.#pulls)?.startable(all, busy) ?? all;
    // Beside one window that is being worked on rather another one, where there is one, than the same once more.
    const isRun = (one: Task): boolean => [...this.running].some(({ task }) => task === one);
    const task = waiting.find((one) => one === this.#urgent) ?? waiting.find((one) => !isRun(one)) ?? waiting[0];
    if (task === undefined || this.hopeless) return;
    const twin = this.running.size > 0 && this.running.size < 3 && world.fault('twin');
    if (twin) world.mark('two processes on one window');
    const early = task.notBeforeMs > world.nowMs && !world.faulty;
    const tired =
      world.faulty && this.starts >= (this.#loads === undefined ? FAULTY_STARTS_MAX : FAULTY_LOAD_STARTS_MAX);
    if (!tired && !early && (this.running.size === 0 || twin)) this.#start(task);
    this.#later(world.faulty ? world.tape.between(500, 15_000) : 10_000);
  }

  stopSomeone(): void {
    const [first] = this.running;
    if (first === undefined) return;
    if (first.stop.signal.aborted) first.abort.abort(new WaybillError('INTERRUPTED', 'told to end at once'));
    else first.stop.abort(new WaybillError('INTERRUPTED', 'told to stop'));
  }

  /** An order has left this window something to do, which a start that is just ending may not have seen. */
  reopen(task: Task): void {
    task.state = 'waiting';
    task.again = true;
    this.poke();
  }

  /** Something may be to be done; there is one next look at most. */
  poke(): void {
    this.#later(0);
  }

  #later(ms: number): void {
    const { world } = this.#machine;
    if (this.#next !== undefined && this.#next.atMs <= world.nowMs + ms) return;
    if (this.#next !== undefined) this.#next.cancelled = true;
    this.#next = world.at(ms, undefined, 'supervisor', () => {
      this.#next = undefined;
      this.tick();
    });
  }

  #start(task: Task): void {
    const machine = this.#machine;
    const opened = machine.start('runner');
    const [stop, abort] = [new AbortController(), new AbortController()];
    const running = { process: opened.process, task, ask: task.ask, again: task.again, stop, abort };
    this.running.add(running);
    this.starts++;
    task.starts++;
    if (task.ask !== 'go-on') machine.book.toldToBeginAgain(opened.process.name);
    task.again = false;
    if (task === this.#urgent) this.#urgent = undefined;
    machine.world.tell(opened.process.name, `starts ${task.window.name} (${task.ask})`);
    this.#carry(running, opened).then(
      (summary) => this.#ended(running, opened, summary, undefined),
      (error: unknown) => this.#ended(running, opened, undefined, error),
    );
  }

  /** Others may have brought the window to its end meanwhile, and this start have begun it anew, or left an answer. */
  #mayHaveLeft({ ask }: Running, error: unknown): boolean {
    return ask !== 'go-on' || (codeOf(error) !== 'LEASE_HELD' && codeOf(error) !== 'FENCED');
  }

  /** Undefined where there was nothing to do, and no run was begun. */
  async #carry(running: Running, opened: Opened): Promise<RunSummary | undefined> {
    const { task, stop, abort } = running;
    await this.#releaseGone(opened, task.window);
    const ask: RunAsk = {
      owner: opened.process.name,
      leaseMs: this.#machine.scenario.leaseMs,
      ...(task.ask === 'refresh' ? { refresh: true } : {}),
      ...(task.ask === 'resend-all' ? { resendAll: { who: 'operator', reason: 'asked for' } } : {}),
    };
    const wired = jobOf(task.window, opened.process, this.#machine);
    const job = this.#pulls === undefined ? wired : await this.#pulls.prepare(wired, opened, task);
    if (job === undefined) return undefined;
    const summary = await runJob(job, ask, opened.services, { stop: stop.signal, abort: abort.signal });
    await this.#loads?.lookForUndone(opened.ledger);
    return summary;
  }

  /** As the app does it: leases of a process that is proved gone are broken, those of any other run out. */
  async #releaseGone({ ledger }: Opened, window: Window): Promise<void> {
    if (!this.#machine.scenario.provesDeath) return;
    const [run] = await ledger.read.runs({ flow: 'simulated', window: window.name, newestFirst: true, limit: 1 });
    const owner = this.#machine.processes.find((one) => one.name === run?.owner);
    if (owner === undefined || owner.alive) return;
    await ledger.breakLeases({ owner: owner.name, evidence: 'it is dead' });
  }

  #ended(running: Running, { process }: Opened, summary: RunSummary | undefined, error: unknown): void {
    if (!process.alive) return;
    const { world, book } = this.#machine;
    const { task } = running;
    this.running.delete(running);
    // It has not seen to anything, and whoever is just ending has not heard of it.
    if (error !== undefined && running.again) task.again = true;
    const ending = { process: process.name, window: task.window.name, error, left: { ...process.open }, leases: 0 };
    book.endings.push(ending);
    if (error !== undefined) book.said.push(String(error), JSON.stringify((error as WaybillError).ids ?? {}));
    const nothingToDo = summary === undefined && error === undefined;
    if (nothingToDo) task.state = 'done';
    world.tell(process.name, `ends: ${nothingToDo ? 'nothing to do' : (summary?.run.state ?? codeOf(error))}`);
    this.#machine.end(process);
    if (!world.faulty && codeOf(error) !== 'LEASE_HELD') this.calmStarts++;
    if (summary !== undefined) this.#learn(task, summary, process);
    else this.#loads?.failed(task, error);
    if (error !== undefined && this.#mayHaveLeft(running, error)) task.state = 'waiting';
    if (this.idle) this.#loads?.allDone();
    const peaceful = this.#onceMoreInPeace(task);
    const waitMs = this.#mustWait(error) ? this.#patienceMs() : world.tape.between(0, 2_000);
    task.notBeforeMs = world.nowMs + (peaceful ? this.#patienceMs() * 3 : waitMs);
    this.#later(task.notBeforeMs - world.nowMs);
  }

  #learn(task: Task, summary: RunSummary, process: SimProcess): void {
    const { book, world } = this.#machine;
    task.last = summary;
    const atMs = world.nowMs;
    const sinceMs = process.stalledAtMs ?? atMs;
    book.saw({ process: process.name, run: summary.run, atMs, sinceMs });
    const pending = summary.lanes.some((lane) => lane.balance.pending > 0);
    if (summary.run.state === 'cancelled') task.state = 'cancelled';
    else if (summary.interrupted || summary.paused || summary.stalled.length > 0 || pending || task.again)
      task.state = 'waiting';
    else if (summary.run.state !== 'open' && summary.run.state !== 'failed') task.state = 'done';
    const begun = this.#loads !== undefined && !summary.paused;
    if ((summary.run.state !== 'open' || begun) && !summary.interrupted) task.ask = 'go-on';
    this.#loads?.heard(task, summary);
    for (const { reason } of summary.stalled) this.#followHint(reason);
  }

  /** What a person does who is told that a window that was cancelled stands in the way of this one. */
  #followHint(reason: string): void {
    const [, batch] = /settle it with waybill settle b(\d+)$/.exec(reason) ?? [];
    if (batch !== undefined) this.settle(Number(batch));
    const window = / --for (\S+) --refresh/.exec(reason)?.[1];
    const task = this.tasks.find((one) => one.window.name === window);
    if (task === undefined || this.#machine.world.faulty) return;
    this.#urgent = task;
    task.ask = 'refresh';
    task.state = 'waiting';
    this.#machine.book.orders++;
    this.#machine.world.mark('a cancelled window was settled for another one');
  }

  /**
   * Doubts that nobody could be asked about while there were troubles, or whose shard an ended process still held: one
   * more start settles them, after the lease.
   */
  #onceMoreInPeace(task: Task): boolean {
    const { world } = this.#machine;
    if (task.state !== 'done' || task.last?.run.state !== 'in-doubt' || world.faulty || task.calm) return false;
    task.state = 'waiting';
    task.calm = true;
    return true;
  }

  /** Somebody holds the run, or, when start after start finds nothing to do, a shard of it. */
  #mustWait(error: unknown): boolean {
    return codeOf(error) === 'LEASE_HELD' || this.calmStarts > 5;
  }

  /** Until a lease that nobody renews is over; the clock that it is measured by may have been put back. */
  #patienceMs(): number {
    const { scenario } = this.#machine;
    return scenario.swarm['clock-jump'] === undefined ? scenario.leaseMs / 2 : 45 * 60_000;
  }

  #died(process: SimProcess): void {
    for (const running of this.running) if (running.process === process) this.running.delete(running);
    // A person whose command broke off does not know what became of it, and has the windows started again.
    if (process.name.startsWith('person')) {
      for (const task of this.tasks) if (task.state === 'done') task.state = 'waiting';
    }
    this.#later(this.#machine.world.tape.between(1, 3_000));
  }
}

const codeOf = (error: unknown): string => (error instanceof WaybillError ? error.code : String(error));
