import type { Job, Notice, Plan, RunAsk, RunSummary, Services } from '../engine/engine.ts';
import { planJob } from '../engine/plan.ts';
import { runJob } from '../engine/run.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { assert } from '../model/assert.ts';
import { describeError } from '../model/errors.ts';
import { mask } from '../model/masking.ts';
import type { Ports } from '../model/ports.ts';
import type { Window } from '../model/window.ts';
import type { Outbox } from '../status/outbox.ts';
import { requireFits } from './fits.ts';
import type { FlowConfig, StatusConfig } from './flow-config.ts';
import { requireKept } from './kept-bytes.ts';
import type { LedgerHome } from './ledger-home.ts';
import { openOutbox } from './status-outbox.ts';
import { breakIfGone, withTakeover } from './takeover.ts';
import type { PlanOptions, RunOptions } from './waybill.ts';
import { type WiredJob, type WireWorld, wireJob } from './wire.ts';

/** How often statuses are passed on while a run goes on. */
const STATUS_EVERY_MS = 2_000;

export interface RunWorld {
  readonly home: LedgerHome;
  readonly ports: Ports;
  readonly wire: WireWorld;
  readonly owner: string;
  readonly who: string;
  readonly status: StatusConfig;
}

type Tell = (notice: Notice) => void;

/** Carries a window as far as it can be carried now, taking over from processes that are proved gone. */
export async function runWindow(
  flow: FlowConfig,
  window: Window,
  options: RunOptions,
  world: RunWorld,
): Promise<RunSummary> {
  const summary = await runPrepared(flow, window, options, world, async (job) => job);
  assert(summary !== undefined, 'run.has-a-summary');
  return summary;
}

/** What is still to be found out of a job once its ledger is open; undefined: there is nothing to be done. */
export type Prepare = (job: Job, ledger: Ledger, tell: Tell) => Promise<Job | undefined>;

export async function runPrepared(
  flow: FlowConfig,
  window: Window,
  options: RunOptions,
  world: RunWorld,
  prepare: Prepare,
): Promise<RunSummary | undefined> {
  const wired = wireJob(flow, window, world.wire, options.correlationId);
  const tell: Tell = (notice) => options.notice?.({ ...notice, message: mask(notice.message) });
  try {
    await requireFits(flow.name, wired.job.lanes);
    requireKept(flow, { source: wired.job.source.source, lanes: wired.job.lanes });
    const inFlight = wired.job.lanes.reduce((sum, lane) => sum + lane.limits.inFlight, 0);
    const recordsPerBatch = Math.max(...wired.job.lanes.map((lane) => lane.limits.recordsPerBatch));
    const ledger = await world.home.open({ create: true, inFlight, recordsPerBatch });
    await releaseGone(flow.name, window, ledger, world.owner);
    const job = await prepare(wired.job, ledger, tell);
    if (job === undefined) return undefined;
    const services: Services = {
      ports: world.ports,
      ledger,
      staging: world.home.staging,
      journal: world.home.journal,
      notice: tell,
      ...(options.progress === undefined ? {} : { progress: options.progress.bind(options) }),
    };
    const ask = askOf(flow, options, world);
    return await tellingStatus(openOutbox(world.status, ledger), world.ports, tell, () =>
      withTakeover(ledger, () => runJob(job, ask, services, options.signals)),
    );
  } finally {
    await closeWired(wired, tell);
  }
}

function askOf(flow: FlowConfig, options: RunOptions, world: RunWorld): RunAsk {
  const { refresh, because, resendAll, only, leaseMs } = options;
  return {
    owner: world.owner,
    leaseMs: leaseMs ?? flow.leaseMs,
    ...(refresh === undefined ? {} : { refresh }),
    ...(because === undefined ? {} : { because }),
    ...(resendAll === undefined ? {} : { resendAll: { who: world.who, reason: resendAll.reason } }),
    ...(only === undefined ? {} : { only }),
  };
}

/**
 * A process that was killed may hold leases of shards after that of its run has run out; nobody would say so, the
 * shards would only seem busy.
 */
async function releaseGone(flow: string, window: Window, ledger: Ledger, self: string): Promise<void> {
  const [run] = await ledger.read.runs({ flow, window: window.name, newestFirst: true, limit: 1 });
  if (run?.owner !== undefined && run.owner !== self) await breakIfGone(ledger, run.owner);
}

/** Passes statuses on while the work goes on and once it has ended, however it ended. */
async function tellingStatus<T>(
  outbox: Outbox | undefined,
  ports: Ports,
  tell: Tell,
  work: () => Promise<T>,
): Promise<T> {
  if (outbox === undefined) return await work();
  const ended = new AbortController();
  const pumping = pumpUntil(outbox, ports, tell, ended.signal);
  try {
    return await work();
  } finally {
    ended.abort();
    await pumping;
    await outbox.close();
  }
}

async function pumpUntil(outbox: Outbox, ports: Ports, tell: Tell, ended: AbortSignal): Promise<void> {
  const complained = new Set<string>();
  for (let last = false; ; ) {
    for (const { emitter, failed } of await outbox.pump()) {
      if (failed === undefined || complained.has(emitter)) continue;
      complained.add(emitter);
      const message = `statuses wait for the emitter ${emitter}: ${describeError(failed)}`;
      tell({ level: 'warning', kind: 'status-waits', message, ids: { emitter } });
    }
    if (last) return;
    try {
      await ports.sleep(STATUS_EVERY_MS, ended);
    } catch (error) {
      if (!ended.aborted) throw error;
      last = true;
    }
  }
}

async function closeWired(wired: WiredJob, tell: Tell): Promise<void> {
  for (const failure of await wired.close()) {
    tell({
      level: 'warning',
      kind: 'close-failed',
      message: `closing a connection failed: ${describeError(failure)}`,
      ids: {},
    });
  }
}

export async function planWindow(
  flow: FlowConfig,
  window: Window,
  options: PlanOptions,
  world: RunWorld,
): Promise<Plan> {
  const wired = wireJob(flow, window, world.wire);
  try {
    await requireFits(flow.name, wired.job.lanes);
    requireKept(flow, { source: wired.job.source.source, lanes: wired.job.lanes });
    const ledger = await world.home.find();
    const services = { staging: world.home.staging, ...(ledger === undefined ? {} : { ledger }) };
    return await planJob(wired.job, options, services, new AbortController().signal);
  } finally {
    await wired.close();
  }
}
