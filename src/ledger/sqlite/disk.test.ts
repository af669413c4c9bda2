import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { WaybillError } from '../../model/errors.ts';
import { Book, delivered, shardClaim } from '../../testing/suites/ledger-fixture.ts';
import { everyAnswer, tellStory } from '../../testing/suites/ledger-story.ts';
import { BooksLedger } from '../books/books-ledger.ts';
import { BooksReader } from '../books/books-reader.ts';
import type { Ledger } from '../ledger.ts';
import { openFile } from './ledger-file.ts';
import { LocalWriter } from './local-writer.ts';
import { openSqliteLedger } from './open.ts';
import { answerFrom } from './reader.ts';
import { Writer } from './writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'waybill-disk-'));
const mounts: string[] = [];
afterAll(() => {
  for (const mount of mounts) spawnSync('umount', [mount]);
  rmSync(folder, { recursive: true });
});

let nowMs = Date.UTC(2026, 10, 19, 6);
const ports = { wallMs: () => nowMs, monotonicMs: () => nowMs, id: () => '00000000-0000-4000-8000-000000000001' };
const advance = (ms: number): void => {
  nowMs += ms;
};
const open = (path: string, create = true): Promise<Ledger> =>
  openSqliteLedger({ path, ports, thread: 'main', create });

/** A small disk of its own, where this user may make one. */
function mounted(name: string, options: string): string | undefined {
  const at = join(folder, name);
  mkdirSync(at);
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', at], { stdio: 'ignore' });
  if (status !== 0) return undefined;
  mounts.push(at);
  return at;
}

async function failure(work: Promise<unknown>): Promise<WaybillError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(WaybillError);
  return error as WaybillError;
}

/** What may be full: a real disk where one can be mounted, else a file that SQLite lets grow no further. */
interface Room {
  readonly how: string;
  readonly ledger: Ledger;
  take(): void;
  give(): void;
}

async function smallRoom(): Promise<Room> {
  const disk = mounted('small', 'size=600k');
  return disk === undefined ? await limitedFile() : await fullDisk(disk);
}

async function fullDisk(disk: string): Promise<Room> {
  const filler = join(disk, 'filler');
  const take = (): void => {
    for (let size = 65_536; size >= 1; size = Math.floor(size / 4)) fill(filler, size);
  };
  const ledger = await open(join(disk, 'ledger.db'));
  return { how: 'a tmpfs of 600 KiB', ledger, take, give: () => rmSync(filler) };
}

/** Adds pieces of a size for as long as there is room for one. */
function fill(path: string, size: number): void {
  for (;;) {
    try {
      writeFileSync(path, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
      return;
    }
  }
}

async function limitedFile(): Promise<Room> {
  const path = join(folder, 'limited.db');
  await (await open(path)).close();
  const { store, identity } = openFile(path);
  const reading = openFile(path, { readonly: true }).store;
  const reader = new BooksReader(answerFrom(reading, identity.id));
  const ledger = new BooksLedger({
    identity,
    reader,
    writer: new LocalWriter(new Writer(store, identity.id), path, ports),
    ports,
    closeReader: () => void reading.db.close(),
  });
  const limit = (pages: number): unknown => store.db.pragma(`max_page_count = ${pages}`);
  return { how: 'PRAGMA max_page_count', ledger, take: () => limit(1), give: () => limit(1_000_000) };
}

describe('a disk that is full', () => {
  it('refuses writes with what to do about it, halves nothing, and goes on when there is room', async () => {
    const { how, ledger, take, give } = await smallRoom();
    console.info(`full by way of ${how}`);
    const { book, ids } = await Book.sealed(
      ledger,
      Array.from({ length: 40 }, () => 2),
    );
    const claim = shardClaim((await book.claimShard())!);
    await book.deliver(ids[0]!, delivered(2), claim);
    const before = await everyAnswer(ledger);
    take();
    // Neighbours share a commit: each of them is refused, and none is half there.
    const large = () => book.ledger.startGeneration({ ...book.claim, kind: 'refresh', reason: 'r'.repeat(200_000) });
    for (const error of [await failure(large()), ...(await Promise.all([failure(large()), failure(large())]))]) {
      expect(error).toMatchObject({ code: 'LEDGER_WRITE', ids: { sqlite: 'SQLITE_FULL' } });
      expect(error.hint).toContain('Make room');
    }
    expect(await everyAnswer(ledger)).toEqual(before);
    expect(await ledger.read.verify()).toEqual([]);
    give();
    await book.deliver(ids[1]!, delivered(2), claim);
    expect(await book.balance()).toBe('4/0/0/0/76 of 80');
    expect(await ledger.read.verify()).toEqual([]);
    await ledger.close();
  });

  it('lets a ledger be closed all the same: what was committed is there when it is opened again', async () => {
    const disk = mounted('closing', 'size=800k');
    const path = join(disk ?? folder, 'closing.db');
    const ledger = await open(path);
    // Enough that folding the log into the file would make the file grow.
    const { book, ids } = await Book.sealed(
      ledger,
      Array.from({ length: 400 }, () => 10),
    );
    await book.deliver(ids[0]!, delivered(10));
    const filler = join(disk ?? folder, 'filler');
    if (disk !== undefined) fill(filler, 1_024);
    await ledger.close();
    if (disk !== undefined) rmSync(filler);
    const again = await open(path, false);
    const states = (await again.read.batches({})).map((batch) => batch.state);
    expect(states).toEqual(['delivered', ...Array.from({ length: 399 }, () => 'sealed')]);
    expect(await again.read.verify()).toEqual([]);
    await again.close();
  });
});

describe('a place that cannot be written', () => {
  /** As root, who may write whatever its mode, the disk itself must say no. */
  const readonly = (name: string, work: (at: string) => Promise<void>) => async () => {
    const disk = mounted(name, 'size=4m');
    const at = disk ?? join(folder, name);
    await (await open(join(at, 'there.db'))).close();
    if (disk === undefined) chmodSync(at, 0o555);
    else expect(spawnSync('mount', ['-o', 'remount,ro', disk]).status).toBe(0);
    await work(at);
    if (disk === undefined) chmodSync(at, 0o755);
  };

  it(
    'is refused with what to do about it, for a new ledger and for one that is there',
    readonly('readonly', async (at) => {
      for (const name of ['new.db', 'there.db', 'deeper/new.db']) {
        const error = await failure(open(join(at, name)));
        expect(error, name).toMatchObject({ code: 'LEDGER_WRITE' });
        expect(error.hint, name).toMatch(/writ/);
        expect(error.message, name).toContain(join(at, name));
      }
    }),
  );

  it('is told apart from a folder in its place, and from a file where the folder should be', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'no folder');
    for (const path of [folder, join(file, 'ledger.db')]) {
      for (const create of [true, false]) {
        const { code, hint } = await failure(open(path, create));
        expect({ code, hinted: hint.length > 0 }, path).toEqual({
          code: expect.stringMatching(/^LEDGER_/),
          hinted: true,
        });
        expect(code, path).not.toBe('LEDGER_CORRUPT');
      }
    }
    expect(readFileSync(file, 'utf8')).toBe('no folder');
  });
});

describe('a ledger whose first page is damaged', () => {
  it('is never taken for an empty file and made anew', async () => {
    const path = join(folder, 'first-page.db');
    const ledger = await open(path);
    await tellStory(ledger, advance);
    const answers = await everyAnswer(ledger);
    await ledger.close();
    const whole = readFileSync(path);
    for (const { at, bytes, opens } of FIRST_PAGE) {
      const damaged = Buffer.from(whole);
      damaged.set(bytes, at);
      writeFileSync(path, damaged);
      if (opens) {
        const again = await open(path);
        expect(await everyAnswer(again)).toEqual(answers);
        await again.close();
      } else {
        expect((await failure(open(path))).code, `bytes ${bytes.join()} at ${at}`).toBe('LEDGER_CORRUPT');
        expect(readFileSync(path).equals(damaged), `bytes ${bytes.join()} at ${at}`).toBe(true);
      }
    }
  });
});

/** Where SQLite looks to see what is in a file. */
const FIRST_PAGE = [
  // No tables, no application, another magic word, nothing at all.
  { at: 103, bytes: [0, 0], opens: false },
  { at: 68, bytes: [0, 0, 0, 0], opens: false },
  { at: 0, bytes: [0x73], opens: false },
  { at: 0, bytes: new Array<number>(100).fill(0), opens: false },
  { at: 0, bytes: new Array<number>(4096).fill(0), opens: false },
  // No pages: the size of the file is believed instead.
  { at: 28, bytes: [0, 0, 0, 0], opens: true },
];
