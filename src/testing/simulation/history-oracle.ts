import type { Evidence } from './evidence.ts';
import { laneName } from './job.ts';
import { historyOf } from './pull-scenario.ts';

/**
 * The second oracle. It does not look into the ledger: what the source yielded, what the sinks took, which orders were
 * given and what the summaries said has to fit together by itself.
 */
export function historyAgrees(evidence: Evidence): void {
  const { scenario } = evidence;
  // What loads leave behind has an oracle of its own: windows take each other's place there. So has history.
  const made = scenario.load !== undefined || (scenario.pull !== undefined && historyOf(scenario.pull) !== undefined);
  if (scenario.repeats || !scenario.keyed || made) return;
  for (let nth = 0; nth < scenario.lanes; nth++) {
    const texts = takenOf(evidence, nth);
    if (scenario.rung !== 'put') notTooOften(evidence, texts);
    notMissing(evidence, texts, laneName(nth));
  }
}

const idOf = (text: string): string => (JSON.parse(text) as { id: string }).id;

function takenOf({ machine }: Evidence, nth: number): Map<string, string[]> {
  const taken = new Map<string, string[]>();
  for (const { text } of machine.servers[nth]!.effects) {
    const id = idOf(text);
    const texts = taken.get(id);
    if (texts === undefined) taken.set(id, [text]);
    else texts.push(text);
  }
  return taken;
}

/** Once for each content that may be sent, and once more for each order or policy that sends without proof. */
function notTooOften({ machine, scenario, book }: Evidence, taken: ReadonlyMap<string, string[]>): void {
  const versions = new Map<string, Set<string>>();
  for (const { texts } of machine.source.readings) {
    for (const text of texts) {
      const id = idOf(text);
      const known = versions.get(id);
      if (known === undefined) versions.set(id, new Set([text]));
      else known.add(text);
    }
  }
  const orders = book.resends + book.settled.filter((one) => one.decision === 'resend').length;
  for (const [id, texts] of taken) {
    const contents = versions.get(id)?.size ?? 0;
    const once = scenario.onChanged === 'append' ? contents : Math.min(contents, 1);
    book.check('history', texts.length <= once + orders + book.changedAfterRefusal, () => {
      return `${id} was taken ${texts.length} times, with ${contents} contents and ${orders} orders to send again`;
    });
  }
}

/** A run that is called complete, with nothing refused, skipped or in doubt, has brought everything that was read. */
function notMissing(
  { machine, supervisor, book, final }: Evidence,
  taken: ReadonlyMap<string, string[]>,
  lane: string,
): void {
  for (const task of supervisor.tasks) {
    const { last } = task;
    const balance = last?.lanes.find((one) => one.lane === lane)?.balance;
    if (task.state !== 'done' || last === undefined || balance === undefined) continue;
    if (last.run.state !== 'complete' || balance.refused + balance.skipped + balance.inDoubt > 0) continue;
    if (final.batches.size === 0 || book.settled.some((one) => one.decision === 'skip')) continue;
    const reading = machine.source.readings.findLast((one) => one.window === task.window.name && one.ended);
    for (const text of reading?.texts ?? []) {
      const there = taken.has(idOf(text));
      book.check('history', there, () => `${task.window.name} is complete and ${idOf(text)} is not in ${lane}`);
    }
  }
}
