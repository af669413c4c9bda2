import { type CommandDefinition, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTime } from '../format-values.ts';
import { Interrupts } from '../interrupts.ts';
import type { OutputOf } from '../output-schemas.ts';
import { readDuration, usage } from '../read-words.ts';
import { reportLines } from '../run-report.ts';
import { type RunAsk, type RunResult, runTarget } from '../run-windows.ts';

/** A window that failed is tried again after this long, without waiting for the schedule. */
const AGAIN_MS = 5 * 60_000;
const AGAIN_MAX_MS = 60 * 60_000;

export const schedule: CommandDefinition = {
  description:
    'Stays in the foreground and runs each window when the schedule of its flow says so, the ones that were missed ' +
    'first. With an orchestrator or cron, use `waybill run --due` instead. A window that failed is tried again after ' +
    'five minutes, then less and less often.',
  exits: [0, 1, 2, 130, 143],
  examples: [['waybill schedule', 'all flows that have a schedule']],
  configure(command, acts) {
    command
      .argument('[flow]', 'only this flow')
      .option('--lease <duration>', 'how long a process that went silent keeps its claim')
      .option('--progress-interval <duration>', 'between two lines off a terminal (default: 1m); 0 for none')
      .action(acts(keepSchedule));
  },
};

async function keepSchedule(context: Context, given: Given): Promise<number> {
  const flow = given.words[0];
  const waybill = await context.waybill();
  const scheduled = waybill
    .flows()
    .filter((each) => each.schedule !== undefined && (flow === undefined || each.name === flow));
  if (scheduled.length === 0) throw usage('no flow has a schedule', 'Add `schedule: "0 6 * * *"` to one.');
  const lease = textOption(given, 'lease');
  const interrupts = new Interrupts(context.io, (nth) =>
    context.complain(nth === 1 ? 'stopping after what is in flight; Ctrl-C again leaves at once' : 'leaving at once'),
  );
  const ask: RunAsk = {
    options: lease === undefined ? {} : { leaseMs: readDuration(lease, '--lease') },
    intervalMs: readDuration(textOption(given, 'progressInterval') ?? '1m', '--progress-interval'),
    interrupts,
  };
  const tried = new Tries();
  try {
    while (interrupts.exitCode === undefined) {
      await runDue(context, flow, ask, tried);
      if (interrupts.exitCode === undefined) await rest(context, interrupts, tried.nextMs(), scheduled);
    }
  } finally {
    interrupts.release();
  }
  return interrupts.exitCode ?? EXIT.ok;
}

/** Runs what is due, oldest first. A failed window holds up the later ones of its flow, and no other flow. */
async function runDue(context: Context, flow: string | undefined, ask: RunAsk, tried: Tries): Promise<void> {
  const waybill = await context.waybill();
  const held = new Set<string>();
  for (const { flow: name, window } of await waybill.due(flow)) {
    if (ask.interrupts.exitCode !== undefined) return;
    const key = `${name} ${window.name}`;
    if (held.has(name) || tried.mustWait(key, context.io.wallMs())) {
      held.add(name);
      continue;
    }
    const target = { flow: name, window: window.name === 'pull' ? undefined : window.name };
    const failed = tell(context, name, await runTarget(context, target, ask));
    if (failed) held.add(name);
    tried.note(key, failed, context.io.wallMs());
  }
}

/** Shows what came of a window; answers whether it is worth another try. */
function tell(context: Context, flow: string, results: readonly RunResult[]): boolean {
  for (const result of results) {
    const document: OutputOf<'schedule'> = { schema: 'waybill.schedule/1', flow, window: result.window, result };
    if (context.view.json) context.write(`${JSON.stringify(document)}\n`);
    else for (const line of reportLines(context, result)) context.write(`${line}\n`);
  }
  // Refused records and doubts are decided as far as a machine can: they wait for a person, not for another try.
  return results.some((result) => result.error !== undefined || result.exitCode === EXIT.temporary);
}

async function rest(
  context: Context,
  interrupts: Interrupts,
  againMs: number | undefined,
  scheduled: readonly { readonly schedule?: string; readonly timezone: string }[],
): Promise<void> {
  const { nextFireMs } = await import('../../app/next-fire.ts');
  const nowMs = context.io.wallMs();
  const fires = scheduled.map((each) => nextFireMs(each.schedule!, each.timezone, nowMs));
  const next = Math.min(...[...fires, againMs].filter((ms) => ms !== undefined));
  if (!Number.isFinite(next)) throw usage('no schedule ever comes again', 'Look at the `schedule:` of the flows.');
  context.talk(`next at ${formatTime(next)}`);
  await sleepUntilStopped(context, next - nowMs, interrupts);
}

async function sleepUntilStopped(context: Context, ms: number, interrupts: Interrupts): Promise<void> {
  const { stop } = interrupts.signals;
  try {
    await context.io.sleep(Math.max(0, ms), stop);
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}

/** When a window that failed may be tried again. */
class Tries {
  readonly #failed = new Map<string, { readonly times: number; readonly againAtMs: number }>();

  note(key: string, failed: boolean, nowMs: number): void {
    const times = (this.#failed.get(key)?.times ?? 0) + 1;
    if (failed)
      this.#failed.set(key, { times, againAtMs: nowMs + Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** (times - 1)) });
    else this.#failed.delete(key);
  }

  mustWait(key: string, nowMs: number): boolean {
    return (this.#failed.get(key)?.againAtMs ?? 0) > nowMs;
  }

  nextMs(): number | undefined {
    const all = [...this.#failed.values()].map((each) => each.againAtMs);
    return all.length === 0 ? undefined : Math.min(...all);
  }
}
