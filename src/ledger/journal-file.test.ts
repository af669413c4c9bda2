import { Buffer } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asBatchId, asRunId } from '../model/ids.ts';
import type { JournalEntry } from './journal.ts';
import { fileJournal } from './journal-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-journal-'));
  path = join(folder, 'deep', 'journal');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function entry(batch: number, more: Partial<JournalEntry> = {}): JournalEntry {
  return {
    ledger: 'ledger-1',
    run: asRunId(1),
    fence: 3,
    lane: 'api',
    shard: 0,
    batch: asBatchId(batch),
    attempt: 1,
    answer: {
      kind: 'verdict',
      outcomes: new Uint8Array([1, 1, 1, 2, 3]),
      refusals: [{ index: 3, code: '400', message: 'no\nname', retryable: false }],
      receipt: { summary: 'partly' },
      children: [{ picks: [3], bytes: 9, digest: new Uint8Array([0, 255, 7, 200]), reason: 'refused' }],
    },
    ...more,
  };
}

describe('fileJournal', () => {
  it('gives back what was written, in order, also to the next process', async () => {
    const journal = fileJournal(path);
    expect(await journal.entries()).toEqual([]);
    await Promise.all([journal.write(entry(1)), journal.write(entry(2)), journal.write(entry(3))]);
    await journal.strike(entry(2));
    await journal.close();
    const next = fileJournal(path);
    expect(await next.entries()).toEqual([entry(1), entry(3)]);
    await next.close();
  });

  it('keeps bytes as bytes, whatever class they come in, and many equal outcomes in a short line', async () => {
    const journal = fileJournal(path);
    const outcomes = Buffer.alloc(100_000, 1);
    await journal.write(
      entry(1, { answer: { kind: 'verdict', outcomes, refusals: [], receipt: { summary: 'ok' }, children: [] } }),
    );
    expect(statSync(path).size).toBeLessThan(400);
    const [found] = await journal.entries();
    expect(found?.answer.kind === 'verdict' && found.answer.outcomes).toEqual(new Uint8Array(100_000).fill(1));
    await journal.close();
  });

  it('leaves out a line that a crash cut short, wherever it was cut, and goes on after it', async () => {
    const journal = fileJournal(path);
    await journal.write(entry(1));
    await journal.write(entry(2));
    await journal.close();
    const whole = readFileSync(path);
    const first = whole.indexOf(10, 1);
    for (let cut = first + 1; cut < whole.length - 1; cut += 7) {
      writeFileSync(path, whole);
      truncateSync(path, cut);
      const next = fileJournal(path);
      await next.write(entry(3));
      expect((await next.entries()).map((one) => one.batch)).toEqual([1, 3]);
      await next.close();
    }
  });

  it('does not believe a line whose sum does not agree', async () => {
    const journal = fileJournal(path);
    await journal.write(entry(1));
    await journal.write(entry(2));
    await journal.close();
    const bytes = readFileSync(path);
    const at = bytes.indexOf('"shard":0');
    bytes[at + 8] = '4'.charCodeAt(0);
    writeFileSync(path, bytes);
    expect((await fileJournal(path).entries()).map((one) => one.batch)).toEqual([2]);
  });

  it('leaves no file behind once everything is struck out', async () => {
    const journal = fileJournal(path);
    await journal.write(entry(1));
    await journal.write(entry(2));
    await Promise.all([journal.strike(entry(1)), journal.strike(entry(2))]);
    expect(readdirSync(join(folder, 'deep'))).toEqual([]);
    await journal.write(entry(3));
    expect((await journal.entries()).map((one) => one.batch)).toEqual([3]);
    await journal.close();
  });

  it('strikes out the attempt of one ledger and not its namesake of another', async () => {
    const journal = fileJournal(path);
    await journal.write(entry(1));
    await journal.write(entry(1, { ledger: 'ledger-2' }));
    await journal.strike(entry(1));
    expect((await journal.entries()).map((one) => one.ledger)).toEqual(['ledger-2']);
    await journal.close();
  });

  it('loses nothing of a neighbour that writes while the file is retired', async () => {
    const [one, other] = [fileJournal(path), fileJournal(path)];
    for (let round = 0; round < 40; round++) {
      const [mine, theirs] = [entry(round * 2 + 1), entry(round * 2 + 2)];
      await one.write(mine);
      await Promise.all([one.strike(mine), other.write(theirs)]);
      expect((await one.entries()).map((found) => found.batch)).toEqual([theirs.batch]);
      await other.strike(theirs);
    }
    expect(await one.entries()).toEqual([]);
    await Promise.all([one.close(), other.close()]);
  });

  it('can be read by the owner only', async () => {
    const journal = fileJournal(path);
    await journal.write(entry(1));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'deep')).mode & 0o777).toBe(0o700);
    await journal.close();
  });

  it('says that an answer could not be written when the folder cannot be made, and works once it can', async () => {
    writeFileSync(join(folder, 'deep'), 'a file where the folder should be');
    const journal = fileJournal(path);
    await expect(journal.write(entry(1))).rejects.toMatchObject({ code: 'JOURNAL_WRITE' });
    rmSync(join(folder, 'deep'));
    await journal.write(entry(1));
    expect(await journal.entries()).toEqual([entry(1)]);
    await journal.close();
  });

  it('ignores rubbish that is longer than any line', async () => {
    const journal = fileJournal(path);
    await journal.write(entry(1));
    appendFileSync(path, Buffer.alloc(100_000));
    await journal.write(entry(2));
    expect((await journal.entries()).map((one) => one.batch)).toEqual([1, 2]);
    await journal.close();
    expect(existsSync(path)).toBe(true);
    expect(spawnSync('head', ['-c', '1', path]).status).toBe(0);
  });
});
