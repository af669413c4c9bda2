import { createHash } from 'node:crypto';
import { type MemoryAbility, memorySink } from '../../connectors/memory/sink.ts';
import { memorySource } from '../../connectors/memory/source.ts';
import { MemoryTable } from '../../connectors/memory/store.ts';
import type { Job, RunSummary } from '../../engine/engine.ts';
import { runJob } from '../../engine/run.ts';
import type { Disk } from '../../ledger/disk.ts';
import type { Journal } from '../../ledger/journal.ts';
import { fileJournal } from '../../ledger/journal-file.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { type Staging, wholeOf } from '../../ledger/staging.ts';
import { folderStaging } from '../../ledger/staging-folder.ts';
import { describeError } from '../../model/errors.ts';
import { strategies } from '../../strategies/all.ts';
import { drive } from '../drive.ts';
import { testJob } from '../job.ts';
import { VirtualPorts } from '../virtual-ports.ts';
import { NEVER } from './disk-plan.ts';
import { type LedgerOnDisk, openLedgerOn } from './ledger-on-disk.ts';
import type { Names, SimDisk } from './sim-disk.ts';
import type { WasmSqlite } from './wasm-sqlite.ts';
import { asText, nameOf, Witness } from './witness.ts';

export interface MachineOptions {
  readonly names: Names;
  readonly abilities: readonly MemoryAbility[];
  readonly strategy: string;
  readonly deliver: Job['deliver'];
  /** Answers go to the journal first, as where the ledger lies on another machine. */
  readonly journalFirst: boolean;
  /** Small, so that the log is folded into the file again and again. */
  readonly checkpointPages: number;
  readonly segmentBytes: number;
  /** Mistakes to be found. Absent outside the tests of this very proof. */
  readonly mistake?: Mistake;
}

/** A planted mistake. */
export interface Mistake {
  /** Only machines like this can show it. */
  readonly among?: Partial<Pick<MachineOptions, 'names' | 'journalFirst'>>;
  readonly skip?: (kind: 'sync' | 'sync-folder', path: string) => boolean;
  /** What staging and journal write through. */
  disk?(disk: Disk): Disk;
  ledger?(ledger: Ledger): Ledger;
  staging?(staging: Staging, disk: Disk): Staging;
  journal?(journal: Journal, disk: Disk): Journal;
  /** An SQL pragma that the ledger's own is replaced by. */
  pragma?(text: string): string;
}

export type Ended =
  | { readonly how: 'done'; readonly summary: RunSummary }
  | { readonly how: 'died' }
  | { readonly how: 'failed'; readonly error: unknown };

const HOME = '/data/books';
const LEDGER = `${HOME}/ledger.db`;
export const STAGING = `${HOME}/staging`;
const MARK = `${STAGING}/ledger.mark`;
export const JOURNAL = `${LEDGER}.journal`;
const RECORDS = 20;
const rows = Array.from({ length: RECORDS }, (_, id) => ({ id, name: `member ${id} ${'.'.repeat((id * 97) % 300)}` }));

/**
 * A machine that carries one flow through any number of lives, with the real engine, ledger, staging folder and
 * journal on one simulated disk. The sink is somewhere else and outlives every power cut, and so does the witness.
 */
export class Machine {
  readonly table = new MemoryTable();
  readonly witness = new Witness();
  readonly #sqlite: WasmSqlite;
  readonly #options: MachineOptions;
  #wallMs: number | undefined;
  #lives = 0;
  disk: SimDisk;

  constructor(sqlite: WasmSqlite, disk: SimDisk, options: MachineOptions) {
    this.#sqlite = sqlite;
    this.#options = options;
    this.disk = disk;
  }

  /** From opening the ledger to closing it, or until the power goes. */
  async live(): Promise<Ended> {
    const { plan } = this.disk;
    const ports = this.#ports();
    const owner = `life ${++this.#lives}`;
    const opened: LedgerOnDisk[] = [];
    try {
      const running = this.#run(ports, owner, opened);
      // A process that is gone is not heard any more, whatever its promises come to.
      running.catch(() => undefined);
      const over = plan.over.then(() => ({ how: 'died' as const }));
      const ended = await drive(ports, Promise.race([running, over]));
      return plan.ended ? { how: 'died' } : ended;
    } catch (error) {
      return plan.ended ? { how: 'died' } : { how: 'failed', error };
    } finally {
      this.#wallMs = ports.wallMs();
      // What SQLite would still write must not reach the disk of the next life.
      plan.end('the process has ended');
      for (const one of opened) one.drop();
    }
  }

  async #run(ports: VirtualPorts, owner: string, opened: LedgerOnDisk[]): Promise<Ended> {
    const on = this.#open(ports);
    opened.push(on);
    const { staging, journal } = this.#around(this.#written());
    const ledger = this.#seen(on.ledger);
    for (let life = 1; life < this.#lives; life++)
      await ledger.breakLeases({ owner: `life ${life}`, evidence: 'the machine was started again' });
    const services = { ports, ledger, staging, journal: this.witness.journal(journal), notice: () => undefined };
    const signals = { stop: new AbortController().signal, abort: new AbortController().signal };
    const summary = await runJob(this.#job(ports), { owner, leaseMs: 600_000 }, services, signals);
    await journal.close();
    await on.ledger.close();
    return { how: 'done', summary };
  }

  /** Opens what is there as the next life would, and compares it with what must be there. One line a finding. */
  async judge(): Promise<string[]> {
    const found: string[] = [];
    let on: LedgerOnDisk | undefined;
    try {
      on = this.#open(this.#ports());
      await this.#judgeLedger(on.ledger, found);
      const { staging, journal } = this.#around(this.disk);
      await judgeStaging(on.ledger, staging, found);
      await this.#judgeJournal(journal, found);
      await on.ledger.close();
    } catch (error) {
      found.push(`cannot be read: ${describeError(error)}`);
    } finally {
      on?.drop();
    }
    return found;
  }

  async #judgeLedger(ledger: Ledger, found: string[]): Promise<void> {
    found.push(...(await ledger.read.verify()));
    const events = await ledger.read.events({ limit: 100_000 });
    const lost = this.witness.events.findIndex((event, nth) => asText(event) !== asText(events[nth]));
    if (lost !== -1) found.push(`acknowledged, but not there: ${asText(this.witness.events[lost])}`);
    for (const { batch, attempt } of this.table.calls) {
      const attempts = await ledger.read.attempts(batch).catch(() => []);
      if (!attempts.some((one) => one.attempt === attempt))
        found.push(`attempt ${attempt} of batch ${batch} was sent, and the ledger knows of no intent`);
    }
  }

  async #judgeJournal(journal: Journal, found: string[]): Promise<void> {
    const there = new Map((await journal.entries()).map((entry) => [nameOf(entry), asText(entry)]));
    for (const [name, text] of this.witness.entries)
      if (there.get(name) !== text) found.push(`written to the journal, but not there: ${name}`);
    for (const [name, text] of there)
      if (!this.witness.wasAsked(text)) found.push(`in the journal, but never written like that: ${name}`);
  }

  /** After a life that came to its end: each record is where the ledger says. */
  judgeEnd(summary: RunSummary): string[] {
    const { balance } = summary.lanes[0]!;
    const held = this.table.byKey.size > 0 ? [...this.table.byKey.values()] : this.table.effects;
    const counts = new Map<string, number>();
    for (const { key } of held) counts.set(key, (counts.get(key) ?? 0) + 1);
    const found = [...counts].filter(([, count]) => count > 1).map(([key, count]) => `${key} arrived ${count} times`);
    if (balance.read !== RECORDS) found.push(`${balance.read} of ${RECORDS} records are accounted for`);
    if (balance.pending > 0) found.push(`${balance.pending} records are left pending`);
    if (counts.size < balance.delivered) found.push(`${balance.delivered} delivered, ${counts.size} arrived`);
    if (counts.size > balance.delivered + balance.inDoubt)
      found.push(`${balance.delivered} delivered and ${balance.inDoubt} in doubt, ${counts.size} arrived`);
    return found;
  }

  #ports(): VirtualPorts {
    return new VirtualPorts(this.#wallMs === undefined ? {} : { wallMs: this.#wallMs });
  }

  #open(ports: VirtualPorts): LedgerOnDisk {
    const { checkpointPages, mistake } = this.#options;
    const pragma = mistake?.pragma;
    return openLedgerOn(this.#sqlite, this.disk, {
      path: LEDGER,
      ports,
      mark: MARK,
      checkpointPages,
      ...(pragma === undefined ? {} : { pragma }),
    });
  }

  #written(): Disk {
    return this.#options.mistake?.disk?.(this.disk) ?? this.disk;
  }

  #around(disk: Disk): { staging: Staging; journal: Journal } {
    const { mistake, segmentBytes } = this.#options;
    const staging = folderStaging(STAGING, { disk, segmentBytes });
    const journal = fileJournal(JOURNAL, disk);
    return {
      staging: mistake?.staging?.(staging, disk) ?? staging,
      journal: mistake?.journal?.(journal, disk) ?? journal,
    };
  }

  #seen(ledger: Ledger): Ledger {
    const { mistake, journalFirst } = this.#options;
    const { plan } = this.disk;
    const seen = this.witness.ledger(ledger, () => plan.ended);
    const wrong = mistake?.ledger?.(seen) ?? seen;
    if (!journalFirst) return wrong;
    const identity = { ...ledger.identity, local: false };
    return new Proxy(wrong, { get: (target, name) => (name === 'identity' ? identity : Reflect.get(target, name)) });
  }

  #job(ports: VirtualPorts): Job {
    const { abilities, strategy, deliver } = this.#options;
    const { plan } = this.disk;
    // A machine without power sends nothing and hears nothing.
    const alive = (): Promise<void> => (plan.ended ? NEVER : Promise.resolve());
    const sink = memorySink({ table: this.table, clock: ports, abilities, before: alive, after: alive });
    return testJob(memorySource(rows, { chunkRecords: 5 }), sink, {
      flow: 'powercut',
      deliver,
      lane: { strategy: strategies[strategy]!, limits: { recordsPerBatch: 3, inFlight: 2 } },
    });
  }
}

/** Every batch that the ledger has must be in the staging folder, byte for byte. */
async function judgeStaging(ledger: Ledger, staging: Staging, found: string[]): Promise<void> {
  for (const { id, root, staged, digest } of await ledger.read.batches({ limit: 10_000 })) {
    if (root !== undefined) continue;
    try {
      const { bytes } = wholeOf(await staging.read(staged));
      const there = createHash('sha256').update(bytes).digest('hex');
      if (there !== digest) found.push(`batch ${id} is not what was sealed`);
    } catch (error) {
      found.push(`batch ${id} cannot be read back: ${describeError(error)}`);
    }
  }
}
