import { Buffer } from 'node:buffer';
import { basename, dirname, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { WaybillError } from '../model/errors.ts';
import type { Disk, DiskFile } from './disk.ts';
import type { Journal, JournalEntry } from './journal.ts';
import type { AttemptRef } from './ledger.ts';
import { realDisk } from './real-disk.ts';

/**
 * The journal as a file of lines, `<length> <crc32> <json>`, that any number of processes of one machine append to.
 * A line whose length or sum does not agree is left out: its answer counts as lost, so the batch is in doubt.
 *
 * There is no lock. Once everything is struck out, the file is renamed, read once more and then removed; a writer looks
 * after each `fsync` whether its file still has its name, and writes again when it has not. So whoever renames either
 * sees a neighbour's line, or that neighbour sees the renaming. A line that was written twice is an answer
 * that the ledger hears twice, which changes nothing.
 *
 * A file that could not be written or synced is renamed in the same way and never written again: after an error of
 * `fsync` nobody knows which pages are on the disk, and the next one would say that all is well.
 */
export function fileJournal(path: string, disk: Disk = realDisk): Journal {
  return new FileJournal(resolve(path), disk);
}

type Line =
  | { readonly kind: 'answer'; readonly entry: JournalEntry }
  | { readonly kind: 'struck'; readonly ref: AttemptRef & { readonly ledger?: string } };

interface Waiting {
  readonly line: Line;
  done(): void;
  failed(error: unknown): void;
}

class FileJournal implements Journal {
  readonly #path: string;
  /** Lines that wait for the flush that is under way; they share the next `fsync`. */
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;
  #file: DiskFile | undefined;
  /** The file that has the name now failed under the hands of this process. */
  #spoilt = false;
  #compacting: Promise<void> = Promise.resolve();
  readonly #disk: Disk;

  constructor(path: string, disk: Disk) {
    this.#path = path;
    this.#disk = disk;
  }

  write(entry: JournalEntry): Promise<void> {
    return this.#add({ kind: 'answer', entry });
  }

  async strike(ref: AttemptRef & { readonly ledger?: string }): Promise<void> {
    const { batch, attempt, ledger } = ref;
    await this.#add({ kind: 'struck', ref: { batch, attempt, ...(ledger === undefined ? {} : { ledger }) } });
    const compacting = this.#compacting.then(() => this.#compact());
    // Whoever strikes next tries again; only this one hears that it failed.
    this.#compacting = compacting.catch(() => undefined);
    await compacting.catch((error) => {
      throw this.#failed('JOURNAL_WRITE', 'clear', error);
    });
  }

  async entries(): Promise<readonly JournalEntry[]> {
    try {
      return await this.#entries();
    } catch (error) {
      throw this.#failed('JOURNAL_READ', 'read', error);
    }
  }

  async #entries(): Promise<readonly JournalEntry[]> {
    // The present file first: if a neighbour renames it now, its lines are met a second time, and not missed.
    const present = await readLines(this.#disk, this.#path);
    const open = new Map<string, JournalEntry>();
    for (const path of await this.#retired()) play(open, await readLines(this.#disk, path));
    play(open, present);
    return [...open.values()];
  }

  async close(): Promise<void> {
    await this.#flushing;
    await this.#file?.close();
    this.#file = undefined;
  }

  #add(line: Line): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ line, done, failed });
      this.#flushing ??= this.#flush();
    });
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#append(Buffer.from(group.map(({ line }) => encodeLine(line)).join(''), 'utf8'));
        for (const one of group) one.done();
      } catch (error) {
        const wrapped = this.#failed('JOURNAL_WRITE', 'write', error);
        for (const one of group) one.failed(wrapped);
      }
    }
    // In the same breath as the last look at what waits: a line that came in between would wait for ever.
    this.#flushing = undefined;
  }

  async #append(bytes: Buffer): Promise<void> {
    for (;;) {
      if (this.#spoilt) await this.#setAside();
      this.#file ??= await openForAppend(this.#disk, this.#path);
      const file = this.#file;
      await this.#write(file, bytes);
      if ((await file.identity()) === (await this.#disk.identity(this.#path))) return;
      this.#file = undefined;
      await file.close();
    }
  }

  async #write(file: DiskFile, bytes: Uint8Array): Promise<void> {
    try {
      const { bytesWritten } = await file.write(bytes, 0, bytes.length);
      if (bytesWritten < bytes.length) {
        throw new WaybillError('JOURNAL_WRITE', `only ${bytesWritten} of ${bytes.length} bytes were written`);
      }
      await file.sync();
    } catch (error) {
      this.#spoilt = true;
      throw error;
    }
  }

  async #setAside(): Promise<void> {
    await this.#retire();
    const file = this.#file;
    this.#file = undefined;
    this.#spoilt = false;
    await file?.close();
  }

  /** False when there is no file to be renamed. */
  async #retire(): Promise<boolean> {
    const last = (await this.#retired()).at(-1);
    const number = last === undefined ? 1 : numberOf(last) + 1;
    // The process id keeps two processes that retire at once from renaming onto the same name.
    return await moved(this.#disk, this.#path, `${this.#path}.${number}.${process.pid}.old`);
  }

  #failed(code: 'JOURNAL_READ' | 'JOURNAL_WRITE', doing: string, error: unknown): WaybillError {
    if (error instanceof WaybillError && error.code === code) return error;
    const about = { cause: error, ids: { path: this.#path } };
    return new WaybillError(code, `cannot ${doing} the journal ${this.#path}`, about);
  }

  async #compact(): Promise<void> {
    if ((await this.#entries()).length > 0) return;
    if (!(await this.#retire())) return;
    // Read again under the new name: a neighbour's line may have come between the last look and the renaming.
    const retired = await this.#retired();
    if ((await this.#entries()).length > 0) return;
    for (const path of retired) await this.#disk.remove(path);
  }

  /** Files that were renamed and still held something, oldest first. */
  async #retired(): Promise<readonly string[]> {
    const [folder, name] = [dirname(this.#path), `${basename(this.#path)}.`];
    const names = await this.#disk.list(folder).catch(absent<readonly string[]>([]));
    return names
      .filter((one) => one.startsWith(name) && /^[0-9]+\.[0-9]+\.old$/.test(one.slice(name.length)))
      .sort((a, b) => numberOf(a) - numberOf(b))
      .map((one) => join(folder, one));
  }
}

/** Of a retired file: `journal.<number>.<process>.old`. */
const numberOf = (path: string): number => Number(path.split('.').at(-3));

const nameOf = (entry: JournalEntry): string => `${entry.ledger}/${entry.batch}/${entry.attempt}`;

function play(open: Map<string, JournalEntry>, lines: readonly Line[]): void {
  for (const line of lines) {
    if (line.kind === 'answer') open.set(nameOf(line.entry), line.entry);
    else strikeOut(open, line.ref);
  }
}

function strikeOut(open: Map<string, JournalEntry>, ref: AttemptRef & { readonly ledger?: string }): void {
  for (const [name, entry] of open) {
    const same = entry.batch === ref.batch && entry.attempt === ref.attempt;
    if (same && (ref.ledger === undefined || ref.ledger === entry.ledger)) open.delete(name);
  }
}

async function openForAppend(disk: Disk, path: string): Promise<DiskFile> {
  const folder = dirname(path);
  const first = await disk.makeFolder(folder);
  const file = await disk.open(path, 'append');
  try {
    // A name lies in the folder above. The folder itself may be new, too, made by a process that did not live to sync.
    const topmost = Math.min(first?.length ?? folder.length, folder.length);
    await disk.syncFolder(folder);
    for (let at = folder; at.length >= topmost; at = dirname(at)) await disk.syncFolder(dirname(at));
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function moved(disk: Disk, from: string, to: string): Promise<boolean> {
  try {
    await disk.rename(from, to);
    return true;
  } catch (error) {
    return absent(false)(error);
  }
}

/** What to take for a file that is not there; any other error goes on its way. */
function absent<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return instead;
    throw error;
  };
}

// ---- lines ----

// Each line also begins with a line end: whatever a crash left half-written before it is closed off by that.
function encodeLine(line: Line): string {
  const json = JSON.stringify(line, packBytes);
  const size = Buffer.byteLength(json);
  return `\n${size.toString(16).padStart(8, '0')} ${crc32(json).toString(16).padStart(8, '0')} ${json}\n`;
}

async function readLines(disk: Disk, path: string): Promise<readonly Line[]> {
  const found = await disk.readFile(path).catch(absent(new Uint8Array()));
  const bytes = Buffer.from(found.buffer, found.byteOffset, found.byteLength);
  const lines: Line[] = [];
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(10, start);
    const end = newline === -1 ? bytes.length : newline;
    const line = decodeLine(bytes.subarray(start, end));
    if (line !== undefined) lines.push(line);
    start = end + 1;
  }
  return lines;
}

function decodeLine(bytes: Buffer): Line | undefined {
  const head = /^([0-9a-f]{8}) ([0-9a-f]{8}) $/.exec(bytes.toString('latin1', 0, 18));
  const json = bytes.subarray(18);
  if (head === null || json.length !== Number.parseInt(head[1]!, 16)) return undefined;
  if (crc32(json) !== Number.parseInt(head[2]!, 16)) return undefined;
  return JSON.parse(json.toString('utf8'), unpackBytes) as Line;
}

// Outcomes are long stretches of the same byte, digests are not: whichever of the two spellings is shorter is taken.
function packBytes(this: Record<string, unknown>, key: string, shown: unknown): unknown {
  // A Buffer has been through its own toJSON by now; its holder still has it as it is.
  const value = this[key];
  if (!(value instanceof Uint8Array)) return shown;
  const runs: number[] = [];
  for (let at = 0; at < value.length && runs.length * 2 < value.length; ) {
    const byte = value[at]!;
    let end = at + 1;
    while (end < value.length && value[end] === byte) end += 1;
    runs.push(byte, end - at);
    at = end;
  }
  const whole = runs.reduce((sum, part, index) => sum + (index % 2 === 1 ? part : 0), 0) === value.length;
  return whole ? { $runs: runs } : { $base64: Buffer.from(value).toString('base64') };
}

function unpackBytes(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('$base64' in value) return new Uint8Array(Buffer.from(String(value.$base64), 'base64'));
  if (!('$runs' in value)) return value;
  const runs = value.$runs as readonly number[];
  let size = 0;
  for (let at = 1; at < runs.length; at += 2) size += runs[at]!;
  const bytes = new Uint8Array(size);
  for (let at = 0, end = 0; at < runs.length; at += 2) {
    bytes.fill(runs[at]!, end, end + runs[at + 1]!);
    end += runs[at + 1]!;
  }
  return bytes;
}
