import { BooksLedger, type Submit } from '../../ledger/books/books-ledger.ts';
import { BooksReader } from '../../ledger/books/books-reader.ts';
import type { Command } from '../../ledger/books/verbs/all.ts';
import { type Outcome, settleWaiting, type Waiting } from '../../ledger/books/waiting.ts';
import type { Ledger, LedgerReader } from '../../ledger/ledger.ts';
import { answerFrom } from '../../ledger/sqlite/reader.ts';
import { Writer } from '../../ledger/sqlite/writer.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Connections, LedgerBench } from './ledger-bench.ts';
import { never, type SimProcess } from './process.ts';

/** Told of everything that a process had carried out, when it was, whether or not the process hears of it. */
export type LedgerWitness = (process: SimProcess, command: Command, outcome: Outcome) => void;

const COMMIT_MS_MAX = 6;

/**
 * The real SQLite ledger of one process. Only the moment of a commit is the simulator's: commands that are asked
 * before it share it, as they do otherwise, and a process that dies before it has written none of them.
 */
export function simLedger(
  process: SimProcess,
  bench: LedgerBench,
  connections: Connections,
  how: { local: boolean; witness: LedgerWitness },
): Ledger {
  const identity = { ...bench.identity, local: how.local };
  const reader = mortal(new BooksReader(answerFrom(connections.reading, identity.id)), process);
  const writer = new EventWriter(process, new Writer(connections.writing, identity.id), how.witness);
  // The connections are lent; the bench closes them.
  return new BooksLedger({ identity, reader, writer, ports: process.ports, closeReader: () => undefined });
}

class EventWriter implements Submit {
  readonly #process: SimProcess;
  readonly #writer: Writer;
  readonly #witness: LedgerWitness;
  #queue: Waiting[] = [];

  constructor(process: SimProcess, writer: Writer, witness: LedgerWitness) {
    this.#process = process;
    this.#writer = writer;
    this.#witness = witness;
  }

  submit(command: Command): Promise<unknown> {
    if (!this.#process.passes(`before ledger.${command.verb}`)) return never();
    this.#process.open.effects++;
    return new Promise((resolve, reject) => {
      this.#queue.push({ command, resolve, reject });
      if (this.#queue.length > 1) return;
      const { world } = this.#process;
      world.at(world.tape.between(1, COMMIT_MS_MAX), this.#process, 'commit', () => this.#flush());
    });
  }

  /** The connections are lent; the bench closes them. */
  async close(): Promise<void> {
    this.#queue = [];
  }

  #flush(): void {
    const waiting = this.#queue;
    this.#queue = [];
    this.#process.open.effects -= waiting.length;
    const { world, name } = this.#process;
    const outcomes = this.#commit(waiting);
    waiting.forEach(({ command }, at) => {
      const outcome = outcomes[at]!;
      world.tell(name, `${command.verb} ${outcome.ok ? 'done' : codeOf(outcome.error)}`);
      this.#witness(this.#process, command, outcome);
    });
    if (this.#process.passes('after commit')) settleWaiting(waiting, outcomes);
  }

  #commit(waiting: readonly Waiting[]): readonly Outcome[] {
    if (!this.#process.world.fault('ledger-busy')) {
      return this.#writer.carryOut(waiting.map(({ command }) => command));
    }
    const error = new WaybillError('LEDGER_BUSY', 'a neighbour holds the ledger');
    return waiting.map(() => ({ ok: false, error }));
  }
}

const codeOf = (error: unknown): string => (error instanceof WaybillError ? error.code : String(error));

/** A dead process gets no answers. */
function mortal(reader: BooksReader, process: SimProcess): LedgerReader {
  const asks = Object.entries(reader).filter(([, ask]) => typeof ask === 'function');
  const mortals = asks.map(([name, ask]) => [
    name,
    (...args: never[]) => process.ask(() => (ask as (...all: never[]) => Promise<unknown>)(...args)),
  ]);
  return Object.fromEntries(mortals) as unknown as LedgerReader;
}
