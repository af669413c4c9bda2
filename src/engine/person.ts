import type { BatchRow, DoubtRow, Ledger, Moved, SettleDecision } from '../ledger/ledger.ts';
import { assertNever } from '../model/assert.ts';
import { WaybillError } from '../model/errors.ts';
import { type BatchId, type RunId, showBatch } from '../model/ids.ts';
import { everyRow } from '../model/pages.ts';
import type { Payloads } from './payloads.ts';
import { sendAgain } from './settle.ts';

/** What a person decides about batches; each becomes an audited event in the ledger. */
export interface PersonServices {
  readonly ledger: Ledger;
  /** What brings back the bytes of a batch. */
  payloads(batch: BatchRow): Payloads;
}

/** Settles doubts by a person's word. Nothing is sent here: what is to be sent again is sealed for the next start. */
export async function settleByPerson(
  ask: {
    batches?: readonly BatchId[];
    run?: RunId;
    as: 'delivered' | 'absent' | 'resend' | 'skip';
    who: string;
    evidence: string;
  },
  services: PersonServices,
): Promise<readonly Moved[]> {
  const doubts = await doubtsOf(ask, services.ledger);
  const moved: Moved[] = [];
  for (const doubt of doubts) {
    const decision = await decisionOf(ask.as, doubt, services);
    moved.push(await services.ledger.settle({ batch: doubt.id, decision, who: ask.who, evidence: ask.evidence }));
  }
  return moved;
}

async function decisionOf(
  as: 'delivered' | 'absent' | 'resend' | 'skip',
  doubt: DoubtRow,
  services: PersonServices,
): Promise<SettleDecision> {
  switch (as) {
    case 'delivered':
    case 'skip':
      return { kind: as };
    case 'absent':
    case 'resend':
      return await sendAgain(as, doubt, services.payloads(doubt));
    default:
      return assertNever(as);
  }
}

async function doubtsOf(
  ask: { batches?: readonly BatchId[]; run?: RunId },
  ledger: Ledger,
): Promise<readonly DoubtRow[]> {
  const doubts: DoubtRow[] = [];
  for (const id of ask.batches ?? []) {
    const found = (await ledger.read.doubts({ after: id - 1, limit: 1 })).find((doubt) => doubt.id === id);
    if (found === undefined) {
      const { state } = await ledger.read.batch(id);
      throw new WaybillError('MOVE_FORBIDDEN', `${showBatch(id)} is ${state}, not in doubt`, {
        ids: { batch: showBatch(id) },
      });
    }
    doubts.push(found);
  }
  if (ask.run === undefined) return doubts;
  const { run } = ask;
  for await (const one of everyRow(
    (page) => ledger.read.doubts({ run, ...page }),
    (row) => row.id,
  ))
    doubts.push(one);
  return doubts;
}

/** Makes children of what was refused, for the next start to send: of some batches, or of all of a run. */
export async function retryRefused(
  ask: { batches?: readonly BatchId[]; run?: RunId; who: string; reason: string },
  services: PersonServices,
): Promise<readonly Moved[]> {
  const moved: Moved[] = [];
  for (const batch of await refusedBatches(ask, services.ledger)) {
    const picks = await refusedIn(batch, services.ledger);
    if (picks.length === 0) continue;
    const payloads = services.payloads(batch);
    const child = payloads.child(await payloads.load(batch), picks, ask.reason);
    moved.push(await services.ledger.retry({ batch: batch.id, children: [child], who: ask.who, reason: ask.reason }));
  }
  return moved;
}

async function refusedBatches(
  ask: { batches?: readonly BatchId[]; run?: RunId },
  ledger: Ledger,
): Promise<readonly BatchRow[]> {
  const batches: BatchRow[] = [];
  for (const id of ask.batches ?? []) batches.push(await ledger.read.batch(id));
  if (ask.run === undefined) return batches;
  const refused = { run: ask.run, states: ['refused', 'partial'] as const };
  for await (const one of everyRow(
    (page) => ledger.read.batches({ ...refused, ...page }),
    (row) => row.id,
  )) {
    batches.push(one);
  }
  return batches;
}

/** Places of the refused records in the batch, rising. */
async function refusedIn(batch: BatchRow, ledger: Ledger): Promise<readonly number[]> {
  const picks: number[] = [];
  let after: string | undefined;
  do {
    const ask = { batch: batch.id, states: ['refused'] as const, limit: 1_000 };
    const page = await ledger.read.records(after === undefined ? ask : { ...ask, after });
    for (const record of page.records) if (record.index !== undefined) picks.push(record.index);
    after = page.cursor;
  } while (after !== undefined);
  return picks.sort((a, b) => a - b);
}
