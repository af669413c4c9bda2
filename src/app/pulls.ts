import { join } from 'node:path';
import type { Look, PullRange } from '../connectors/connector.ts';
import type { Job, Plan, PullJob, RunSummary } from '../engine/engine.ts';
import { planJob } from '../engine/plan.ts';
import type { Ledger, RunRow } from '../ledger/ledger.ts';
import { WaybillError } from '../model/errors.ts';
import type { Position } from '../model/position.ts';
import type { RunState } from '../model/states.ts';
import { isPull, pullNumber, pullWindow, type Window } from '../model/window.ts';
import { requireFits } from './fits.ts';
import type { FlowConfig } from './flow-config.ts';
import { requireKept } from './kept-bytes.ts';
import { type Prepare, type RunWorld, runPrepared } from './running.ts';
import type { LookOutcome, PullOptions, PullOutcome, RunOptions } from './waybill.ts';
import { wireJob } from './wire.ts';

/** What comes of a pull may still be under way, or need another try; what is paused or cancelled is left alone. */
const UNFINISHED: readonly RunState[] = ['open', 'failed', 'in-doubt'];

/**
 * Reads what is new, after whatever earlier pulls have left unfinished. A pull that stops half-way stops the ones
 * after it: they would go on from where it stands.
 */
export async function pull(flow: FlowConfig, options: PullOptions, world: RunWorld): Promise<PullOutcome> {
  const runs: RunSummary[] = [];
  for (const run of await unfinished(flow, world)) {
    const summary = await goOn(flow, run.window, options, world);
    if (summary === undefined) continue;
    runs.push(summary);
    if (summary.interrupted || summary.paused || summary.stalled.length > 0) return { runs };
  }
  let look: LookOutcome | undefined;
  const prepare: Prepare = async (job, ledger, tell) => {
    const prepared = await pulling(job, flow, ledger, { ...options, tell, downloads: world.home.downloadsFolder });
    look = await lookAt(prepared, options, tell);
    // A look is told of once it is known what came of it: only one in vain leaves nothing else behind.
    await ledger.looked({ flow: flow.name, sourceName: job.source.name, ...look });
    return look.kind === 'new' ? prepared : undefined;
  };
  const fresh = await runPrepared(flow, await nextWindow(flow, world), options, world, prepare);
  return { runs: fresh === undefined ? runs : [...runs, fresh], ...(look === undefined ? {} : { look }) };
}

/** A pull that has been begun: what it has not read yet is read, and no other look is taken. */
export async function goOn(
  flow: FlowConfig,
  window: Window,
  options: RunOptions,
  world: RunWorld,
): Promise<RunSummary | undefined> {
  if (options.refresh === true || options.resendAll !== undefined) throw notAgain(flow, window);
  return await runPrepared(flow, window, options, world, async (job, ledger, tell) => {
    const [run] = await ledger.read.runs({ flow: flow.name, window: window.name, limit: 1 });
    if (run === undefined) throw noSuchPull(flow, window);
    return await pulling(job, flow, ledger, { ...options, tell, downloads: world.home.downloadsFolder });
  });
}

export async function planPull(flow: FlowConfig, window: string | undefined, world: RunWorld): Promise<Plan> {
  const at = window === undefined ? await nextWindow(flow, world) : pullWindow(pullNumber(window) ?? Number(window));
  const wired = wireJob(flow, at, world.wire);
  try {
    await requireFits(flow.name, wired.job.lanes);
    requireKept(flow, { source: wired.job.source.source, lanes: wired.job.lanes });
    const ledger = await world.home.find();
    const services = { staging: world.home.staging, ...(ledger === undefined ? {} : { ledger }) };
    const signal = new AbortController().signal;
    const how = {
      signals: { stop: signal, abort: signal },
      tell: () => undefined,
      downloads: world.home.downloadsFolder,
    };
    const job = await pulling(wired.job, flow, ledger, how);
    const look = await lookAt(job, { signals: how.signals }, how.tell);
    return await planJob(job, look.kind === 'new' ? {} : { nothingNew: look.why }, services, signal);
  } finally {
    await wired.close();
  }
}

async function unfinished(flow: FlowConfig, world: RunWorld): Promise<readonly RunRow[]> {
  const ledger = await world.home.find();
  if (ledger === undefined) return [];
  const found: RunRow[] = [];
  for (const state of UNFINISHED) found.push(...(await ledger.read.runs({ flow: flow.name, state, limit: 1000 })));
  return found.filter((run) => isPull(run.window.name) && !run.paused).sort((a, b) => a.id - b.id);
}

async function nextWindow(flow: FlowConfig, world: RunWorld): Promise<Window> {
  const ledger = await world.home.find();
  if (ledger === undefined) return pullWindow(1);
  // Windows that were cut by time, before the flow was changed, are no pulls.
  for (let after: number | undefined; ; ) {
    const page = await ledger.read.runs({
      flow: flow.name,
      newestFirst: true,
      limit: 100,
      ...(after === undefined ? {} : { after }),
    });
    const last = page.find((run) => isPull(run.window.name));
    if (last !== undefined) return pullWindow(pullNumber(last.window.name)! + 1);
    after = page.at(-1)?.id;
    if (after === undefined) return pullWindow(1);
  }
}

interface Pulling extends Pick<PullOptions, 'force' | 'take' | 'signals'> {
  readonly downloads: string;
  tell(notice: { level: 'info' | 'warning'; kind: string; message: string; ids: Record<string, unknown> }): void;
}

/** The job with what it needs to read only what is new. Throws PULL_IMPOSSIBLE. */
async function pulling(job: Job, flow: FlowConfig, ledger: Ledger | undefined, how: Pulling): Promise<Job> {
  const { name, source } = job.source;
  if (source.pulls === undefined) throw cannotPull(flow);
  const stored = (await ledger?.read.positions(flow.name))?.find(({ position }) => position.sourceName === name);
  const from = stored === undefined ? undefined : usable(stored.position, source.pulls, how);
  const range: PullRange = {
    taken: async () => new Set(await ledger?.read.parts({ flow: flow.name, source: name })),
    downloads: join(how.downloads, encodeURIComponent(flow.name), encodeURIComponent(name)),
    ...(how.take === undefined ? {} : { take: how.take }),
    ...(how.force === true ? { force: true } : {}),
  };
  const pulled: PullJob = {
    range,
    ...(from === undefined ? {} : { from }),
    ...(flow.history === undefined ? {} : { history: flow.history }),
  };
  return { ...job, pull: pulled };
}

/** A position that the source cannot make anything of is left alone: everything is read, and that is said. */
function usable(
  position: Position,
  pulls: NonNullable<Job['source']['source']['pulls']>,
  how: Pulling,
): Position | undefined {
  const why = pulls.refuses(position);
  if (why === undefined) return position;
  const { sourceName, kind } = position;
  const message = `the position of ${sourceName} (${kind}) cannot be gone on from, so all of it is read: ${why}`;
  how.tell({ level: 'warning', kind: 'position-ignored', message, ids: { source: sourceName, kind } });
  return undefined;
}

async function lookAt(
  job: Job,
  options: Pick<PullOptions, 'force' | 'take' | 'signals'>,
  tell: Pulling['tell'],
): Promise<LookOutcome> {
  const { source, pull: pulled, window, parameters } = { ...job, source: job.source.source };
  if (source.pulls === undefined || pulled === undefined)
    throw new WaybillError('PULL_IMPOSSIBLE', 'nothing is pulled');
  if (options.take !== undefined) return { kind: 'new', why: `asked for: ${options.take.join(', ')}` };
  const from = pulled.from === undefined ? {} : { from: pulled.from };
  const look: Look = await source.pulls.look({ window, parameters, pull: pulled.range, ...from }, options.signals.stop);
  for (const { kind, message } of look.notices ?? [])
    tell({ level: 'warning', kind, message, ids: { source: job.source.name } });
  return look.kind === 'new' ? { kind: 'new', why: 'there is something new' } : { kind: look.kind, why: look.why };
}

export const cannotPull = (flow: FlowConfig): WaybillError =>
  new WaybillError('PULL_IMPOSSIBLE', `flow ${flow.name}: its source, as it is set up, cannot tell what is new`, {
    ids: { flow: flow.name, connector: flow.source.connection.connector.type },
  });

const notAgain = (flow: FlowConfig, window: Window): WaybillError =>
  new WaybillError('USAGE', `${window.name} of ${flow.name} cannot be read again: it brought what was new then`, {
    hint: `To read from an earlier position: waybill state ${flow.name} set … or reset, then waybill run ${flow.name}.`,
    ids: { flow: flow.name, window: window.name },
  });

const noSuchPull = (flow: FlowConfig, window: Window): WaybillError =>
  new WaybillError('WINDOW_INVALID', `${flow.name} has no ${window.name} yet`, {
    hint: `waybill run ${flow.name} reads what is new, and gives it the next number.`,
    ids: { flow: flow.name, window: window.name },
  });
