import type { RunAsk, RunSummary } from '../../engine/engine.ts';
import { runJob } from '../../engine/run.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Window } from '../../model/window.ts';
import type { Happening } from './heap.ts';
import { jobOf } from './job.ts';
import type { Machine, Opened } from './machine.ts';
import type { SimProcess } from './process.ts';

/** After the faults have stopped, a window needs no more starts than this, however it was left. */
const CALM_STARTS_MAX = 40;
const FAULTY_STARTS_MAX = 14;

/** One window and how far it has come, as whoever starts it again and again knows it. */
export interface Task {
  readonly window: Window;
  state: 'waiting' | 'done' | 'cancelled';
  ask: 'go-on' | 'refresh' | 'resend-all';
  starts: number;
  /** Something was given to do since its last start began. */
  again: boolean;
  last: RunSummary | undefined;
  notBeforeMs: number;
  /** Was started in peace with nothing but doubts left. */
  calm: boolean;
}

interface Running {
  readonly process: SimProcess;
  readonly task: Task;
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
  readonly #machine: Machine;
  #next: Happening | undefined;
  /** Holds up all others. */
  #urgent: Task | undefined;
  calmStarts = 0;
  starts = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
    const names = ['w1', 'w2'].slice(0, machine.scenario.windows);
    this.tasks = names.map((name) => ({
      window: { name },
      state: 'waiting',
      ask: 'go-on',
      starts: 0,
      again: false,
      last: undefined,
      notBeforeMs: 0,
      calm: false,
    }));
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
    const waiting = this.tasks.filter((one) => one.state === 'waiting');
    // Beside one window that is being worked on rather another one, where there is one, than the same once more.
    const isRun = (one: Task): boolean => [...this.running].some(({ task }) => task === one);
    const task = waiting.find((one) => one === this.#urgent) ?? waiting.find((one) => !isRun(one)) ?? waiting[0];
    if (task === undefined || this.hopeless) return;
    const twin = this.running.size > 0 && this.running.size < 3 && world.fault('twin');
    if (twin) world.mark('two processes on one window');
    const early = task.notBeforeMs > world.nowMs && !world.faulty;
    const tired = world.faulty && this.starts >= FAULTY_STARTS_MAX;
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
    const running = { process: opened.process, task, stop: new AbortController(), abort: new AbortController() };
    this.running.add(running);
    this.starts++;
    task.starts++;
    task.again = false;
    if (task === this.#urgent) this.#urgent = undefined;
    machine.world.tell(opened.process.name, `starts ${task.window.name} (${task.ask})`);
    this.#carry(running, opened).then(
      (summary) => this.#ended(running, opened, summary, undefined),
      (error: unknown) => this.#ended(running, opened, undefined, error),
    );
  }

  async #carry(running: Running, opened: Opened): Promise<RunSummary> {
    const { task, stop, abort } = running;
    await this.#releaseGone(opened, task.window);
    const ask: RunAsk = {
      owner: opened.process.name,
      leaseMs: this.#machine.scenario.leaseMs,
      ...(task.ask === 'refresh' ? { refresh: true } : {}),
      ...(task.ask === 'resend-all' ? { resendAll: { who: 'operator', reason: 'asked for' } } : {}),
    };
    const job = jobOf(task.window, opened.process, this.#machine);
    return await runJob(job, ask, opened.services, { stop: stop.signal, abort: abort.signal });
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
    const ending = { process: process.name, window: task.window.name, error, left: { ...process.open }, leases: 0 };
    book.endings.push(ending);
    if (error !== undefined) book.said.push(String(error), JSON.stringify((error as WaybillError).ids ?? {}));
    world.tell(process.name, `ends: ${summary === undefined ? codeOf(error) : summary.run.state}`);
    this.#machine.end(process);
    if (!world.faulty && codeOf(error) !== 'LEASE_HELD') this.calmStarts++;
    // Cancelled before anything was read: that is what every further start is told.
    if (codeOf(error) === 'RUN_UNKNOWN') task.state = 'cancelled';
    if (summary !== undefined) this.#learn(task, summary, process.name);
    const peaceful = this.#onceMoreInPeace(task);
    const waitMs = this.#mustWait(error) ? this.#patienceMs() : world.tape.between(0, 2_000);
    task.notBeforeMs = world.nowMs + (peaceful ? this.#patienceMs() * 3 : waitMs);
    this.#later(task.notBeforeMs - world.nowMs);
  }

  #learn(task: Task, summary: RunSummary, process: string): void {
    const { book, world } = this.#machine;
    task.last = summary;
    book.seen.push({ process, run: summary.run, atMs: world.nowMs, orders: book.orders });
    const pending = summary.lanes.some((lane) => lane.balance.pending > 0);
    if (summary.run.state === 'cancelled') task.state = 'cancelled';
    else if (summary.interrupted || summary.paused || summary.stalled.length > 0 || pending || task.again)
      task.state = 'waiting';
    else if (summary.run.state !== 'open' && summary.run.state !== 'failed') task.state = 'done';
    if (summary.run.state !== 'open' && !summary.interrupted) task.ask = 'go-on';
    for (const { reason } of summary.stalled) this.#followHint(reason);
  }

  /** What a person does who is told that a window that was cancelled stands in the way of this one. */
  #followHint(reason: string): void {
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
