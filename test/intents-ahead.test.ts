import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Source } from '../src/connectors/connector.ts';
import { type MemoryAbility, memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { Job, LaneJob, RunSummary, Services } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import type { Journal } from '../src/ledger/journal.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import type { Ledger } from '../src/ledger/ledger.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { asRunId } from '../src/model/ids.ts';
import { drive } from '../src/testing/drive.ts';
import { testJob } from '../src/testing/job.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const IN_FLIGHT = 2;
const BATCHES = 12;
const root = mkdtempSync(join(tmpdir(), 'waybill-ahead-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let worlds = 0;

/** A sink that answers nothing until it is told to, and a flow that sends it batches of one record. */
class World {
  readonly ports: VirtualPorts;
  readonly table = new MemoryTable();
  readonly stop = new AbortController();
  readonly ledger: Ledger;
  /** Requests that have reached the sink and wait there. */
  arrived = 0;
  #answer!: () => void;
  readonly #answered = new Promise<void>((resolve) => {
    this.#answer = resolve;
  });
  readonly #services: Services;

  private constructor(ports: VirtualPorts, ledger: Ledger, folder: string, journal: Journal) {
    this.ports = ports;
    this.ledger = ledger;
    this.#services = {
      ports,
      ledger,
      staging: folderStaging(join(folder, 'staging')),
      journal,
      notice: () => undefined,
    };
  }

  /** `slowJournal`: the ledger is on another machine, and an answer goes into such a journal before it. */
  static async open(slowJournal?: (journal: Journal) => Journal): Promise<World> {
    const ports = new VirtualPorts();
    const folder = join(root, String(++worlds));
    const ledger = await openSqliteLedger({ path: join(folder, 'ledger.db'), ports, thread: 'main', create: true });
    const journal = fileJournal(join(folder, 'journal'));
    if (slowJournal === undefined) return new World(ports, ledger, folder, journal);
    return new World(ports, onAnotherMachine(ledger), folder, slowJournal(journal));
  }

  start(abilities: readonly MemoryAbility[], lane: Partial<LaneJob> = {}, job: Partial<Job> = {}): Promise<RunSummary> {
    const signals = { stop: this.stop.signal, abort: new AbortController().signal };
    return runJob(
      { ...this.#job(abilities, lane), ...job },
      { owner: 'test', leaseMs: 600_000 },
      this.#services,
      signals,
    );
  }

  answer(): void {
    this.#answer();
  }

  /** How many batches the ledger would put in doubt if the process died now. */
  async exposed(): Promise<number> {
    const batches = await this.ledger.read.batches({ run: asRunId(1), limit: 100 });
    return batches.filter((batch) => batch.state === 'sending').length;
  }

  /** Gives a record only when all batches that the earlier ones have filled wait at the sink. */
  slowly(records: number): Job['source'] {
    const source = memorySource(
      Array.from({ length: records }, (_, id) => ({ id })),
      { chunkRecords: 1 },
    );
    const arrived = async (wanted: number): Promise<void> => {
      while (this.arrived < wanted) await new Promise<void>((resolve) => setImmediate(resolve));
    };
    const read = async function* (...asked: Parameters<Source['read']>): ReturnType<Source['read']> {
      let given = 0;
      for await (const chunk of source.read(...asked)) {
        // A batch is full when the record comes that it has no room for.
        await arrived(given++ - 1);
        yield chunk;
      }
    };
    return { ...this.#job([]).source, source: { ...source, read } };
  }

  #job(abilities: readonly MemoryAbility[], lane: Partial<LaneJob> = {}): Job {
    const before = async (): Promise<void> => {
      this.arrived++;
      await this.#answered;
    };
    const sink = memorySink({ table: this.table, clock: this.ports, abilities, before, requestTimeoutMs: 60_000 });
    const source = memorySource(Array.from({ length: BATCHES }, (_, id) => ({ id })));
    return testJob(source, sink, { lane: { limits: { recordsPerBatch: 1, inFlight: IN_FLIGHT }, ...lane } });
  }
}

function onAnotherMachine(ledger: Ledger): Ledger {
  const identity = { ...ledger.identity, local: false };
  const close = (): Promise<void> => ledger.close();
  return new Proxy(ledger, { get: (target, name) => ({ identity, close })[String(name)] ?? Reflect.get(target, name) });
}

/** Until so many wait at the sink and so many would be in doubt; then a while longer, in case there come more. */
async function untilThere(world: World, arrived: number, exposed: number): Promise<void> {
  const giveUpAt = performance.now() + 20_000;
  for (let there = 0; there < 10; ) {
    if (performance.now() > giveUpAt)
      throw new RangeError(`${world.arrived} arrived, ${await world.exposed()} exposed`);
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (world.arrived >= arrived && (await world.exposed()) >= exposed) there++;
  }
}

describe('a lane that delivers while its source is read', () => {
  it('U22: has as many batches on their way as it may, though each was sealed after the last had left', async () => {
    const world = await World.open();
    const slowly = { deliver: 'while-reading', source: world.slowly(5) } as const;
    const running = world.start(['append'], { limits: { recordsPerBatch: 1, inFlight: 3 } }, slowly);
    await untilThere(world, 3, 3);
    expect(world.arrived).toBe(3);
    world.answer();
    const summary = await drive(world.ports, running);
    expect(summary.lanes[0]!.balance.delivered).toBe(5);
    await world.ledger.close();
  });
});

describe('an answer that goes into the journal before the ledger', () => {
  it('G12: keeps its place until then, so that a crash leaves no more in doubt than may be under way', async () => {
    let sync!: () => void;
    const synced = new Promise<void>((resolve) => {
      sync = resolve;
    });
    let waiting = 0;
    const world = await World.open((journal) => ({
      write: async (entry) => {
        waiting++;
        await synced;
        await journal.write(entry);
      },
      entries: () => journal.entries(),
      strike: (entry) => journal.strike(entry),
      close: () => journal.close(),
    }));
    world.answer();
    const running = world.start(['append']);
    const giveUpAt = performance.now() + 20_000;
    for (let turns = 0; turns < 200 && performance.now() < giveUpAt; ) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (waiting >= IN_FLIGHT) turns++;
    }
    expect([waiting, world.arrived, await world.exposed()]).toEqual([IN_FLIGHT, IN_FLIGHT, IN_FLIGHT]);
    sync();
    const summary = await drive(world.ports, running);
    expect(summary.lanes[0]!.balance.delivered).toBe(BATCHES);
    await world.ledger.close();
  });
});

describe('intents that are written ahead of their sends', () => {
  it.each<[string, readonly MemoryAbility[], Partial<LaneJob>, number]>([
    ['none where a lost answer stays in doubt', ['append'], {}, 0],
    ['as many as may be under way where the sink can be asked', ['append', 'find'], {}, IN_FLIGHT],
    ['as many as the flow allows', ['append'], { intendAhead: 5 }, 5],
    [
      'none where batches keep their order',
      ['appendAt'],
      { intendAhead: 5, limits: { recordsPerBatch: 1, inFlight: 1 } },
      0,
    ],
  ])('U22: there are %s', async (_name, abilities, lane, ahead) => {
    const world = await World.open();
    const running = world.start(abilities, lane);
    const under = lane.limits?.inFlight ?? IN_FLIGHT;
    await untilThere(world, under, under + ahead);
    expect([world.arrived, await world.exposed()]).toEqual([under, under + ahead]);
    world.answer();
    const summary = await drive(world.ports, running);
    expect(summary.lanes[0]!.balance.delivered).toBe(BATCHES);
    expect(world.table.effects.length).toBe(BATCHES);
    await world.ledger.close();
  });

  it('U20: are taken back, not left in doubt, when the run is told to stop', async () => {
    const world = await World.open();
    const running = world.start(['append'], { intendAhead: 3 });
    await untilThere(world, IN_FLIGHT, IN_FLIGHT + 3);
    world.stop.abort();
    world.answer();
    const { balance, attempts } = (await drive(world.ports, running)).lanes[0]!;
    expect({ attempts, ...balance }).toMatchObject({
      attempts: IN_FLIGHT,
      delivered: IN_FLIGHT,
      inDoubt: 0,
      pending: BATCHES - IN_FLIGHT,
    });
    expect(world.table.effects.length).toBe(IN_FLIGHT);
    await world.ledger.close();
  });
});
