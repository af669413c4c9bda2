import type { Job, PullJob } from '../../engine/engine.ts';
import { WaybillError } from '../../model/errors.ts';
import { FLOW } from './job.ts';
import type { Machine, Opened } from './machine.ts';
import { historyOf, type PullScenario } from './pull-scenario.ts';
import type { Task } from './task.ts';

/** What the app does about pulls: one after the other, each from where the source stands, and only if there is more. */
export class PullWindows {
  readonly #machine: Machine;
  readonly #scenario: PullScenario;

  constructor(machine: Machine, scenario: PullScenario) {
    this.#machine = machine;
    this.#scenario = scenario;
  }

  /** The first that is not done, unless another one is being worked on. */
  startable(waiting: readonly Task[], running: ReadonlySet<Task>): readonly Task[] {
    const [first] = waiting;
    return first === undefined || [...running].some((task) => task !== first) ? [] : [first];
  }

  /** The job with what it needs to read only what is new; undefined when there is nothing. */
  async prepare(job: Job, { ledger, process }: Opened, { ask }: Task): Promise<Job | undefined> {
    if (ask !== 'go-on') throw new WaybillError('USAGE', 'a pull cannot be read again');
    const { name, source } = job.source;
    const [stored] = await ledger.read.positions(FLOW);
    const history = historyOf(this.#scenario);
    const pull: PullJob = {
      range: { taken: async () => new Set(), downloads: 'downloads' },
      ...(stored === undefined ? {} : { from: stored.position }),
      ...(history === undefined ? {} : { history }),
    };
    const [run] = await ledger.read.runs({ flow: FLOW, window: job.window.name, limit: 1 });
    if (run !== undefined) {
      this.#machine.world.mark('a pull was gone on with');
      if (stored?.run === run.id) this.#machine.world.mark('a pull was gone on with behind a slice');
      return { ...job, pull };
    }
    const { range, from } = { from: undefined, ...pull };
    const asked = { window: job.window, parameters: {}, pull: range, ...(from === undefined ? {} : { from }) };
    const look = await source.pulls!.look(asked, new AbortController().signal);
    const why = look.kind === 'new' ? 'there is something new' : look.why;
    await ledger.looked({ flow: FLOW, sourceName: name, kind: look.kind, why });
    if (look.kind === 'new') return { ...job, pull };
    process.world.mark('a look found nothing new');
    return undefined;
  }
}
