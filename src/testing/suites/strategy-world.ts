import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Sink } from '../../connectors/connector.ts';
import { memorySource } from '../../connectors/memory/source.ts';
import type { Job, RunSummary } from '../../engine/engine.ts';
import { runJob } from '../../engine/run.ts';
import { encodeRecord } from '../../formats/encode.ts';
import { packKey } from '../../formats/keys.ts';
import { fileJournal } from '../../ledger/journal-file.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { openSqliteLedger } from '../../ledger/sqlite/open.ts';
import { folderStaging } from '../../ledger/staging-folder.ts';
import { balances } from '../../model/states.ts';
import { NO_FACTS } from '../../strategies/strategy.ts';
import { CrashPlan, crashingLedger, crashingSink, crashingStaging } from '../faults/crash.ts';
import { VirtualPorts } from '../virtual-ports.ts';
import { expect, fail } from './expect.ts';
import { type LossAsk, LossySink } from './strategy-faults.ts';
import { type Load, newestOfEachWindow, type StrategyPlace, type StrategySubject } from './strategy-subject.ts';

const FLOW = 'strategy-suite';
const LANE = 'lane';
/** Virtual time that passes in a turn in which no request is under way. */
const STEP_MS = 50;
/** A server takes its own time, in which turns go by: the first request to one takes seconds, some million turns. */
const TURNS_MAX = 40_000_000;
/** How many starts of one run it may take to bring it to its end. */
const STARTS_MAX = 4;

/** Only processes die here, no power is cut, so nothing has to reach a disk: that is ten times faster. */
const MEMORY_FOLDER = '/dev/shm';

const NEVER_DIES = Number.POSITIVE_INFINITY;

export interface StartAsk {
  /** The window is read again, although it was read before. */
  readonly refresh?: boolean;
  readonly plan?: CrashPlan;
  readonly loss?: LossAsk;
}

/** What a start came to, and how often the sink was called in it. */
export interface Started {
  readonly summary: RunSummary | 'died';
  readonly calls: number;
}

/** One ledger, one staging folder and one place that outlive the processes that use them; and the time they live in. */
export class StrategyWorld {
  readonly ports = new VirtualPorts();
  readonly place: StrategyPlace;
  readonly #subject: StrategySubject;
  readonly #folder = mkdtempSync(join(existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(), 'waybill-strategy-'));
  readonly #ledgers: Ledger[] = [];
  readonly #sinks: Sink[] = [];
  readonly #lossy: LossySink[] = [];
  #starts = 0;

  private constructor(subject: StrategySubject, place: StrategyPlace) {
    this.#subject = subject;
    this.place = place;
  }

  static async use<T>(subject: StrategySubject, work: (world: StrategyWorld) => Promise<T>): Promise<T> {
    const world = new StrategyWorld(subject, await subject.open());
    try {
      return await work(world);
    } finally {
      await world.#close();
    }
  }

  async #close(): Promise<void> {
    for (const ledger of this.#ledgers) await ledger.close();
    for (const sink of this.#sinks) await sink.close?.();
    await this.place.close?.();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A process that carries a load as far as it can, or dies. */
  async start(
    load: Load,
    { plan = new CrashPlan(NEVER_DIES), loss, refresh = false }: StartAsk = {},
  ): Promise<Started> {
    const ledger = await this.ledger();
    const lossy = new LossySink(this.ports, plan, loss);
    this.#lossy.push(lossy);
    const services = {
      ports: this.ports,
      ledger: crashingLedger(ledger, plan),
      staging: crashingStaging(folderStaging(join(this.#folder, 'staging')), plan),
      journal: fileJournal(join(this.#folder, 'journal')),
      notice: () => undefined,
    };
    const sink = this.#open();
    const ask = { owner: `process ${++this.#starts}`, leaseMs: 600_000, refresh };
    const job = this.#job(load, crashingSink(lossy.wrap(sink), plan));
    const { signal } = new AbortController();
    const running = runJob(job, ask, services, { stop: signal, abort: signal });
    // A process that has died is not heard any more, whatever its promises come to.
    running.catch(() => undefined);
    const summary = await this.#drive(Promise.race([running, plan.dead.then(() => 'died' as const)]));
    if (summary === 'died') await ledger.breakLeases({ owner: ask.owner, evidence: 'the suite ended it' });
    return { summary, calls: lossy.calls };
  }

  /** Starts the load again until nothing is left to do. */
  async finish(load: Load): Promise<RunSummary> {
    for (let start = 0; start < STARTS_MAX; start++) {
      const { summary } = await this.start(load);
      if (summary === 'died') return fail('a process that nobody ends cannot die');
      await this.arrived();
      const { pending, inDoubt } = summary.lanes[0]!.balance;
      const published = this.#subject.strategy.load === undefined || summary.stalled.length === 0;
      if (published && pending === 0 && (inDoubt === 0 || !this.settles)) return summary;
    }
    return fail(`the load ${load.window.name} was not brought to its end in ${STARTS_MAX} starts`);
  }

  /** Does the strategy find out what became of every lost answer on this sink? */
  get settles(): boolean {
    const fit = this.#subject.strategy.fit(this.#open(), this.#subject.lane?.facts ?? NO_FACTS);
    if (!fit.fits) return fail(`the strategy does not fit the sink: ${fit.reason}`);
    return fit.guarantee.rung !== 'none';
  }

  /** Lets everything that was held up on its way arrive. */
  async arrived(): Promise<void> {
    for (const lossy of this.#lossy) await this.#drive(lossy.landed());
  }

  /** Holds the books and the place against the model, after these loads were run to their end in this order. */
  async judge(runs: readonly Load[], where: string): Promise<{ readonly doubts: number }> {
    await this.arrived();
    const ledger = await this.ledger();
    const doubtful: string[] = [];
    const undone = this.#subject.model.undone?.(runs) ?? [];
    for (const load of newestOfEachWindow(runs)) {
      if (undone.includes(load)) await this.#expectUndone(ledger, load, where);
      else doubtful.push(...(await this.#doubtfulOf(ledger, load, where)));
    }
    const expected = this.#subject.model.expected(runs).map(spell);
    expectHeld((await this.place.held()).map(spell), expected, { doubtful, where });
    if (this.settles) expect(doubtful, `${where}: records in doubt, although the sink can be asked`).toEqual([]);
    expect(await ledger.read.verify(), `${where}: what is wrong with the books`).toEqual([]);
    return { doubts: doubtful.length };
  }

  /** Where loads are seen whole or not at all: what is there now is what was there before, or what will be. */
  async glance(before: readonly Load[], load: Load, where: string): Promise<void> {
    const { model } = this.#subject;
    if (model.visible === 'records') return;
    const held = (await this.place.held()).map(spell).sort();
    const states = [model.expected(before), model.between?.(before, load) ?? [], model.expected([...before, load])].map(
      (rows) => rows.map(spell).sort(),
    );
    const [old, between, whole] = states;
    if (held.join() === old!.join() || (model.between !== undefined && held.join() === between!.join())) return;
    expect(held, `${where}: what a reader sees in the middle of a load`).toEqual(whole);
  }

  /** The books say of a load that was taken out again that it is not there. */
  async #expectUndone(ledger: Ledger, { window }: Load, where: string): Promise<void> {
    const loads = await ledger.read.loads({ flow: FLOW, lane: LANE });
    const state = loads.filter((load) => load.window.name === window.name).at(-1)?.state;
    expect(state, `${where}: the load of ${window.name}, which was taken out again`).toBe('replaced');
    const run = (await ledger.read.runs({ flow: FLOW, window: window.name }))[0];
    const balance = (await ledger.read.balance(run!.id)).get(LANE);
    expect(balance, `${where}: the balance of ${window.name}, which was taken out again`).toMatchObject({
      delivered: 0,
      pending: 0,
      inDoubt: 0,
    });
  }

  async #doubtfulOf(ledger: Ledger, load: Load, where: string): Promise<readonly string[]> {
    const run = (await ledger.read.runs({ flow: FLOW, window: load.window.name }))[0];
    if (run === undefined) return fail(`${where}: the ledger knows no run of ${load.window.name}`);
    const balance = (await ledger.read.balance(run.id)).get(LANE);
    expect(balance !== undefined && balances(balance), `${where}: ${load.window.name} balances`).toBe(true);
    expect(balance, `${where}: the balance of ${load.window.name}`).toMatchObject({
      read: load.rows.length,
      pending: 0,
    });
    const doubtful: string[] = [];
    const { model } = this.#subject;
    for (const row of load.rows) {
      const key = model.key?.map((name) => row[name]);
      if (key === undefined) continue;
      const traces = await ledger.read.trace({ key: packKey(key, ledger.identity.seed)!, run: run.id });
      expect(traces.length, `${where}: traces of ${spell(row)}`).toBeGreaterThan(0);
      if (model.loads.includes(load)) expect(traces, `${where}: traces of ${spell(row)}`).toHaveLength(1);
      const { state } = traces.at(-1)!.record;
      if (state === 'in-doubt') doubtful.push(spell(row));
      else expect(state, `${where}: the state of ${spell(row)}`).toBe('delivered');
    }
    expect(doubtful.length, `${where}: records in doubt of ${load.window.name}`).toBe(balance!.inDoubt);
    return doubtful;
  }

  #open(): Sink {
    const sink = this.place.sink(this.ports);
    this.#sinks.push(sink);
    return sink;
  }

  async ledger(): Promise<Ledger> {
    const path = join(this.#folder, 'ledger.db');
    const ledger = await openSqliteLedger({ path, ports: this.ports, thread: 'main', create: true });
    this.#ledgers.push(ledger);
    return ledger;
  }

  #job({ window, rows }: Load, sink: Sink): Job {
    const { strategy, model, lane, job } = this.#subject;
    return {
      flow: FLOW,
      window,
      parameters: {},
      deliver: 'after-read',
      configDigest: 'strategy-suite',
      ...job,
      source: {
        name: 'rows',
        source: memorySource(rows, { chunkRecords: 3 }),
        key: model.key,
        exclude: [],
        onReject: 'skip',
        onDuplicate: 'report',
      },
      lanes: [
        {
          name: LANE,
          connector: 'under-test',
          sink,
          strategy,
          limits: { ...sink.limits, recordsPerBatch: Math.min(2, sink.limits.recordsPerBatch) },
          onDoubt: 'hold',
          onChanged: 'hold',
          retry: { attempts: 6, firstDelayMs: 100, maxDelayMs: 1_000, maxAgeMs: 600_000 },
          ...lane,
        },
      ],
    };
  }

  /** Lets virtual time pass until something is settled, but none while a request is really under way. */
  async #drive<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = promise.finally(() => {
      settled = true;
    });
    // Heard below, when it has settled; until then nobody waits for it.
    done.catch(() => undefined);
    for (let turn = 0; !settled; turn++) {
      if (turn >= TURNS_MAX) fail(`nothing has come of it in ${TURNS_MAX} turns`);
      await setImmediate();
      if (this.#lossy.every(({ underWay }) => underWay === 0)) await this.ports.advance(STEP_MS);
    }
    return await done;
  }
}

/** One spelling of a record, whatever order its fields are in. */
const spell = (record: object): string =>
  encodeRecord(Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))));

interface Judged {
  readonly doubtful: readonly string[];
  readonly where: string;
}

/** As often as the model says; a record in doubt may be missing. */
function expectHeld(held: readonly string[], expected: readonly string[], { doubtful, where }: Judged): void {
  const [have, want, maybe] = [tallied(held), tallied(expected), tallied(doubtful)];
  const wrong = [...new Set([...held, ...expected])].flatMap((record) => {
    const [is, most] = [have.get(record) ?? 0, want.get(record) ?? 0];
    const least = most - (maybe.get(record) ?? 0);
    return is >= least && is <= most ? [] : [`${record}: ${is} times, and should be ${least} to ${most}`];
  });
  expect(wrong, `${where}: what is held is not what the strategy promises`).toEqual([]);
}

function tallied(records: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const record of records) counts.set(record, (counts.get(record) ?? 0) + 1);
  return counts;
}
