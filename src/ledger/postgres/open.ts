import { BooksLedger } from '../books/books-ledger.ts';
import { BooksReader } from '../books/books-reader.ts';
import type { Ledger } from '../ledger.ts';
import type { PostgresAddress } from './address.ts';
import { DATABASE_CLOCK } from './commit.ts';
import { newBirth, openHome } from './home.ts';
import { Line, type LinePorts } from './line.ts';
import { PostgresStore } from './postgres-store.ts';
import { answerFrom } from './reader.ts';
import { PostgresWriter } from './writer.ts';

export interface PostgresLedgerOptions {
  readonly address: PostgresAddress;
  readonly ports: LinePorts;
  /** Make it when there is none. Otherwise LEDGER_MISSING. */
  readonly create: boolean;
  /** An expression of SQL for the time, in milliseconds since 1970; the clock of the database when absent. */
  readonly clock?: () => string;
}

/**
 * A ledger in a schema of a PostgreSQL server, for several processes on several machines. Each writes through one
 * connection and reads through another; leases go by the clock of the database.
 */
export async function openPostgresLedger(options: PostgresLedgerOptions): Promise<Ledger> {
  const { address, ports, create, clock = () => DATABASE_CLOCK } = options;
  const id = ports.id();
  const writing = new Line(address, ports, `waybill-ledger-${id}-w`);
  const reading = new Line(address, ports, `waybill-ledger-${id}-r`);
  try {
    const birth = create ? newBirth(ports.id()) : undefined;
    const { identity, types } = await writing.again('opening the ledger', (session) =>
      openHome(session, address, birth),
    );
    const storeFor = (): PostgresStore => new PostgresStore(address.place, identity.seed, types);
    return new BooksLedger({
      identity,
      reader: new BooksReader(answerFrom(reading, identity.id, storeFor())),
      writer: new PostgresWriter({ line: writing, store: storeFor(), ledgerId: identity.id, clock }),
      ports,
      closeReader: () => reading.close(),
    });
  } catch (error) {
    await writing.close();
    throw error;
  }
}
