import { WaybillError } from '../../model/errors.ts';
import { corrupt } from '../books/corrupt.ts';
import { sqlState } from './failure.ts';
import { inTransaction } from './home.ts';
import type { Line } from './line.ts';
import type { Answered, Session } from './session.ts';

/** One transaction that writes: what it is known by once its connection is gone. */
export interface Turn {
  /** Grows by one with every transaction that wrote, whoever it was. */
  readonly n: number;
  readonly xid: string;
  readonly backend: Session['backend'];
  /** The clock of the database, in milliseconds since 1970. */
  readonly nowMs: number;
}

export const DATABASE_CLOCK = '(extract(epoch from clock_timestamp()) * 1000)::bigint';

/**
 * Begins a transaction as the only one that writes. The clock is read when its turn has come, so that no lease is
 * judged by a time before the answer of whoever came before.
 */
export async function takeTurn(session: Session, clock: string): Promise<Turn> {
  const { rows } = await session.run(
    `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
     UPDATE turn SET n = n + 1 RETURNING n, ${clock}, pg_current_xact_id()::text`,
  );
  const [n, nowMs, xid] = rows[0] as [number, number, string];
  return { n, nowMs, xid, backend: session.backend };
}

/** What is known of a COMMIT from what came back, if anything did. */
export type Fate = { readonly kind: 'committed' } | { readonly kind: 'refused'; readonly error: unknown } | 'unknown';

/** Sends the last writes and the COMMIT behind them, and reads what their answers prove. */
export async function commit(session: Session, writes: readonly Promise<Answered>[]): Promise<Fate> {
  const answers = await Promise.allSettled([...writes, session.run('COMMIT')]);
  const last = answers[answers.length - 1] as PromiseSettledResult<Answered>;
  const failed = answers.find((one) => one.status === 'rejected');
  if (last.status === 'fulfilled' && last.value.command === 'COMMIT') return { kind: 'committed' };
  if (last.status === 'fulfilled') return { kind: 'refused', error: failed?.reason };
  return isVerdict(last.reason) ? { kind: 'refused', error: last.reason } : 'unknown';
}

/** The server refused this statement and goes on; a connection that it ended proves nothing about a COMMIT. */
const isVerdict = (error: unknown): boolean =>
  sqlState(error) !== undefined && (error as { severity?: unknown }).severity === 'ERROR';

const END_OLD = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ? AND application_name = ?';
const STATUS = 'SELECT pg_xact_status(?::text::xid8), (SELECT n FROM turn)';

/**
 * Whether a transaction took place whose COMMIT got no answer. The server remembers that of every transaction; it only
 * has to be over, which it is when its connection has been ended and its row of `turn` can be had.
 * Throws LEDGER_AWAY when that cannot be found out in time.
 */
export async function resolve(line: Line, turn: Turn): Promise<boolean> {
  return await line.again('finding out whether the last transaction took place', async (session) => {
    await session.ask(END_OLD, [turn.backend.pid, turn.backend.name]);
    const status = await inTransaction(session, async () => {
      await session.run('SELECT n FROM turn FOR UPDATE');
      return (await session.ask(STATUS, [turn.xid])).rows[0];
    });
    const [word, n] = status as [string | null, number];
    const { place } = line.address;
    if (word === 'aborted') return false;
    if (word !== 'committed')
      throw new WaybillError('LEDGER_AWAY', `the server of the ledger ${place} cannot say what became of a commit`, {
        hint: 'Run the same command again: it finds what was written.',
        ids: { place, xid: turn.xid, status: word },
      });
    if (n < turn.n) throw corrupt(place, `its server took a commit and lost it (turn ${turn.n}, now ${n})`);
    return true;
  });
}
