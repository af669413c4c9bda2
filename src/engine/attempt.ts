import type { Permit } from '../connectors/connector.ts';
import type { AttemptRow } from '../ledger/ledger.ts';
import type { Payload } from '../model/batch.ts';
import { NotAppliedError, RefusedError, WaybillError } from '../model/errors.ts';
import { showBatch } from '../model/ids.ts';
import type { Verdict } from '../model/verdict.ts';
import type { AttemptNotes, OpenAttempt } from '../strategies/strategy.ts';
import { type Heard, heardError, heardVerdict } from './answers.ts';
import type { StopSignals } from './engine.ts';
import type { Work } from './feed.ts';
import { keysMet } from './keys-met.ts';
import { asNotes, type LaneRuntime, laneContext, shardName } from './lane.ts';
import { LEASE_MARGIN_MS } from './lease.ts';

/** An attempt whose intent is durable: from here on every way it can end is an answer. */
export interface Intended {
  readonly attempt: number;
  readonly payload: Payload;
  readonly notes: AttemptNotes;
  /** By the monotonic clock: nothing leaves after this. */
  readonly deadlineMs: number;
  /** By the wall clock: when the first attempt was intended whose answer was lost, if one was. */
  readonly firstLostAtMs: number | undefined;
}

/**
 * Bytes, leave to send, durable intent: all that comes before the first byte. Rejects when the batch cannot be sent
 * at all. Undefined: told to stop before the intent.
 */
export async function intendBatch(work: Work, lane: LaneRuntime, signals: StopSignals): Promise<Intended | undefined> {
  const { batch } = work;
  const payload = await loaded(work, lane, signals.abort);
  if (payload === undefined) return undefined;
  if (!(await mayLeave(work, lane, signals.stop))) return undefined;
  const earlier = batch.attempts === 0 ? [] : await lane.ledger.read.attempts(batch.id);
  const notes = await notesOf(earlier, lane, laneContext(lane, signals.abort));
  const deadlineMs = deadline(work, lane);
  const { attempt } = await lane.ledger.intend({
    ...work.claim,
    batch: batch.id,
    deadlineMs: Math.max(0, deadlineMs - lane.services.ports.monotonicMs()),
    notes: { ...notes },
  });
  // Whoever had it sent again without proof has accepted that it may arrive twice.
  const accepted = batch.possibly === 'twice';
  const firstLostAtMs = accepted ? undefined : earlier.find((one) => one.answer === 'lost')?.intendedAtMs;
  return { attempt, payload, notes, deadlineMs, firstLostAtMs };
}

/** Undefined: told to give up while what the batch is made of was read again. */
async function loaded({ batch }: Work, lane: LaneRuntime, abort: AbortSignal): Promise<Payload | undefined> {
  try {
    return await lane.payloads.load(batch, abort);
  } catch (error) {
    if (abort.aborted) return undefined;
    throw error;
  }
}

/** Permit, send, answer. Never rejects: whatever happens to a send is heard as something. */
export async function transmit(work: Work, intended: Intended, lane: LaneRuntime, abort: AbortSignal): Promise<Heard> {
  const { attempt, payload, deadlineMs } = intended;
  lane.tally.attempts++;
  const { correlationId } = lane;
  const permit = lane.desk.issue({
    batch: work.batch,
    attempt,
    shard: shardName(work.claim, lane),
    fence: work.claim.fence,
    correlationId,
    payload,
    deadlineMs,
    ...(lane.load === undefined ? {} : { load: lane.load.of(work.batch.generation) }),
  });
  const sent = { payload, payloads: lane.payloads };
  try {
    const context = laneContext(lane, abort);
    const verdict = await lane.job.strategy.deliver(permit, context, openAttempt(work, lane, permit, intended));
    tellKeysMet(work, payload, verdict, lane);
    return heardVerdict(verdict, { ...sent, rung: lane.guarantee.rung });
  } catch (error) {
    const rejectsAtomically = lane.job.sink.facts.rejectsAtomically ?? false;
    return heardError(error, { ...sent, rejectsAtomically });
  } finally {
    lane.desk.giveBack(permit);
  }
}

function tellKeysMet({ batch }: Work, payload: Payload, verdict: Verdict, { services, job }: LaneRuntime): void {
  const met = keysMet(payload, verdict);
  if (met === 0) return;
  const name = showBatch(batch.id);
  const records = met === 1 ? '1 record' : `${met} records`;
  const message =
    `${records} of ${name} in lane ${job.name} with a key that the sink takes for that of another one, spelled ` +
    'differently: the last of them is there. Let the source spell keys as the sink compares them.';
  services.notice({ level: 'warning', kind: 'keys-met', message, ids: { lane: job.name, batch: name } });
}

/** Waits for the lane's pace. False when the run was told to stop meanwhile. */
async function mayLeave(work: Work, lane: LaneRuntime, stop: AbortSignal): Promise<boolean> {
  try {
    await lane.pace.acquire({ records: work.batch.records, bytes: work.batch.bytes }, stop);
  } catch (error) {
    if (!stop.aborted) throw error;
  }
  return !stop.aborted;
}

/**
 * The request may take its time, one that waits for its turn behind another twice that; but nothing may leave when the
 * lease could have run out.
 */
function deadline(work: Work, lane: LaneRuntime): number {
  const nowMs = lane.services.ports.monotonicMs();
  const untilMs = work.lease.untilMs - LEASE_MARGIN_MS;
  if (untilMs <= nowMs || work.lease.lost.aborted) {
    throw new WaybillError('FENCED', `the lease of lane ${lane.job.name} has run out`);
  }
  const turns = lane.intendAhead > 0 ? 2 : 1;
  return Math.min(nowMs + turns * lane.job.sink.requestTimeoutMs, untilMs);
}

async function notesOf(
  earlier: readonly AttemptRow[],
  lane: LaneRuntime,
  context: ReturnType<typeof laneContext>,
): Promise<AttemptNotes> {
  const { strategy } = lane.job;
  if (strategy.prepare === undefined) return {};
  const previous = earlier.find((attempt) => Object.keys(asNotes(attempt.notes)).length > 0);
  try {
    return await strategy.prepare(context, asNotes(previous?.notes ?? {}));
  } catch (error) {
    if (error instanceof WaybillError && error.code === 'INVARIANT_BROKEN') throw error;
    if (error instanceof RefusedError && error.about === 'request') throw error;
    // A question that the sink did not answer is no attempt: the batch waits as if the sink were away.
    throw new NotAppliedError('the sink could not be asked where the batch belongs', { cause: error, sinkAway: true });
  }
}

function openAttempt(work: Work, lane: LaneRuntime, permit: Permit, intended: Intended): OpenAttempt {
  const { notes, firstLostAtMs } = intended;
  const firstLostAgoMs = firstLostAtMs === undefined ? undefined : lane.services.ports.wallMs() - firstLostAtMs;
  return {
    notes,
    ...(firstLostAgoMs === undefined ? {} : { firstLostAgoMs }),
    note: async (more: AttemptNotes): Promise<void> => {
      await lane.ledger.note({ ...work.claim, batch: permit.batch.id, attempt: permit.attempt, notes: { ...more } });
    },
  };
}
