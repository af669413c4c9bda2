import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type MemoryAbility, memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { Job, RunSummary } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { packKeyText } from '../src/formats/keys.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { balances } from '../src/model/states.ts';
import { ALL } from '../src/model/window.ts';
import { strategies } from '../src/strategies/all.ts';
import { drive } from '../src/testing/drive.ts';
import { CrashPlan, crashingLedger, crashingSink, crashingStaging } from '../src/testing/faults/crash.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const RECORDS = 7;
const rows = Array.from({ length: RECORDS }, (_, id) => ({ id, name: `member ${id}` }));
const root = mkdtempSync(join(tmpdir(), 'waybill-crash-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let worlds = 0;

/** One ledger, one staging folder and one sink that outlive the processes that use them. */
class World {
  readonly ports = new VirtualPorts();
  readonly table = new MemoryTable();
  readonly #folder = join(root, String(++worlds));
  readonly #abilities: readonly MemoryAbility[];
  readonly #strategy: string;
  readonly #deliver: Job['deliver'];
  readonly #open: Ledger[] = [];

  constructor(abilities: readonly MemoryAbility[], strategy: string, deliver: Job['deliver']) {
    this.#abilities = abilities;
    this.#strategy = strategy;
    this.#deliver = deliver;
  }

  async ledger(): Promise<Ledger> {
    const ledger = await openSqliteLedger({
      path: join(this.#folder, 'ledger.db'),
      ports: this.ports,
      thread: 'main',
      create: true,
    });
    this.#open.push(ledger);
    return ledger;
  }

  /** A process that carries the flow as far as it can, or dies at its boundary. */
  async start(owner: string, plan: CrashPlan): Promise<RunSummary | 'died'> {
    const ledger = await this.ledger();
    const staging = folderStaging(join(this.#folder, 'staging'));
    const services = {
      ports: this.ports,
      ledger: crashingLedger(ledger, plan),
      staging: crashingStaging(staging, plan),
      journal: fileJournal(join(this.#folder, 'journal')),
      notice: () => undefined,
    };
    // Its own: what listens to the signal of a process that died is never taken off it.
    const never = new AbortController().signal;
    const signals = { stop: never, abort: never };
    const running = runJob(this.#job(plan), { owner, leaseMs: 600_000 }, services, signals);
    // A process that has died is not heard any more, whatever its promises come to.
    running.catch(() => undefined);
    return await drive(this.ports, Promise.race([running, plan.dead.then(() => 'died' as const)]));
  }

  #job(plan: CrashPlan): Job {
    const sink = memorySink({ table: this.table, clock: this.ports, abilities: this.#abilities, visibilityLagMs: 200 });
    return {
      flow: 'crash',
      window: ALL,
      parameters: {},
      deliver: this.#deliver,
      configDigest: 'c',
      source: {
        name: 'members',
        source: memorySource(rows, { chunkRecords: 3 }),
        key: ['id'],
        exclude: [],
        onReject: 'skip',
        onDuplicate: 'report',
      },
      lanes: [
        {
          name: 'api',
          connector: 'memory',
          sink: crashingSink(sink, plan),
          strategy: strategies[this.#strategy]!,
          limits: { recordsPerBatch: 2, inFlight: 2 },
          onDoubt: 'hold',
          onChanged: 'hold',
          retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 1_000, maxAgeMs: 60_000 },
        },
      ],
    };
  }

  /** How often the sink holds each record. */
  counts(): Map<number, number> {
    const counts = new Map<number, number>();
    const held = this.table.byKey.size > 0 ? [...this.table.byKey.values()] : this.table.effects;
    for (const effect of held) {
      const { id } = JSON.parse(effect.text) as { id: number };
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    return counts;
  }

  async close(): Promise<void> {
    for (const ledger of this.#open) await ledger.close();
  }
}

/** Compares what the ledger says of each record with what the sink holds. */
async function judge(world: World, summary: RunSummary, where: string): Promise<number> {
  const ledger = await world.ledger();
  const counts = world.counts();
  const balance = summary.lanes[0]!.balance;
  expect(balances(balance), `${where}: the lane balances`).toBe(true);
  expect(balance.read, `${where}: every record is accounted for`).toBe(RECORDS);
  let inDoubt = 0;
  for (const { id } of rows) {
    const key = packKeyText([String(id)], ledger.identity.seed);
    const traces = await ledger.read.trace({ key, run: summary.run.id });
    expect(traces.length, `${where}: record ${id} is known once`).toBe(1);
    const { state } = traces[0]!.record;
    const held = counts.get(id) ?? 0;
    if (state === 'delivered') expect(held, `${where}: delivered record ${id}`).toBe(1);
    else {
      expect(state, `${where}: record ${id}`).toBe('in-doubt');
      expect(held, `${where}: record ${id} in doubt`).toBeLessThanOrEqual(1);
      inDoubt++;
    }
  }
  expect(balance.inDoubt).toBe(inDoubt);
  expect(await ledger.read.verify(), where).toEqual([]);
  return inDoubt;
}

/** Dies at every boundary in turn; a second process finishes. Returns how many boundaries there were, and doubts. */
async function everyBoundary(
  abilities: readonly MemoryAbility[],
  strategy: string,
  deliver: Job['deliver'],
): Promise<{ boundaries: number; doubts: number }> {
  let doubts = 0;
  for (let at = 1; ; at++) {
    const world = new World(abilities, strategy, deliver);
    try {
      const plan = new CrashPlan(at);
      const first = await world.start('first', plan);
      const where = `${strategy} on ${abilities.join('+')}, died ${plan.where} (${at})`;
      let last = first;
      if (first === 'died') {
        const ledger = await world.ledger();
        await ledger.breakLeases({ owner: 'first', evidence: 'the test ended it' });
        last = await world.start('second', new CrashPlan(Number.POSITIVE_INFINITY));
      }
      if (last === 'died') throw new RangeError('the second process cannot die');
      const left = await judge(world, last, where);
      doubts += left;
      if (abilities.join() !== 'append') expect(left, `${where}: nothing stays in doubt`).toBe(0);
      expect(last.lanes[0]!.balance.pending, `${where}: nothing is left to send`).toBe(0);
      if (first !== 'died') return { boundaries: at - 1, doubts };
    } finally {
      await world.close();
    }
  }
}

describe('a process that dies at any of its effects', () => {
  const sinks: [readonly MemoryAbility[], string][] = [
    [['append'], 'ledgered-append'],
    [['append', 'find'], 'ledgered-append'],
    [['append', 'find', 'fence'], 'ledgered-append'],
    [['appendOnce'], 'ledgered-append'],
    [['commitOnce'], 'ledgered-append'],
    [['appendAt'], 'ledgered-append'],
    [['job'], 'ledgered-append'],
    [['put'], 'keyed'],
  ];

  it.each(sinks)(
    'U09, U22: leaves on a sink with %j (%s) each record once, or in doubt and listed',
    async (abilities, strategy) => {
      const { boundaries, doubts } = await everyBoundary(abilities, strategy, 'after-read');
      expect(boundaries).toBeGreaterThan(20);
      if (abilities.join() === 'append') expect(doubts).toBeGreaterThan(0);
    },
    60_000,
  );

  it('U09, U22: the same while batches leave before the window is read to its end', async () => {
    const { boundaries } = await everyBoundary(['append'], 'ledgered-append', 'while-reading');
    expect(boundaries).toBeGreaterThan(20);
  }, 60_000);
});
