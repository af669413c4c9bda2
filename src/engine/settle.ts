import type { Child, DoubtRow, Moved, SettleDecision, ShardClaim } from '../ledger/ledger.ts';
import { KEY_BYTES } from '../model/chunk.ts';
import { mask } from '../model/masking.ts';
import type { Refusal } from '../model/verdict.ts';
import { type Settlement, settleAfterMs } from '../strategies/strategy.ts';
import { childrenOf } from './answers.ts';
import { asNotes, type LaneRuntime, laneContext, shardName } from './lane.ts';
import type { Payloads } from './payloads.ts';
import { maskedReceipt, maskedRefusals } from './without-secrets.ts';

/** By the ledger's clock: how long until this doubt may be settled. */
export function waitBeforeSettling(doubt: DoubtRow, claim: ShardClaim, lane: LaneRuntime): number {
  const { attempt } = doubt;
  const lostAtMs = attempt.answeredAtMs ?? attempt.deadlineAtMs;
  const fromMs = lostAtMs + settleAfterMs(lane.guarantee.rung, lane.job.sink, attempt.fence < claim.fence);
  return Math.max(0, fromMs - lane.services.ports.wallMs());
}

interface Settling {
  readonly lane: LaneRuntime;
  /** Reading what a batch was made of once more may take long; on this it is given up. */
  readonly abort: AbortSignal;
}

/** What became of a doubt: the ledger's answer, or why it stays. */
export type Settled = { readonly moved: Moved; readonly evidence: string } | { readonly stays: string };

/**
 * Asks the sink, then the lane's policy, what became of a batch in doubt, and records the decision. Rejects as the
 * sink does when it cannot be asked now.
 */
export async function settleDoubt(
  doubt: DoubtRow,
  claim: ShardClaim,
  lane: LaneRuntime,
  abort: AbortSignal,
): Promise<Settled> {
  const settlement = await askSink(doubt, claim, lane, abort);
  const decision = await decide(doubt, settlement, { lane, abort });
  if (decision === undefined) return { stays: mask(settlement.evidence) };
  const byPolicy = settlement.kind === 'undecided';
  const who = byPolicy ? `policy:${lane.job.onDoubt}` : `sink:${lane.guarantee.rung}`;
  const evidence = mask(settlement.evidence);
  const moved = await lane.ledger.settle({ batch: doubt.id, claim, decision, who, evidence });
  return { moved, evidence };
}

async function askSink(doubt: DoubtRow, claim: ShardClaim, lane: LaneRuntime, abort: AbortSignal): Promise<Settlement> {
  return await lane.job.strategy.settle(
    {
      batch: doubt,
      payload: () => lane.payloads.load(doubt, abort),
      hasBytes: () => lane.payloads.has(doubt, abort),
      sentElsewhere: () => sentElsewhere(doubt, claim, { lane, abort }),
      attempt: doubt.attempt.attempt,
      shard: shardName(claim, lane),
      fence: claim.fence,
      notes: asNotes(doubt.attempt.notes),
      firstSentAgoMs: lane.services.ports.wallMs() - doubt.firstIntendedAtMs,
      sendDeadlineMs: (lane.intendAhead > 0 ? 3 : 2) * lane.job.sink.requestTimeoutMs,
    },
    laneContext(lane, abort),
  );
}

/** By the ledger: in a batch that is not this one, nor one it was made of. Attempts count, whatever they came to. */
async function sentElsewhere(
  doubt: DoubtRow,
  claim: ShardClaim,
  { lane, abort }: Settling,
): Promise<ReadonlySet<number>> {
  const { flow } = await lane.ledger.read.run(claim.run);
  const { keys } = await lane.payloads.load(doubt, abort);
  const places = new Set<number>();
  for (let place = 0; place < doubt.records; place++) {
    const key = keys.subarray(place * KEY_BYTES, (place + 1) * KEY_BYTES);
    const traces = await lane.ledger.read.trace({ key, flow, lane: claim.lane });
    const others = traces.filter(({ steps }) => steps.every(({ batch }) => batch.id !== doubt.id));
    if (others.some(({ steps }) => steps.some(({ attempts }) => attempts.length > 0))) places.add(place);
  }
  return places;
}

async function decide(
  doubt: DoubtRow,
  settlement: Settlement,
  settling: Settling,
): Promise<SettleDecision | undefined> {
  const { lane, abort } = settling;
  switch (settlement.kind) {
    case 'known': {
      const { outcomes, refusals, receipt } = settlement.verdict;
      // The verdict speaks of the whole batch. What was decided before, or went to a child, is not sent once more.
      const open = new Set(doubt.doubtful);
      const again = refusals.filter((refusal) => open.has(refusal.index));
      return {
        kind: 'known',
        outcomes,
        refusals: maskedRefusals(refusals),
        receipt: maskedReceipt(receipt),
        children: again.length === 0 ? [] : await childrenAgain(doubt, again, settling),
      };
    }
    case 'absent':
      return await sendAgain('absent', doubt, lane.payloads, abort);
    case 'resend':
      // The sink tells a repeat from a first send, so nothing can arrive twice; what has arrived is not known yet. So
      // what cannot be sent again stays a doubt that a person can settle.
      await lane.payloads.load(doubt, abort);
      return await sendAgain('repeat', doubt, lane.payloads, abort);
    default:
      if (lane.job.onDoubt === 'skip') return { kind: 'skip' };
      return lane.job.onDoubt === 'resend' ? await sendAgain('resend', doubt, lane.payloads, abort) : undefined;
  }
}

async function childrenAgain(
  doubt: DoubtRow,
  again: readonly Refusal[],
  { lane: { payloads }, abort }: Settling,
): Promise<readonly Child[]> {
  return childrenOf(again, { payload: await payloads.load(doubt, abort), payloads });
}

/** A batch that is wholly in doubt is sent again as it is; of another only the doubtful part, as a child. */
export async function sendAgain(
  kind: 'absent' | 'repeat' | 'resend',
  doubt: DoubtRow,
  payloads: Payloads,
  abort?: AbortSignal,
): Promise<SettleDecision> {
  if (doubt.doubtful.length === doubt.records) return { kind };
  const payload = await payloads.load(doubt, abort);
  return { kind, child: payloads.child(payload, doubt.doubtful, 'the part that was in doubt') };
}
