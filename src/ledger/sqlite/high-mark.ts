import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { WaybillError } from '../../model/errors.ts';
import type { EventMark } from '../books/transaction.ts';
import type { DiskNow } from '../disk.ts';
import { realDisk } from '../real-disk.ts';
import { ledgerError } from './failure.ts';
import { now, type SqliteStore } from './sqlite-store.ts';

const EVENT_AT = 'SELECT hash FROM event WHERE seq = ?';
const LINE = /^waybill ledger ([0-9a-f-]{36}) has event ([0-9]{16}) ([0-9a-f]{32}) ([0-9a-f]{8})\n$/;
const LINE_BYTES = 128;

/**
 * How far the ledger has come, written outside of it after each commit and compared when it is opened: a ledger that
 * has been restored from a backup, or has lost its log, knows nothing of what was sent since, and would send it again.
 *
 * Never synced, for that would cost as much as a commit: it is only ever behind the ledger, never ahead of it, so it
 * raises no false alarm; after a power cut it may miss the last few commits, or be torn and tell nothing at all.
 * For the same reason a mark that cannot be written is left as it was.
 */
export class HighMark {
  readonly #disk: DiskNow;
  readonly #path: string;
  readonly #ledger: string;
  #file: number | undefined;
  #failed = false;

  constructor(at: { readonly disk: DiskNow; readonly path: string; readonly ledger: string }) {
    this.#disk = at.disk;
    this.#path = at.path;
    this.#ledger = at.ledger;
  }

  write(mark: EventMark): void {
    if (this.#failed) return;
    try {
      this.#file ??= this.#disk.openMarkNow(this.#path);
      this.#disk.overwriteNow(this.#file, this.#line(mark));
    } catch (error) {
      // The folder may be made by the first batch that is staged; anything else will not get better.
      this.#failed = (error as NodeJS.ErrnoException).code !== 'ENOENT';
    }
  }

  close(): void {
    if (this.#file !== undefined) this.#disk.closeNow(this.#file);
    this.#file = undefined;
  }

  /**
   * Throws LEDGER_OLDER when the ledger is not, or no longer, the one that wrote the mark, and LEDGER_WRITE when the
   * mark cannot be read.
   */
  expectReached(store: SqliteStore): void {
    const mark = this.#readable();
    if (mark === undefined) return;
    const [row] = now(store.plain(EVENT_AT, mark.seq));
    const hash = row?.[0];
    if (hash instanceof Uint8Array && Buffer.from(hash).toString('hex') === mark.hash) return;
    const what = row === undefined ? 'has not come as far as' : 'has another history than';
    throw new WaybillError(
      'LEDGER_OLDER',
      `the ledger ${store.place} ${what} ${this.#path} says: event ${mark.seq} of it was durable once`,
      { ids: { path: store.place, mark: this.#path, event: mark.seq } },
    );
  }

  #readable(): EventMark | undefined {
    try {
      return this.#read();
    } catch (error) {
      throw ledgerError(error, this.#path, 'reading how far the ledger has come');
    }
  }

  #line({ seq, hash }: EventMark): Uint8Array {
    const text = `waybill ledger ${this.#ledger} has event ${String(seq).padStart(16, '0')} ${hash} `;
    return Buffer.from(`${text}${crc32(text).toString(16).padStart(8, '0')}\n`);
  }

  /** Undefined when there is none, when it is torn, or when another ledger wrote it. */
  #read(): EventMark | undefined {
    const bytes = new Uint8Array(LINE_BYTES);
    const text = Buffer.from(bytes.subarray(0, this.#readInto(bytes))).toString('latin1');
    const [, ledger, seq, hash, sum] = LINE.exec(text) ?? [];
    if (ledger !== this.#ledger || seq === undefined || hash === undefined || sum === undefined) return undefined;
    return crc32(text.slice(0, -9)) === Number.parseInt(sum, 16) ? { seq: Number(seq), hash } : undefined;
  }

  #readInto(bytes: Uint8Array): number {
    let file: number;
    try {
      file = this.#disk.openNow(this.#path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return 0;
      throw error;
    }
    try {
      return this.#disk.readNow(file, bytes, 0, bytes.length, 0);
    } finally {
      this.#disk.closeNow(file);
    }
  }
}

/** On the disk of this machine. */
export function markOf(path: string | undefined, ledger: string): HighMark | undefined {
  return path === undefined ? undefined : new HighMark({ disk: realDisk, path, ledger });
}
