import type { LoadAbilities } from '../connectors/connector.ts';
import { assert } from '../model/assert.ts';
import { describeError, WaybillError } from '../model/errors.ts';
import type { LoadRow, StepReceipt } from '../model/load.ts';
import { inOrderOfTime, isLater, loadingStrategy, publishedElsewhere } from './loading.ts';
import { lacksKey, mergeBy } from './merge-by.ts';
import { type BeforeLoad, type LoadJob, WentBackError } from './strategy.ts';

type Versions = NonNullable<LoadAbilities['versions']>;

/**
 * Merges as the merger does, but a window that is loaded again finds what it found the first time: the sink goes back
 * to where it stood before that window. What later windows had brought is gone then, and they have to be loaded again.
 * Which version each window left behind stands in the ledger, with its load; or the sink keeps every load by its time.
 */
export const statefulMerger = loadingStrategy({
  name: 'stateful-merger',
  rewrites: true,
  summary: 'Merges by key; a window that is loaded again first takes the sink back to where it stood before it.',
  promise: 'After a window is loaded the sink holds what it held before that window, brought up to date by it.',
  lacks: (sink, flow) => {
    if (flow.window === 'all') return 'the flow has no windows, so there is no earlier state to go back to';
    if (flow.window === 'pull') return 'a pull is not loaded again, so nothing goes back to before it; use `merger`';
    const { merge, versions, mergeAt } = sink.can;
    if (mergeAt === undefined && (merge === undefined || versions === undefined)) {
      return 'the sink cannot go back to an earlier state: it has neither mergeAt nor merge with versions';
    }
    return lacksKey(flow);
  },
  windows: () => 'in-order',
  load: {
    uses: ['deleted', 'latestBy', 'onRefused'],
    replaces: true,
    displaces: () => true,
    async open(job) {
      if (job.sink.can.mergeAt === undefined) await surelyKept(job);
      assert(job.sink.can.load !== undefined, 'strategy.fits-its-sink');
      return await job.sink.can.load.open(job.step);
    },
    async publish(job) {
      const undone = laterThan({ ...job, window: job.step.load.window });
      return { receipt: await mergedBack(job, undone), undone };
    },
    warnings(job) {
      const undone = laterThan(job);
      if (undone.length === 0) return [];
      const [from, to] = [undone[0]!.window.name, undone.at(-1)!.window.name];
      return [`the sink goes back to where it stood before ${job.window.name}; load ${from} to ${to} again afterwards`];
    },
    undoes: laterThan,
  },
});

async function mergedBack(job: LoadJob, undone: readonly LoadRow[]): Promise<StepReceipt> {
  const { sink, step, flow } = job;
  const { window } = step.load;
  assert(window.start !== undefined, 'strategy.fits-its-flow');
  if (sink.can.mergeAt !== undefined) return await sink.can.mergeAt(step, mergeBy(flow), window.start);
  const versions = surely(sink.can.versions);
  const before = versionBefore(job);
  const current = await versions.current();
  const restored = current === before ? undefined : await restore(job, versions, before);
  const merge = surely(sink.can.merge);
  const merged = await merge(step, mergeBy(flow)).catch((cause: unknown) => {
    if (restored === undefined) throw cause;
    const message = `the sink has gone back to before ${window.name}, and then: ${describeError(cause)}`;
    throw new WentBackError(message, { cause, undone });
  });
  const version = await versionAfter(job, versions);
  const summary = restored === undefined ? merged.summary : `${restored.summary}; ${merged.summary}`;
  return { summary, facts: { ...merged.facts, version, before: before ?? 'nothing' } };
}

/** The load is there by now: that nobody says of which version it is a part does not prove the contrary. */
async function versionAfter({ step }: LoadJob, versions: Versions): Promise<string> {
  try {
    return await versions.current();
  } catch (cause) {
    const { window } = step.load;
    const message = `${window.name} is merged, and which version that made is not known: ${describeError(cause)}`;
    throw new WaybillError('LOAD_FAILED', message, { cause });
  }
}

async function restore(job: LoadJob, versions: Versions, before: string | null): Promise<StepReceipt> {
  await surelyKept(job);
  return await versions.restore(job.step, before);
}

/** What the sink held before this window: what the window before it left behind. Null: nothing was there yet. */
function versionBefore({ loads, step }: Pick<LoadJob, 'loads' | 'step'>): string | null {
  const earlier = publishedElsewhere(loads, step.load.window).filter((load) => !isLater(load, step.load.window));
  const previous = earlier.reduce<LoadRow | undefined>(
    (last, load) => (last === undefined || isLater(load, last.window) ? load : last),
    undefined,
  );
  const version = previous?.published?.facts?.version;
  return version === undefined ? null : String(version);
}

/** Before anything is written: a version that the sink has cleaned away cannot be gone back to. */
async function surelyKept(job: LoadJob): Promise<void> {
  const before = versionBefore(job);
  if (before === null) return;
  const versions = surely(job.sink.can.versions);
  if ((await versions.current()) === before) return;
  const kept = new Set(await versions.kept());
  if (kept.has(before)) return;
  const { window } = job.step.load;
  const earliest = earliestPossible(job, kept);
  const when = earliest === undefined ? 'no window can be loaded again' : `the earliest that can is ${earliest}`;
  throw new WaybillError(
    'VERSION_GONE',
    `${window.name} cannot be loaded again: the sink no longer keeps version ${before}, which it held before; ${when}`,
    {
      ids: { window: window.name, version: before, ...(earliest === undefined ? {} : { earliest }) },
      hint: 'Keep versions for as long as windows may have to be loaded again.',
    },
  );
}

function earliestPossible({ loads }: LoadJob, kept: ReadonlySet<string>): string | undefined {
  const published = loads.filter((load) => load.state === 'published').sort((a, b) => (isLater(a, b.window) ? 1 : -1));
  const nth = published.findIndex((load) => kept.has(String(load.published?.facts?.version)));
  return nth === -1 ? undefined : (published[nth + 1]?.window.name ?? `the one after ${published[nth]!.window.name}`);
}

function laterThan({ loads, window }: Pick<BeforeLoad, 'loads' | 'window'>): readonly LoadRow[] {
  return inOrderOfTime(publishedElsewhere(loads, window).filter((load) => isLater(load, window)));
}

function surely<T>(ability: T | undefined): T {
  assert(ability !== undefined, 'strategy.fits-its-sink');
  return ability;
}
