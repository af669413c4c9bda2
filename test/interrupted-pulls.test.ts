import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { Job, RunSummary } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { HISTORY_COLUMNS, type HistoryMerge } from '../src/model/history.ts';
import { pullWindow } from '../src/model/window.ts';
import { drive } from '../src/testing/drive.ts';
import { CrashPlan, crashingLedger, crashingSink, crashingStaging } from '../src/testing/faults/crash.ts';
import { testJob } from '../src/testing/job.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

// Only processes die here, so what they write may lie in memory.
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'waybill-interrupted-pulls-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let worlds = 0;

interface Case {
  readonly deliver: Job['deliver'];
  readonly merge?: HistoryMerge;
}

/** What the source holds after each pull; each key twice, so that history has something to compare. */
const NEWS = [
  [1, 2, 3],
  [2, 4, 4],
] as const;
const rowsUpTo = (pulls: number) => NEWS.slice(0, pulls).flatMap((ids, pull) => ids.map((id) => ({ id, pull })));

/** A source that grows, a sink that knows its batches again, and processes that die. */
class World {
  readonly ports = new VirtualPorts();
  readonly table = new MemoryTable();
  readonly #folder = join(root, String(++worlds));
  readonly #ledgers: Ledger[] = [];
  readonly #case: Case;
  #survivor: Ledger | undefined;
  rows: readonly object[] = [];

  constructor(about: Case) {
    this.#case = about;
  }

  async #open(): Promise<Ledger> {
    const path = join(this.#folder, 'ledger.db');
    const ledger = await openSqliteLedger({ path, ports: this.ports, thread: 'main', create: true });
    this.#ledgers.push(ledger);
    return ledger;
  }

  async survivor(): Promise<Ledger> {
    this.#survivor ??= await this.#open();
    return this.#survivor;
  }

  async pull(nth: number, owner: string, dies?: CrashPlan): Promise<RunSummary | 'died'> {
    const plan = dies ?? new CrashPlan(Number.POSITIVE_INFINITY);
    const ledger = dies === undefined ? await this.survivor() : await this.#open();
    const services = {
      ports: this.ports,
      ledger: crashingLedger(ledger, plan),
      staging: crashingStaging(folderStaging(join(this.#folder, 'staging')), plan),
      journal: fileJournal(join(this.#folder, 'journal')),
      notice: () => undefined,
    };
    const never = new AbortController().signal;
    const running = runJob(await this.#job(nth, plan), { owner, leaseMs: 600_000 }, services, {
      stop: never,
      abort: never,
    });
    // A process that has died is not heard any more, whatever its promises come to.
    running.catch(() => undefined);
    return await drive(this.ports, Promise.race([running, plan.dead.then(() => 'died' as const)]));
  }

  async #job(nth: number, plan: CrashPlan): Promise<Job> {
    const { deliver, merge } = this.#case;
    const [position] = await (await this.survivor()).read.positions('rates');
    const range = { taken: async () => new Set<string>(), downloads: join(this.#folder, 'downloads') };
    const history =
      merge === undefined
        ? {}
        : {
            history: {
              merge,
              operation: 'op',
              ignore: merge === 'ledger' ? ['pull'] : [],
              allowEmpty: false,
              columns: HISTORY_COLUMNS,
            },
          };
    const source = memorySource(() => [...this.rows], { chunkRecords: 2, name: 'rates' });
    const sink = memorySink({ table: this.table, clock: this.ports, abilities: ['commitOnce'] });
    return testJob(source, crashingSink(sink, plan), {
      flow: 'rates',
      window: pullWindow(nth),
      deliver,
      pull: { range, ...history, ...(position === undefined ? {} : { from: position.position }) },
      source: { name: 'rates' },
      lane: { limits: { recordsPerBatch: 2, inFlight: 1 } },
    });
  }

  async close(): Promise<void> {
    for (const ledger of this.#ledgers) await ledger.close();
  }
}

/** Records of all pulls, as often as they came: without a merge nothing is left out and nothing is added. */
async function dyingAt(about: Case, at: number): Promise<{ died: boolean; texts: readonly string[] }> {
  const world = new World(about);
  try {
    let died = false;
    const plan = new CrashPlan(at);
    for (let nth = 1; nth <= NEWS.length; nth++) {
      world.rows = rowsUpTo(nth);
      if (!died && (await world.pull(nth, 'dead', plan)) === 'died') died = true;
      const ledger = await world.survivor();
      await checkState(ledger, `died ${plan.where}`);
      if (died) await ledger.breakLeases({ owner: 'dead', evidence: 'the test ended it' });
      const summary = await world.pull(nth, 'next');
      expect(summary === 'died' ? 'died' : summary.run.state, plan.where).toBe('complete');
      await checkState(ledger, `after ${plan.where}`);
    }
    expect(await (await world.survivor()).read.verify(), plan.where).toEqual([]);
    return { died, texts: world.table.effects.map((effect) => withoutTimes(effect.text)).sort() };
  } finally {
    await world.close();
  }
}

const withoutTimes = (text: string): string => text.replaceAll(/"[a-z_]+_time":"[^"]*",?/g, '');

/** The position is that of the last slice, whenever one looks; and offsets follow one another. */
async function checkState(ledger: Ledger, where: string): Promise<void> {
  const slices = await ledger.read.slices({ flow: 'rates' });
  const [position] = await ledger.read.positions('rates');
  expect(position?.position, where).toEqual(slices.at(-1)?.position);
  let next = 0;
  for (const slice of slices) {
    expect(slice.offset, where).toBe(next);
    next += slice.records;
  }
  const sealed = (await ledger.read.batches({})).reduce((sum, batch) => sum + batch.records, 0);
  expect(sealed, where).toBe(next);
}

describe('a pull whose process dies', () => {
  const cases: readonly Case[] = [
    { deliver: 'after-read' },
    { deliver: 'after-read', merge: 'ledger' },
    { deliver: 'while-reading', merge: 'upsert-stream' },
  ];
  it.each(cases)(
    'F01, F14, F17: loses and repeats nothing at any boundary: $deliver, $merge',
    async (about) => {
      const whole = await dyingAt(about, Number.POSITIVE_INFINITY);
      expect(whole.died).toBe(false);
      let at = 1;
      for (; ; at++) {
        const { died, texts } = await dyingAt(about, at);
        // A batch in doubt comes after those behind it; what there is, and under which offset, is the same.
        expect(texts, `died at boundary ${at}`).toEqual(whole.texts);
        if (!died) break;
      }
      expect(at).toBeGreaterThan(30);
    },
    240_000,
  );
});
