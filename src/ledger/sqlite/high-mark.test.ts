import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Book, delivered, refusedWith } from '../../testing/suites/ledger-fixture.ts';
import type { Ledger } from '../ledger.ts';
import { openSqliteLedger } from './open.ts';

let folder = '';
let made = 0;
const at = (name: string): string => join(folder, name);
const ports = {
  wallMs: () => Date.UTC(2026, 10, 19, 6),
  monotonicMs: () => 0,
  id: () => `00000000-0000-4000-8000-${String(++made).padStart(12, '0')}`,
};
const open = (name = 'ledger.db', thread: 'main' | 'worker' = 'main', mark = 'mark'): Promise<Ledger> =>
  openSqliteLedger({ path: at(name), ports, thread, create: true, mark: at(mark) });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-mark-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A closed copy of the ledger with one batch of two delivered; then the second is delivered, too. */
async function goneOn(): Promise<void> {
  const first = await open();
  const { book, ids } = await Book.sealed(first, [2, 2]);
  const { claim } = await book.deliver(ids[0]!, delivered(2));
  await first.close();
  copyFileSync(at('ledger.db'), at('backup.db'));
  const again = await open();
  await book.through(again).deliver(ids[1]!, delivered(2), claim);
  await again.close();
}

describe('a ledger beside the mark of how far it had come', () => {
  it('opens again and again, whoever writes', async () => {
    await goneOn();
    const there = await open('ledger.db', 'worker');
    const book = await Book.open(there, { window: '2026-11-20' });
    const mark = readFileSync(at('mark'), 'latin1');
    const events = await there.read.events({ run: book.run });
    expect(mark).toContain(`has event ${String(events.at(-1)!.seq).padStart(16, '0')} `);
    await there.close();
    await (await open()).close();
  });

  it('is refused when an old backup of it stands in its place: it would send again what it has forgotten', async () => {
    await goneOn();
    copyFileSync(at('backup.db'), at('ledger.db'));
    expect(await refusedWith(open())).toBe('LEDGER_OLDER');
    rmSync(at('mark'));
    await (await open()).close();
  });

  it('is refused when its log is gone, as after a copy of the one file of a process that was killed', async () => {
    const running = await open();
    await Book.sealed(running, [2]);
    mkdirSync(at('copied'));
    copyFileSync(at('ledger.db'), at('copied/ledger.db'));
    expect(await refusedWith(open('copied/ledger.db'))).toBe('LEDGER_OLDER');
    await running.close();
  });

  it('is refused when a backup went on by itself, and so has come as far with another history', async () => {
    await goneOn();
    const mark = readFileSync(at('mark'));
    rmSync(at('mark'));
    const other = await open('backup.db');
    for (const window of ['1', '2', '3', '4', '5']) await Book.open(other, { window });
    await other.close();
    writeFileSync(at('mark'), mark);
    expect(await refusedWith(open('backup.db'))).toBe('LEDGER_OLDER');
  });

  it('opens beside a mark that is torn, or that another ledger wrote', async () => {
    await goneOn();
    copyFileSync(at('backup.db'), at('ledger.db'));
    const mark = readFileSync(at('mark'));
    for (const torn of [mark.subarray(0, 40), Buffer.alloc(128), Buffer.from(mark).fill(0x30, 60, 64)]) {
      writeFileSync(at('mark'), torn);
      await (await open()).close();
    }
    writeFileSync(at('mark'), mark);
    await (await open('another.db')).close();
  });

  it('works without one as long as the folder of the mark is missing', async () => {
    const ledger = await open('ledger.db', 'main', 'no-folder/mark');
    const { book, ids } = await Book.sealed(ledger, [2]);
    await book.deliver(ids[0]!, delivered(2));
    mkdirSync(at('no-folder'));
    expect(existsSync(at('no-folder/mark'))).toBe(false);
    await book.ledger.releaseRun(book.claim);
    await Book.open(ledger, { window: '2026-11-20' });
    expect(existsSync(at('no-folder/mark')), 'once its folder is there').toBe(true);
    await ledger.close();
  });
});
