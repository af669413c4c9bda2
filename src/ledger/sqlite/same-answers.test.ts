import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { everyAnswer, tellStory } from '../../testing/suites/ledger-story.ts';
import type { Ledger } from '../ledger.ts';
import type { openSqliteLedger, SqliteLedgerOptions } from './open.ts';

// The thread is a file that Node loads, so it is built first; inside node_modules, where it finds its driver.
const root = fileURLToPath(new URL('../../../', import.meta.url));
let folder = '';
let open: typeof openSqliteLedger;

beforeAll(async () => {
  const cache = join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  folder = mkdtempSync(join(cache, 'waybill-answers-'));
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = ['-p', join(root, 'tsconfig.build.json'), '--outDir', folder, '--declaration', 'false'];
  const { stdout } = spawnSync(process.execPath, [tsc, ...args, '--sourceMap', 'false'], {
    cwd: root,
    encoding: 'utf8',
  });
  const entry = join(folder, 'ledger', 'sqlite', 'open.js');
  expect(existsSync(entry), stdout).toBe(true);
  open = ((await import(/* @vite-ignore */ pathToFileURL(entry).href)) as { openSqliteLedger: typeof open })
    .openSqliteLedger;
});
afterAll(() => rmSync(folder, { recursive: true }));

/** When its thread is there, if it has one of its own. */
async function opened(options: SqliteLedgerOptions): Promise<Ledger> {
  let threadUp!: () => void;
  const up = new Promise<void>((resolve) => {
    threadUp = resolve;
  });
  const ledger = await open({ ...options, threadUp });
  if (options.thread === 'worker') await up;
  return ledger;
}

/** The same clock and the same ids for each ledger, so that nothing but its thread may make a difference. */
async function told(thread: 'main' | 'worker', reopened: 'main' | 'worker'): Promise<Map<string, string>> {
  let [nowMs, ids] = [Date.UTC(2026, 10, 19, 6), 0];
  const id = (): string => `00000000-0000-4000-8000-${String(++ids).padStart(12, '0')}`;
  const ports = { wallMs: () => nowMs, monotonicMs: () => nowMs, id };
  const path = join(folder, `${thread}-${reopened}`, 'ledger.db');
  const ledger = await opened({ path, ports, thread, create: true });
  await tellStory(ledger, (ms) => {
    nowMs += ms;
  });
  const answers = await everyAnswer(ledger);
  expect(await ledger.read.verify()).toEqual([]);
  await ledger.close();
  const again = await opened({ path, ports, thread: reopened, create: false });
  expect(await everyAnswer(again)).toEqual(answers);
  await again.close();
  return answers;
}

it('answers every question alike, whichever thread wrote it and whichever thread writes on', async () => {
  const main = await told('main', 'worker');
  const worker = await told('worker', 'main');
  expect(worker).toEqual(main);
  // The story has been told, and told whole.
  expect(main.size).toBeGreaterThan(150);
  expect(JSON.parse(main.get('doubts') as string)).not.toEqual([]);
  expect([...main.values()].filter((answer) => answer.startsWith('refused: ')).sort()).toEqual(
    expect.arrayContaining(['refused: BATCH_UNKNOWN', 'refused: RUN_UNKNOWN']),
  );
});
