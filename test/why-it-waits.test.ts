import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Sink } from '../src/connectors/connector.ts';
import { type MemoryAbility, memorySink } from '../src/connectors/memory/sink.ts';
import { memorySource } from '../src/connectors/memory/source.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import type { Job, Progress, RunSummary } from '../src/engine/engine.ts';
import { runJob } from '../src/engine/run.ts';
import { fileJournal } from '../src/ledger/journal-file.ts';
import { openSqliteLedger } from '../src/ledger/sqlite/open.ts';
import { folderStaging } from '../src/ledger/staging-folder.ts';
import { NotAppliedError, RefusedError } from '../src/model/errors.ts';
import { unknown, type Verdict } from '../src/model/verdict.ts';
import { drive } from '../src/testing/drive.ts';
import { testJob } from '../src/testing/job.ts';
import { VirtualPorts } from '../src/testing/virtual-ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'waybill-why-it-waits-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Turns away the first batches, as many as there are reasons. */
function turningAway(sink: Sink, reasons: readonly string[]): Sink {
  const left = [...reasons];
  const append: NonNullable<Sink['can']['append']> = async (permit) => {
    const reason = left.shift();
    if (reason !== undefined) throw new NotAppliedError(reason, { sinkAway: true, hint: 'Make room.' });
    return await sink.can.append!(permit);
  };
  return { ...sink, can: { ...sink.can, append } };
}

/** Answers the first batch by this, and writes down when it was asked. */
function puttingOff(how: () => Promise<Verdict>, at: number[]): (sink: Sink, ports: VirtualPorts) => Sink {
  return (sink, ports) => {
    const append: NonNullable<Sink['can']['append']> = async (permit) => {
      at.push(ports.monotonicMs());
      return at.length === 1 ? await how() : await sink.can.append!(permit);
    };
    return { ...sink, can: { ...sink.can, append } };
  };
}

interface Told {
  readonly heard: readonly Progress[];
  readonly summary: RunSummary;
}

/** What was told of the one lane while three records went out in batches of one. */
async function told(
  ability: MemoryAbility,
  over: (sink: Sink, ports: VirtualPorts) => Sink,
  maxAgeMs = 3_600_000,
): Promise<Told> {
  const ports = new VirtualPorts();
  const place = mkdtempSync(join(folder, 'run-'));
  const ledger = await openSqliteLedger({ path: join(place, 'ledger.db'), ports, thread: 'main', create: true });
  const heard: Progress[] = [];
  const services = {
    ports,
    ledger,
    staging: folderStaging(join(place, 'staging')),
    journal: fileJournal(join(place, 'journal')),
    notice: () => undefined,
    progress: (progress: Progress) => void heard.push(progress),
  };
  const never = new AbortController().signal;
  const sink = over(memorySink({ table: new MemoryTable(), clock: ports, abilities: [ability] }), ports);
  const running = runJob(job(sink, maxAgeMs), { owner: 'o', leaseMs: 60_000 }, services, {
    stop: never,
    abort: never,
  });
  const summary = await drive(ports, running);
  await ledger.close();
  return { heard, summary };
}

const job = (sink: Sink, maxAgeMs: number): Job =>
  testJob(memorySource([{ id: 1 }, { id: 2 }, { id: 3 }]), sink, {
    lane: {
      limits: { recordsPerBatch: 1, inFlight: 1 },
      retry: { attempts: 9, firstDelayMs: 1_000, maxDelayMs: 10_000, maxAgeMs },
    },
  });

const waits = (progress: Progress): string | undefined => progress.lanes[0]?.waits;

describe('a lane whose batches do not get through', () => {
  it('says why while it tries again, each time anew, and no longer once one got through', async () => {
    const reasons = ['there is no room', 'nobody answers'].flatMap((reason) => Array.from({ length: 4 }, () => reason));
    const { heard } = await told('append', (sink) => turningAway(sink, reasons));
    const reasonsTold = new Set(heard.map(waits));
    expect([...reasonsTold]).toEqual([undefined, 'there is no room. Make room.', 'nobody answers. Make room.']);
    expect(heard.at(-1)).toMatchObject({ stage: 'DONE', lanes: [{ balance: { delivered: 3 } }] });
    expect(waits(heard.at(-1)!)).toBeUndefined();
  });

  it('says it until the lane gives up, and then the summary does', async () => {
    const reasons = Array.from({ length: 50 }, () => 'nobody answers');
    const { heard, summary } = await told('append', (sink) => turningAway(sink, reasons), 20_000);
    expect(summary.stalled[0]?.reason).toContain('nobody answers. Make room.');
    expect([...new Set(heard.map(waits))]).toEqual([undefined, 'nobody answers. Make room.']);
    expect(waits(heard.at(-1)!)).toBeUndefined();
  });

  it('gives up at once where the sink refuses to be asked for its place', async () => {
    let asked = 0;
    const tail = async () => {
      asked++;
      throw new RefusedError('there is no folder', { reason: 'ENOTDIR', about: 'request' });
    };
    const { summary } = await told('appendAt', (sink) => ({ ...sink, facts: { ...sink.facts, tail } }));
    expect(summary).toMatchObject({
      stalled: [{ reason: 'the sink refuses every request: there is no folder' }],
      lanes: [{ attempts: 0, balance: { pending: 3 } }],
    });
    expect(asked).toBe(1);
  });
});

describe('a sink that asks to be left alone for a while', () => {
  const retryAfterMs = 600_000;
  const rejects = (sinkAway: boolean) => async () => {
    throw new NotAppliedError('not now', { sinkAway, retryAfterMs });
  };

  it.each<[string, () => Promise<Verdict>]>([
    ['since too much was sent', rejects(false)],
    ['since it is away', rejects(true)],
    ['by an answer that proves nothing', async () => ({ ...unknown(1, { summary: '503' }), retryAfterMs })],
  ])('%s is left alone, by all batches', async (_what, how) => {
    const at: number[] = [];
    await told('append', puttingOff(how, at));
    expect(at.length).toBeGreaterThanOrEqual(3);
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(retryAfterMs);
  });

  it.each([true, false])('for longer than anything is tried again is not waited for (away: %s)', async (sinkAway) => {
    const at: number[] = [];
    const { summary } = await told('append', puttingOff(rejects(sinkAway), at), 60_000);
    expect(at).toHaveLength(1);
    const reason = 'the sink asks to be left alone for longer than retry.maxAge: not now';
    expect(summary).toMatchObject({ stalled: [{ reason }], lanes: [{ balance: { pending: 3 } }] });
  });

  it('again and again is waited for as long as anything is tried again, all in all', async () => {
    const at: number[] = [];
    const { summary } = await told(
      'append',
      (sink, ports) => {
        const append = async () => {
          at.push(ports.monotonicMs());
          return await rejects(false)();
        };
        return { ...sink, can: { ...sink.can, append } };
      },
      1_500_000,
    );
    expect(at).toHaveLength(3);
    expect(summary.stalled[0]?.reason).toContain('left alone for longer');
  });
});
