import type { WaybillError } from '../../model/errors.ts';
import type { Submit } from '../books/books-ledger.ts';
import { Kept } from '../books/kept.ts';
import { Transaction } from '../books/transaction.ts';
import { type Command, carryOut } from '../books/verbs/all.ts';
import { COMMANDS_PER_COMMIT, closedError, type Outcome, settleWaiting, type Waiting } from '../books/waiting.ts';
import { commit, resolve, type Turn, takeTurn } from './commit.ts';
import { isAway, isPassing, ledgerError } from './failure.ts';
import type { Line } from './line.ts';
import type { PostgresStore } from './postgres-store.ts';
import type { Session } from './session.ts';

/** Commands of one transaction that took place, or the first of them that it could not take place with. */
type Tried =
  | { readonly kind: 'done'; readonly values: readonly unknown[] }
  | {
      readonly kind: 'refused';
      readonly guilty: number;
      readonly error: WaybillError;
      /** Nothing of it was written, and it may be written in a moment. */
      readonly again?: boolean;
    };

export interface WriterParts {
  readonly line: Line;
  readonly store: PostgresStore;
  readonly ledgerId: string;
  /** An expression of SQL that tells the time, in milliseconds since 1970. */
  readonly clock: () => string;
}

/**
 * The one writer of a process. Commands that are there together share a transaction, and whatever is asked while it
 * is under way goes into the next one. A command that throws takes nobody with it: what came before it is committed,
 * it alone is refused, and what comes after it goes on in the next transaction.
 */
export class PostgresWriter implements Submit {
  readonly #parts: WriterParts;
  readonly #kept = new Kept();
  #queue: Waiting[] = [];
  #working: Promise<void> | undefined;
  #closed = false;
  /** What is remembered is true as long as the next turn is the one after our last. */
  #lastTurn = -1;
  #neighbours = 0;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  submit(command: Command): Promise<unknown> {
    if (this.#closed) return Promise.reject(closedError(this.#parts.line.address.place));
    return new Promise((resolve, reject) => {
      this.#queue.push({ command, resolve, reject });
      this.#working ??= this.#work();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#working;
    await this.#parts.line.close();
  }

  async #work(): Promise<void> {
    // What is asked in the same turn of the event loop shares the first transaction, too.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const waiting = this.#queue.splice(0, COMMANDS_PER_COMMIT);
      const commands = waiting.map(({ command }) => command);
      const outcomes = await this.#carryOut(commands);
      settleWaiting(waiting, outcomes);
      // Whoever has just been answered may ask the next thing in time for the next transaction.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#working = undefined;
  }

  /** One outcome for each command, in their order. Never throws. */
  async #carryOut(commands: readonly Command[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    while (outcomes.length < commands.length) outcomes.push(...(await this.#group(commands.slice(outcomes.length))));
    return outcomes;
  }

  /** Outcomes for as many of the first commands as could be decided together; at least one. */
  async #group(commands: readonly Command[]): Promise<Outcome[]> {
    const tried = await this.#insist(commands);
    if (tried.kind === 'done') return tried.values.map((value) => ({ ok: true, value }));
    const { guilty, error } = tried;
    // The database as a whole cannot be written now: trying each command by itself would only take as long again.
    if (commands.length === 1 || isPassing(error) || error.code === 'LEDGER_WRITE')
      return commands.map(() => ({ ok: false, error }));
    // Thrown by the end of the transaction and not by a command: halving it finds out whose doing it was.
    if (guilty === commands.length) return await this.#group(commands.slice(0, Math.ceil(guilty / 2)));
    const before = guilty === 0 ? [] : await this.#group(commands.slice(0, guilty));
    // It was refused beside those: when one of them did not come about after all, it has to be asked again.
    const stands = before.length === guilty && before.every((outcome) => outcome.ok);
    return stands ? [...before, { ok: false, error }] : before;
  }

  /**
   * Tries again, for a while, as long as the server is away and it is certain that nothing was written. Never throws.
   */
  async #insist(commands: readonly Command[]): Promise<Tried> {
    const { line } = this.#parts;
    try {
      return await line.again('writing', async (session) => {
        const tried = await this.#try(session, commands);
        if (tried.kind === 'refused' && tried.again === true) throw tried.error;
        return tried;
      });
    } catch (error) {
      return { kind: 'refused', guilty: 0, error: ledgerError(error, line.address.place, 'writing') };
    }
  }

  async #try(session: Session, commands: readonly Command[]): Promise<Tried> {
    const { store, line } = this.#parts;
    const values: unknown[] = [];
    let turn: Turn;
    try {
      turn = await takeTurn(session, this.#parts.clock());
      if (turn.n !== this.#lastTurn + 1) this.#neighbours++;
      this.#kept.begin(this.#neighbours);
      await this.#carry(session, turn, commands, values);
    } catch (error) {
      await this.#rollBack(session);
      const doing = commands[values.length]?.verb ?? 'ending a transaction';
      const known = ledgerError(error, line.address.place, doing);
      return { kind: 'refused', guilty: values.length, error: known, again: isAway(known) };
    }
    const fate = await commit(session, store.send(session));
    if (fate === 'unknown') return await this.#findOut(turn, values);
    if (fate.kind === 'refused') {
      this.#kept.undo();
      const error = ledgerError(fate.error, line.address.place, 'committing');
      return { kind: 'refused', guilty: values.length, error };
    }
    this.#lastTurn = turn.n;
    return { kind: 'done', values };
  }

  async #carry(session: Session, turn: Turn, commands: readonly Command[], values: unknown[]): Promise<void> {
    const { store, ledgerId } = this.#parts;
    const tx = new Transaction(store, ledgerId, this.#kept);
    for (const command of commands)
      values.push(await store.carry(session, carryOut(tx, { ...command, nowMs: turn.nowMs })));
    await store.carry(session, tx.flush());
  }

  /** The answer to a COMMIT was lost: it took place, or it is done again, or nobody can say. */
  async #findOut(turn: Turn, values: readonly unknown[]): Promise<Tried> {
    const { line } = this.#parts;
    line.drop();
    this.#kept.undo();
    try {
      if (await resolve(line, turn)) return { kind: 'done', values };
      return {
        kind: 'refused',
        guilty: 0,
        error: ledgerError(undefined, line.address.place, 'committing'),
        again: true,
      };
    } catch (error) {
      return { kind: 'refused', guilty: 0, error: ledgerError(error, line.address.place, 'committing') };
    }
  }

  async #rollBack(session: Session): Promise<void> {
    this.#kept.undo();
    this.#parts.store.forget();
    try {
      await session.run('ROLLBACK');
    } catch (error) {
      // A connection that cannot even be rolled back is of no more use; the server ends the transaction with it.
      if (error instanceof Error) this.#parts.line.drop();
      else throw error;
    }
  }
}
