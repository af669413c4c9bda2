import type { Services } from '../../engine/engine.ts';
import { freshStaging } from '../../ledger/fresh-staging.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Staging } from '../../ledger/staging.ts';
import { Book } from './book.ts';
import { Disk, simJournal, simStaging } from './disk.ts';
import type { Connections, LedgerBench } from './ledger-bench.ts';
import { simLedger } from './ledger-seam.ts';
import { Network } from './network.ts';
import { SimProcess } from './process.ts';
import type { Scenario } from './scenario.ts';
import { SinkServer } from './sink-server.ts';
import { SourceModel } from './source-model.ts';
import type { World } from './world.ts';

/** Stands where a real sink would keep its password; see the invariant about secrets. */
export interface Opened {
  readonly process: SimProcess;
  readonly ledger: Ledger;
  readonly services: Services;
}

/** What outlives processes: the disk with its ledger, the sinks, the source, the wires. */
export class Machine {
  readonly world: World;
  readonly scenario: Scenario;
  readonly bench: LedgerBench;
  readonly disk = new Disk();
  readonly book = new Book();
  readonly network: Network;
  readonly source: SourceModel;
  readonly servers: readonly SinkServer[];
  readonly processes: SimProcess[] = [];
  kills = 0;
  readonly #connections = new Map<SimProcess, Connections>();
  readonly #onDeath: ((process: SimProcess) => void)[] = [];

  constructor(world: World, scenario: Scenario, bench: LedgerBench) {
    this.world = world;
    this.scenario = scenario;
    this.bench = bench;
    this.network = new Network(world);
    this.source = new SourceModel(world, scenario);
    this.book.readingOf = (process) => this.source.readings.findLast((one) => one.process === process);
    this.book.isJournaled = (batch, attempt) => this.disk.hasAnswer(batch, attempt);
    const { rung, load, shared, visibilityLagMs, keyHorizonMs, rejectsAtomically } = scenario;
    const fences = rung === 'fence-then-look';
    const facts = { rung, visibilityLagMs, keyHorizonMs, rejectsAtomically, fences, load, shared };
    this.servers = Array.from({ length: scenario.lanes }, () => new SinkServer(world, facts));
  }

  /** Called for every process that dies, after it has. */
  onDeath(listener: (process: SimProcess) => void): void {
    this.#onDeath.push(listener);
  }

  start(kind: string): Opened {
    const process = new SimProcess(`${kind}${this.processes.length + 1}`, this.world, (dead, how) =>
      this.#died(dead, how),
    );
    this.processes.push(process);
    const connections = this.bench.lend();
    this.#connections.set(process, connections);
    const ledger = simLedger(process, this.bench, connections, {
      local: this.scenario.localLedger,
      witness: (by, command, outcome) => this.book.written(by, command, outcome),
    });
    const services: Services = {
      ports: process.ports,
      ledger,
      staging: this.#staging(process),
      journal: simJournal(this.disk, process),
      notice: ({ message, ids }) => this.book.said.push(message, JSON.stringify(ids)),
    };
    return { process, ledger, services };
  }

  #staging(process: SimProcess): Staging {
    const staging = simStaging(this.disk, process);
    return this.scenario.unkept === true ? freshStaging(staging) : staging;
  }

  /** A process has come to its end by itself. */
  end(process: SimProcess): void {
    process.end();
    this.#giveBack(process);
  }

  living(): readonly SimProcess[] {
    return this.processes.filter((process) => process.alive);
  }

  #died(process: SimProcess, how: string): void {
    this.kills++;
    if (this.book.settled.length === 0 && this.kills > 1 && process.name.startsWith('runner')) {
      this.world.mark('killed while it recovered');
    }
    this.#giveBack(process);
    if (how.startsWith('power-cut')) this.#losePower();
    for (const listener of this.#onDeath) listener(process);
  }

  #losePower(): void {
    const lost = this.disk.losePower(this.world.tape);
    this.world.mark('the power was cut');
    if (lost > 0) this.world.mark('the power was cut while something was not synced');
    for (const process of this.living()) process.die('the power is cut');
  }

  #giveBack(process: SimProcess): void {
    const connections = this.#connections.get(process);
    this.#connections.delete(process);
    if (connections !== undefined) this.bench.giveBack(connections);
  }
}
