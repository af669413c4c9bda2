import { describeError } from '../model/errors.ts';
import type { Window } from '../model/window.ts';
import type { Job, LaneJob, RunAsk, RunSummary, Services, StopSignals } from './engine.ts';
import { laneSpec, surelyFits } from './fit-lane.ts';
import { LeaseKeeper } from './lease.ts';
import { replayJournal } from './record.ts';
import { Start, type StartFacts } from './start.ts';

/**
 * Carries one window of one flow as far as it can be carried now: reads what was not read, settles what can be
 * settled, sends what is sealed. Starting it again goes on where this start ended, however that came. Rejects when
 * the window could not be read, or when the ledger or the staged bytes cannot be trusted; everything else, doubts and
 * refusals too, is in the summary.
 */
export async function runJob(job: Job, ask: RunAsk, services: Services, signals: StopSignals): Promise<RunSummary> {
  const fits = new Map(job.lanes.map((lane) => [lane.name, surelyFits(lane)]));
  const leaseMs = leaseFor(job, ask);
  await replayJournal(services);
  const grantedAtMs = services.ports.monotonicMs();
  const opened = await services.ledger.openRun({
    flow: job.flow,
    window: job.window,
    lanes: job.lanes.map((lane) => laneSpec(lane, fits.get(lane.name)!)),
    owner: ask.owner,
    leaseMs,
    configDigest: job.configDigest,
    ...(job.correlationId === undefined ? {} : { correlationId: job.correlationId }),
  });
  const claim = { run: opened.run.id, fence: opened.fence };
  const lease = new LeaseKeeper(services.ports, { grantedAtMs, leaseMs }, () =>
    services.ledger.renewRun({ ...claim, leaseMs }),
  );
  const giveBack = async (): Promise<void> => {
    await lease.close();
    if (!lease.lost.aborted) await services.ledger.releaseRun(claim);
  };
  const elsewhere: StartFacts['elsewhere'] = (lane, window, only, when) =>
    runJob(elsewhereIn(job, lane, window), { owner: ask.owner, leaseMs, only }, quietly(services), when);
  let summary: RunSummary;
  try {
    const facts = { job, ask: { ...ask, leaseMs }, services, signals, opened, fits, lease, elsewhere };
    summary = await new Start(facts).go();
  } catch (error) {
    // Why the start failed matters more than that its lease has to run out by itself.
    await giveBack().catch((second) => tellKept(services, second));
    throw error;
  }
  await giveBack();
  return summary;
}

/** Another window of the same flow, of which only one lane is of interest. It keeps its own correlation id. */
function elsewhereIn({ correlationId: _, ...job }: Job, lane: LaneJob, window: Window): Job {
  return { ...job, lanes: [lane], window };
}

/** The progress that is told is that of the window that was asked for. */
const quietly = ({ progress: _, ...services }: Services): Services => services;

function tellKept(services: Services, error: unknown): void {
  const message = `the lease could not be given back and runs out by itself: ${describeError(error)}`;
  services.notice({ level: 'warning', kind: 'lease-kept', message, ids: {} });
}

/** A lease must outlast the longest request with room to renew it, or no permit could ever cover a send. */
function leaseFor(job: Job, ask: RunAsk): number {
  const longest = Math.max(0, ...job.lanes.map((lane) => lane.sink.requestTimeoutMs));
  return Math.max(ask.leaseMs, longest * 1.6 + 1_000);
}
