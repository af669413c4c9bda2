import { surelyFits } from '../engine/fit-lane.ts';
import type { LedgerReader } from '../ledger/ledger.ts';
import type { Ports } from '../model/ports.ts';
import type { Window } from '../model/window.ts';
import { NO_FACTS } from '../strategies/strategy.ts';
import {
  type BackfillAsk,
  type BackfillLane,
  type BackfillPlan,
  type BackfillTurn,
  planBackfill,
} from './backfill-plan.ts';
import { requireFits } from './fits.ts';
import type { FlowConfig } from './flow-config.ts';
import { runsOf } from './schedule.ts';
import { entryOf, heldBy, type WindowEntry, type WindowFacts, windowFacts } from './window-ledger.ts';
import { nextWindow, windowsFrom } from './windows.ts';
import { type WireWorld, wireLanes } from './wire.ts';

export interface BackfillWorld {
  readonly wire: WireWorld;
  readonly ports: Ports;
  readonly reader: LedgerReader | undefined;
  readonly owner: string;
}

const WORTH_RUNNING = ['missing', 'failed', 'undone'] as const;
const WORTH_REFRESHING = [...WORTH_RUNNING, 'complete', 'in-doubt'] as const;

export async function backfillPlan(flow: FlowConfig, ask: BackfillAsk, world: BackfillWorld): Promise<BackfillPlan> {
  const nowMs = world.ports.wallMs();
  const windows = windowsFrom({ kind: flow.window, timezone: flow.timezone }, ask, nowMs);
  const known = await factsOf(flow, world);
  const lanes = await lanesOf(flow, world);
  const refresh = ask.refresh ?? false;
  const only = new Set(ask.only ?? (refresh ? WORTH_REFRESHING : WORTH_RUNNING));
  // Without complete windows among them, their states alone tell what is left to do.
  const earlier = refresh && only.has('complete') ? await earlierOf(ask, windows, known, world) : undefined;
  const joined = ask.anew === true || earlier === undefined ? undefined : earlier;
  const left = windows.some((one) => only.has(entryOf(one, known).state) && joined?.done.has(one.name) !== true);
  const begunAt = joined !== undefined && left ? joined.begunAt : new Date(nowMs).toISOString();
  const plan = planBackfill({
    flow: flow.name,
    from: ask.from,
    to: ask.to,
    windows,
    only,
    refresh,
    lanes,
    known,
    tag: tagOf(ask, begunAt),
    ...(joined !== undefined && left ? { goesOn: { begunAt }, done: joined.done } : { done: new Set<string>() }),
  });
  const end = endOf(flow, plan.afterwards);
  return end === undefined ? plan : { ...plan, afterwardsTo: end };
}

/** Called before each window of a plan. */
export async function backfillTurn(
  flow: FlowConfig,
  plan: BackfillPlan,
  name: string,
  world: BackfillWorld,
): Promise<BackfillTurn> {
  const planned = plan.windows.find(({ window }) => window.name === name)!;
  const known = await factsNow(flow, planned.window, world);
  if (plan.order === 'in-order') {
    const ahead = earlierHeld(planned.window, known, world.owner);
    if (ahead !== undefined) return { turn: 'wait', ...ahead };
  }
  const entry = entryOf(planned.window, known);
  return { turn: (await isDone(plan, planned, entry, world)) ? 'done' : 'go', entry };
}

const AT_WORK = ['open', 'in-doubt', 'failed'] as const;

/** As far as it matters before a window is begun: a flow may have run ten thousand windows, and most are over. */
async function factsNow(flow: FlowConfig, window: Window, { reader, ports }: BackfillWorld): Promise<WindowFacts> {
  const nowMs = ports.wallMs();
  if (reader === undefined) return { runs: new Map(), loads: [], undone: new Map(), nowMs };
  const runs = (await Promise.all(AT_WORK.map((state) => runsOf(flow.name, reader, state)))).flat();
  runs.push(...(await reader.runs({ flow: flow.name, window: window.name, newestFirst: true, limit: 1 })));
  return await windowFacts(flow.name, reader, { runs, nowMs, part: true });
}

/** Somebody else has done it since the plan was made. */
async function isDone(
  plan: BackfillPlan,
  planned: BackfillPlan['windows'][number],
  entry: WindowEntry,
  world: BackfillWorld,
): Promise<boolean> {
  if (entry.state !== 'complete' || entry.run === undefined) return false;
  // Nor has anything taken it out, which is why it would have been loaded again.
  if (planned.state !== 'complete' || (!plan.refresh && !planned.widened)) return true;
  const begun = (await tagsOf(entry, world)).at(-1);
  const own = readTag(plan.tag)!;
  return begun !== undefined && begun.stretch === own.stretch && begun.begunAt >= own.begunAt;
}

function earlierHeld(window: Window, known: WindowFacts, self: string): { earlier: string; owner: string } | undefined {
  for (const run of known.runs.values()) {
    const owner = heldBy(run, known.nowMs);
    if (owner === undefined || owner === self) continue;
    if (Date.parse(run.window.start ?? '') < Date.parse(window.start ?? '')) return { earlier: run.window.name, owner };
  }
  return undefined;
}

async function factsOf(flow: FlowConfig, { reader, ports }: BackfillWorld): Promise<WindowFacts> {
  const runs = reader === undefined ? [] : await runsOf(flow.name, reader);
  return await windowFacts(flow.name, reader, { runs, nowMs: ports.wallMs() });
}

async function lanesOf(flow: FlowConfig, { wire }: BackfillWorld): Promise<readonly BackfillLane[]> {
  const { lanes, close } = wireLanes(flow, wire);
  try {
    await requireFits(flow.name, lanes);
    return lanes.map((lane) => ({
      name: lane.name,
      strategy: lane.strategy,
      facts: lane.facts ?? NO_FACTS,
      fit: surelyFits(lane),
    }));
  } finally {
    await close();
  }
}

/** The stretch of time after the last of some windows, for a command. */
function endOf(flow: FlowConfig, windows: readonly Window[]): string | undefined {
  const last = windows.at(-1);
  return last === undefined ? undefined : nextWindow({ kind: flow.window, timezone: flow.timezone }, last)?.name;
}

// ---- tags ----------------------------------------------------------------------------------------------------------
// A backfill has no table of its own: every reading that it begins carries its name, and that is in the ledger.

interface Tag {
  readonly stretch: string;
  readonly begunAt: string;
}

const tagOf = ({ from, to }: BackfillAsk, begunAt: string): string => `backfill of ${from} to ${to} begun ${begunAt}`;

function readTag(text: string): Tag | undefined {
  const match = /backfill of (\S+ to \S+) begun (\S+)$/.exec(text);
  return match === null ? undefined : { stretch: match[1]!, begunAt: match[2]! };
}

/** Of the readings of a window that are parts of backfills, oldest first. */
async function tagsOf({ run }: WindowEntry, { reader }: BackfillWorld): Promise<readonly Tag[]> {
  if (run === undefined || reader === undefined) return [];
  return (await reader.generations(run.id)).flatMap(({ reason }) => readTag(reason) ?? []);
}

/** The last backfill of the same stretch that any of its windows knows of, and what it has done. */
async function earlierOf(
  ask: BackfillAsk,
  windows: readonly Window[],
  known: WindowFacts,
  world: BackfillWorld,
): Promise<{ begunAt: string; done: ReadonlySet<string> } | undefined> {
  const { stretch } = readTag(tagOf(ask, '-'))!;
  const last = new Map<string, string>();
  for (const window of windows) {
    const entry = entryOf(window, known);
    const tag = (await tagsOf(entry, world)).at(-1);
    if (tag?.stretch === stretch) last.set(window.name, tag.begunAt);
  }
  const begunAt = [...last.values()].sort().at(-1);
  if (begunAt === undefined) return undefined;
  const complete = (name: string) => known.runs.get(name)?.state.startsWith('complete') === true;
  return { begunAt, done: new Set([...last.keys()].filter((name) => last.get(name) === begunAt && complete(name))) };
}
