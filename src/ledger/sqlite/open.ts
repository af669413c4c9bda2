import type { Clock } from '../../model/ports.ts';
import { BooksLedger, type Submit } from '../books/books-ledger.ts';
import { BooksReader } from '../books/books-reader.ts';
import type { Ledger } from '../ledger.ts';
import { ledgerError } from './failure.ts';
import { type HighMark, markOf } from './high-mark.ts';
import { createFile, openFile } from './ledger-file.ts';
import { LocalWriter } from './local-writer.ts';
import { answerFrom } from './reader.ts';
import { type ThreadOptions, WorkerWriter } from './worker-writer.ts';
import { Writer } from './writer.ts';

export interface SqliteLedgerOptions extends ThreadOptions {
  readonly path: string;
  readonly ports: Clock & { id(): string };
  /** `worker`: commits run on a thread of their own; pays from about eight lanes on. */
  readonly thread: 'main' | 'worker';
  /** Make it, and its folder, when there is none. Otherwise LEDGER_MISSING. */
  readonly create: boolean;
}

/** A ledger in one file. Several processes may have it open; each write waits for the others, up to five seconds. */
export async function openSqliteLedger(options: SqliteLedgerOptions): Promise<Ledger> {
  const { path, ports, thread, create } = options;
  if (create) createFile(path, ports.id());
  const file = openFile(path);
  try {
    const mark = markOf(options.mark, file.identity.id);
    mark?.expectReached(file.store);
    const reading = openFile(path, { readonly: true });
    const reader = new BooksReader(answerFrom(reading.store, file.identity.id));
    const closeReader = (): void => void reading.store.db.close();
    return new BooksLedger({ identity: file.identity, reader, writer: writerFor(mark), ports, closeReader });
  } catch (error) {
    file.store.db.close();
    throw ledgerError(error, path, 'opening the ledger');
  }

  function writerFor(mark: HighMark | undefined): Submit {
    // Opened and checked here in either case, so that whoever opens it hears at once what is wrong with it.
    const here = new LocalWriter(new Writer(file.store, file.identity.id, mark), path, ports);
    return thread === 'main' ? here : new WorkerWriter(path, here, options);
  }
}
