import { type PersonServices, retryRefused, settleByPerson } from '../engine/person.ts';
import type { Moved, RunRow } from '../ledger/ledger.ts';
import { WaybillError } from '../model/errors.ts';
import type { BatchId, RunId } from '../model/ids.ts';
import type { SettleAsk } from './waybill.ts';

const PAGE = 500;

/**
 * Settles doubts: by a person's word, or by asking the sink once more. Asking is a start of the run that looks at
 * these batches only; a batch that turns out not to be applied is sent by it.
 */
export async function settleBatches(
  ask: SettleAsk,
  services: PersonServices,
  start?: (run: RunRow, only: readonly BatchId[]) => Promise<void>,
): Promise<readonly Moved[]> {
  const { as, who, evidence } = ask;
  if (as !== 'ask') return await settleByPerson({ ...selection(ask), as, who, evidence }, services);
  const { read } = services.ledger;
  const ids = ask.batches ?? (ask.run === undefined ? [] : await doubtsOf(ask.run, services));
  const byRun = new Map<RunId, BatchId[]>();
  for (const id of ids) {
    const { run, state } = await read.batch(id);
    if (state !== 'in-doubt')
      throw new WaybillError('MOVE_FORBIDDEN', `b${id} is ${state}, not in doubt`, { ids: { batch: `b${id}` } });
    byRun.set(run, [...(byRun.get(run) ?? []), id]);
  }
  for (const [run, only] of byRun) await start?.(await read.run(run), only);
  const moved: Moved[] = [];
  for (const id of ids) moved.push({ state: (await read.batch(id)).state, children: await read.children(id) });
  return moved;
}

export async function retryBatches(
  ask: { run?: RunId; batches?: readonly BatchId[]; who: string; reason: string },
  services: PersonServices,
): Promise<readonly Moved[]> {
  const { who, reason } = ask;
  return await retryRefused({ ...selection(ask), who, reason }, services);
}

const selection = (ask: { readonly run?: RunId; readonly batches?: readonly BatchId[] }) => ({
  ...(ask.run === undefined ? {} : { run: ask.run }),
  ...(ask.batches === undefined ? {} : { batches: ask.batches }),
});

async function doubtsOf(run: RunId, { ledger }: PersonServices): Promise<readonly BatchId[]> {
  const ids: BatchId[] = [];
  for (let after = 0; ; ) {
    const page = await ledger.read.doubts({ run, after, limit: PAGE });
    ids.push(...page.map((doubt) => doubt.id));
    const last = page.at(-1);
    if (last === undefined) return ids;
    after = last.id;
  }
}
