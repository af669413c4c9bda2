import { retryRefused, settleByPerson } from '../../engine/person.ts';
import type { BatchRow, DoubtRow, RunRow } from '../../ledger/ledger.ts';
import { WaybillError } from '../../model/errors.ts';
import { asBatchId } from '../../model/ids.ts';
import type { FaultKind } from './faults.ts';
import { FLOW, payloadsOf } from './job.ts';
import type { Machine, Opened } from './machine.ts';
import type { SimProcess } from './process.ts';
import type { SinkEffect } from './sink-request.ts';
import type { Supervisor } from './supervisor.ts';

const ACTS: readonly FaultKind[] = [
  'operator-settles',
  'operator-cancels',
  'operator-resends',
  'operator-pauses',
  'operator-refreshes',
  'operator-retries',
  'stop-asked',
  'clock-jump',
];
const ROUNDS_MAX = 12;
const HOUR_MS = 3_600_000;
/** What an operator may be told: the ledger is busy, somebody works on it, it was decided meanwhile. */
const LOST = ['RANGE_LOST', 'BYTES_NOT_KEPT'];
const EXPECTED = new Set<string>(['LEASE_HELD', 'MOVE_FORBIDDEN', 'LEDGER_BUSY', 'FENCED', 'BATCH_UNKNOWN', ...LOST]);

/** A person who gives orders at random moments, through the same functions as the command line. */
export class Operator {
  readonly #machine: Machine;
  readonly #supervisor: Supervisor;
  #rounds = 0;

  constructor(machine: Machine, supervisor: Supervisor) {
    this.#machine = machine;
    this.#supervisor = supervisor;
    supervisor.settle = (batch) => this.#settleNamed(batch);
  }

  get idle(): boolean {
    return this.#rounds >= ROUNDS_MAX || !ACTS.some((act) => this.#machine.scenario.swarm[act] !== undefined);
  }

  begin(): void {
    const { world } = this.#machine;
    if (this.idle || !world.faulty) return;
    world.at(world.tape.between(50, 6_000), undefined, 'operator', () => {
      if (!world.faulty) return;
      this.#rounds++;
      for (const act of ACTS) if (world.fault(act)) this.#act(act);
      this.begin();
    });
  }

  /** The faults are over: sinks are up, nothing stays paused, what stalls wakes. */
  mend(): void {
    const { servers, world } = this.#machine;
    for (const server of servers) server.downUntilMs = 0;
    for (const process of this.#machine.living()) {
      process.pausedUntilMs = Math.min(process.pausedUntilMs, world.nowMs + 1);
    }
    this.#resumeAll(0);
  }

  #act(act: FaultKind): void {
    const { world } = this.#machine;
    switch (act) {
      case 'stop-asked':
        this.#supervisor.stopSomeone();
        return;
      case 'clock-jump':
        this.#jump();
        return;
      case 'operator-refreshes':
      case 'operator-resends': {
        const task = world.tape.pick(this.#supervisor.tasks);
        task.ask = act === 'operator-refreshes' ? 'refresh' : 'resend-all';
        task.state = 'waiting';
        this.#machine.book.orders++;
        this.#supervisor.poke();
        return;
      }
      default:
        this.#asProcess((opened) => this.#order(act, opened));
    }
  }

  #jump(): void {
    const { world, book } = this.#machine;
    world.wallSkewMs += world.tape.pick([60_000, HOUR_MS, -60_000, -HOUR_MS]);
    book.clockJumped();
    world.mark('the wall clock jumped');
  }

  #asProcess(work: (opened: Opened) => Promise<void>): void {
    const machine = this.#machine;
    const opened = machine.start('person');
    const { process } = opened;
    machine.book.orderBegan(process);
    work(opened).then(
      () => this.#left(process, undefined),
      (error: unknown) => this.#left(process, error),
    );
  }

  #left(process: SimProcess, error: unknown): void {
    const { book, world } = this.#machine;
    book.orderEnded(process);
    if (!process.alive) return;
    this.#machine.end(process);
    if (error === undefined) return;
    const code = error instanceof WaybillError ? error.code : String(error);
    world.tell(process.name, `is told ${code}`);
    book.said.push(String(error));
    book.check('I12', EXPECTED.has(code), () => `an order ended with ${String(error)}`);
  }

  async #order(act: FaultKind, opened: Opened): Promise<void> {
    const { world, book } = this.#machine;
    const runs = await opened.ledger.read.runs({ flow: FLOW, limit: 10 });
    if (runs.length === 0) return;
    const run = world.tape.pick(runs);
    book.orders++;
    if (act === 'operator-settles') return await this.#settle(run, opened);
    const who = 'operator';
    if (act === 'operator-cancels') return await opened.ledger.cancel({ run: run.id, who, reason: 'no need' });
    if (act === 'operator-pauses') return await this.#pause(run, opened);
    const services = {
      ledger: opened.ledger,
      payloads: ({ lane }: BatchRow) => payloadsOf({ ...opened, lane }, this.#machine),
    };
    try {
      await retryRefused({ run: run.id, who, reason: 'try again' }, services);
    } finally {
      // Some of it may have been done also when not all of it could be.
      this.#reopen(run);
    }
  }

  async #pause(run: RunRow, { ledger }: Opened): Promise<void> {
    await ledger.pause({ run: run.id, who: 'operator', reason: 'lunch' });
    const { world } = this.#machine;
    world.mark('a run was paused');
    world.at(world.tape.between(100, 20_000), undefined, 'operator', () =>
      this.#asProcess((again) => this.#resume(run, again)),
    );
  }

  async #resume(run: RunRow, { ledger }: Opened): Promise<void> {
    await ledger.resume({ run: run.id, who: 'operator' });
    this.#machine.book.orders++;
    this.#reopen(run);
  }

  /** Nobody may be left paused for ever; the ledger may be busy, so it is asked until it has been done. */
  #resumeAll(tries: number): void {
    this.#asProcess(async (opened) => {
      for (const run of await opened.ledger.read.runs({ flow: FLOW, limit: 10 })) {
        if (run.paused) await this.#resume(run, opened);
      }
      if (tries < 2) this.#machine.world.at(30_000, undefined, 'operator', () => this.#resumeAll(tries + 1));
    });
  }

  /**
   * A person who looks into the sink, and who knows that nothing of the batch is on its way. Nobody else may say
   * "delivered" or "absent"; whoever does not know says "send it again" or "give it up", and the ledger shows that.
   */
  async #settle(run: RunRow, opened: Opened): Promise<void> {
    const doubts = await opened.ledger.read.doubts({ run: run.id, limit: 20 });
    const doubt = doubts.length === 0 ? undefined : this.#machine.world.tape.pick(doubts);
    if (doubt === undefined || this.#mayStillArrive(doubt)) return;
    await this.#settleDoubt(doubt, run, opened);
  }

  async #settleDoubt(doubt: DoubtRow, run: RunRow, opened: Opened): Promise<void> {
    const as = await this.#answerFor(doubt, opened.services.staging);
    const who = 'operator';
    const ask = { batches: [doubt.id], as, who, evidence: 'looked into the sink' };
    await settleByPerson(ask, {
      ledger: opened.ledger,
      payloads: ({ lane }) => payloadsOf({ ...opened, lane }, this.#machine),
    });
    this.#machine.world.mark(`a person settled: ${as}`);
    this.#reopen(run);
  }

  /** One that stands in the way of others, as their runs have said. */
  #settleNamed(batch: number): void {
    this.#asProcess(async (opened) => {
      const { run: id } = await opened.ledger.read.batch(asBatchId(batch));
      const run = await opened.ledger.read.run(id);
      const [doubt] = (await opened.ledger.read.doubts({ run: id, limit: 20 })).filter(({ id: one }) => one === batch);
      if (doubt === undefined || this.#mayStillArrive(doubt)) return;
      this.#machine.book.orders++;
      await this.#settleDoubt(doubt, run, opened);
      this.#machine.world.mark('a person settled what stood in the way of a pull');
    });
  }

  async #answerFor(
    doubt: DoubtRow,
    staging: Opened['services']['staging'],
  ): Promise<'delivered' | 'absent' | 'resend' | 'skip'> {
    const { world } = this.#machine;
    const guess = world.tape.draw(4) === 3;
    if (guess) return world.tape.pick(['resend', 'skip']);
    void staging;
    const effects = this.#machine.servers.flatMap((server): readonly SinkEffect[] => server.effects);
    const mine = new Set(effects.filter((one) => one.request.batch.id === doubt.id).map((one) => one.index));
    const there = doubt.doubtful.filter((index) => mine.has(index)).length;
    if (there === doubt.doubtful.length) return 'delivered';
    // Under an idempotency key the engine does not take a person's word for it: the key may have been forgotten.
    if (this.#machine.scenario.rung === 'key') return 'resend';
    return there === 0 ? 'absent' : world.tape.pick(['resend', 'skip']);
  }

  #mayStillArrive(doubt: DoubtRow): boolean {
    const { network, book, processes } = this.#machine;
    if ([...network.underway].some((travel) => travel.batch === doubt.id)) return true;
    const sender = processes.find((process) => process.name === book.intendedBy(doubt.id));
    return sender?.alive === true;
  }

  #reopen(run: RunRow): void {
    const task = this.#supervisor.tasks.find((one) => one.window.name === run.window.name);
    if (task === undefined || task.state === 'cancelled') return;
    this.#supervisor.reopen(task);
  }
}
