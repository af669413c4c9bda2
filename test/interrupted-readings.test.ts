import { mkdtempSync, rmSync } from 'node:fs';
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
import { balances } from '../src/model/states.ts';
import { drive } from '../src/testing/drive.ts';
import { CrashPlan, crashingLedger, crashingSink, crashingStaging } from '../src/testing/faults/crash.ts';
import { testJob } from '../src/testing/job.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

interface Row {
  readonly id: number;
  readonly name: string;
}
interface Case {
  readonly keyed: boolean;
  readonly resumable: boolean;
  readonly deliver: Job['deliver'];
  /** The window was read once before the reading that dies. */
  readonly again: boolean;
}

const row = (id: number, name = 'member'): Row => ({ id, name });
/** Without a key two equal rows are two records, one at each end; with one, no key comes twice. */
const rowsOf = (keyed: boolean, first: boolean): Row[] => {
  const before = [row(1), row(2), row(3), keyed ? row(4) : row(1)];
  return first ? before : [...before, row(5), row(6), keyed ? row(7) : row(1)];
};

const root = mkdtempSync(join(tmpdir(), 'waybill-interrupted-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let worlds = 0;

/** A sink that knows its batches again, so that no doubt is left to explain a difference away. */
class World {
  readonly ports = new VirtualPorts();
  readonly table = new MemoryTable();
  readonly #folder = join(root, String(++worlds));
  readonly #ledgers: Ledger[] = [];
  #survivor: Ledger | undefined;
  readonly #case: Case;
  rows: readonly Row[] = [];

  constructor(about: Case) {
    this.#case = about;
  }

  async ledger(): Promise<Ledger> {
    const path = join(this.#folder, 'ledger.db');
    const ledger = await openSqliteLedger({ path, ports: this.ports, thread: 'main', create: true });
    this.#ledgers.push(ledger);
    return ledger;
  }

  /** For processes that do not die: a dead one has an opening of its own, that nobody closes for it. */
  async survivor(): Promise<Ledger> {
    this.#survivor ??= await this.ledger();
    return this.#survivor;
  }

  async start(owner: string, refresh: boolean, dies?: CrashPlan) {
    const plan = dies ?? new CrashPlan(Number.POSITIVE_INFINITY);
    const ledger = dies === undefined ? await this.survivor() : await this.ledger();
    const services = {
      ports: this.ports,
      ledger: crashingLedger(ledger, plan),
      staging: crashingStaging(folderStaging(join(this.#folder, 'staging')), plan),
      journal: fileJournal(join(this.#folder, 'journal')),
      notice: () => undefined,
    };
    const never = new AbortController().signal;
    const ask = { owner, leaseMs: 600_000, refresh };
    const running = runJob(this.#job(plan), ask, services, { stop: never, abort: never });
    // A process that has died is not heard any more, whatever its promises come to.
    running.catch(() => undefined);
    return await drive(this.ports, Promise.race([running, plan.dead.then(() => 'died' as const)]));
  }

  #job(plan: CrashPlan): Job {
    const { keyed, resumable, deliver } = this.#case;
    const source = memorySource(() => [...this.rows], { chunkRecords: 2, resumable });
    const sink = memorySink({ table: this.table, clock: this.ports, abilities: ['commitOnce'] });
    return testJob(source, crashingSink(sink, plan), { deliver, source: { key: keyed ? ['id'] : null } });
  }

  held(): string[] {
    return this.table.effects.map((effect) => effect.text).sort();
  }

  async close(): Promise<void> {
    for (const ledger of this.#ledgers) await ledger.close();
  }
}

async function finish(world: World, owner: string, refresh: boolean, where: string): Promise<RunSummary> {
  const ledger = await world.survivor();
  await ledger.breakLeases({ owner: 'dead', evidence: 'the test ended it' });
  const summary = await world.start(owner, refresh);
  if (summary === 'died') throw new RangeError('only the first process can die');
  expect(balances(summary.lanes[0]!.balance), where).toBe(true);
  expect(await ledger.read.verify(), where).toEqual([]);
  return summary;
}

/** Two processes at most die, each at its boundary; the next ones bring everything there once. */
async function dyingAt(about: Case, deaths: readonly number[]): Promise<{ died: boolean; where: string }> {
  const world = new World(about);
  try {
    if (about.again) {
      world.rows = rowsOf(about.keyed, true);
      await world.start('before', false);
    }
    world.rows = rowsOf(about.keyed, false);
    const wanted = world.rows.map((one) => JSON.stringify(one)).sort();
    const wheres: string[] = [];
    let died = false;
    for (const [nth, at] of deaths.entries()) {
      await (await world.survivor()).breakLeases({ owner: 'dead', evidence: 'the test ended it' });
      const plan = new CrashPlan(at);
      died = (await world.start('dead', about.again && nth === 0, plan)) === 'died';
      wheres.push(`died ${plan.where} (${at})`);
    }
    const where = wheres.join(', ');
    const after = await finish(world, 'second', false, where);
    // The plain start goes on with a reading that had begun; one that had not is not its business.
    if (!about.again || after.run.generation > 1) expect(world.held(), where).toEqual(wanted);
    const last = await finish(world, 'third', true, where);
    expect(world.held(), `${where}, read once more`).toEqual(wanted);
    expect(last.lanes[0]!.balance, where).toMatchObject({ read: 7, delivered: 7 });
    return { died, where };
  } finally {
    await world.close();
  }
}

describe('a reading that dies', () => {
  it('U09: at any of its effects leaves nothing out and sends nothing twice, though records are equal', async () => {
    const about: Case = { keyed: false, resumable: true, deliver: 'while-reading', again: true };
    let at = 1;
    while ((await dyingAt(about, [at])).died) at++;
    expect(at).toBeGreaterThan(20);
  });

  it.each<[string, Case, number]>([
    [
      'it had ended a reading of which something was sent',
      { keyed: true, resumable: false, deliver: 'while-reading', again: false },
      24,
    ],
    [
      'it had forgotten a reading of which nothing was sent',
      { keyed: true, resumable: false, deliver: 'after-read', again: true },
      12,
    ],
  ])(
    'U09: and whose successor dies just when %s, is made again',
    async (_, about, first) => {
      const wheres: string[] = [];
      for (let at = 3; at <= 8; at++) wheres.push((await dyingAt(about, [first, at])).where);
      const moment = /, died (before ledger.startGeneration|after ledger.(interrupt|abandon)Generation)/;
      expect(wheres.filter((where) => moment.test(where)).length, wheres.join('\n')).toBeGreaterThan(0);
    },
    60_000,
  );
});
