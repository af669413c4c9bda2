import type { Abilities, Found, Permit, Sink } from '../connectors/connector.ts';
import { assert, assertNever } from '../model/assert.ts';
import { WaybillError } from '../model/errors.ts';
import type { Rung } from '../model/guarantee.ts';
import { applied, OUTCOME, type Refusal, type Verdict } from '../model/verdict.ts';
import { guarantee } from './ladder.ts';
import type { AttemptNotes, Fit, LaneContext, LostAttempt, OpenAttempt, Settlement, Strategy } from './strategy.ts';

type AppendRung = Exclude<Rung, 'put'>;

/**
 * Adds every record once to a sink that adds whatever it is sent. What makes a lost answer harmless is the surest
 * rung of the ladder that the sink has the abilities for; a sink that has none leaves the batch in doubt.
 */
export const ledgeredAppend: Strategy = {
  name: 'ledgered-append',
  summary: 'Adds each record once; a lost answer is settled by the surest means that the sink offers.',

  fit(sink: Sink): Fit {
    const rung = rungOf(sink);
    if (rung === undefined) {
      return {
        fits: false,
        reason: 'the sink cannot add records: it has none of append, appendAt, appendOnce, commitOnce and job',
        ...(sink.can.put === undefined ? {} : { instead: 'keyed' }),
      };
    }
    const fit = { fits: true, guarantee: guarantee(rung, sink) } as const;
    // Two windows side by side would each find that somebody else has written where they meant to.
    const windows = rung === 'position' && sink.facts.placePerWindow !== true ? 'in-order' : 'any';
    return { ...fit, ordered: rung === 'position' ? 'always' : 'never', windows };
  },

  async prepare(lane: LaneContext, previous: AttemptNotes): Promise<AttemptNotes> {
    if (rungOf(lane.sink) !== 'position') return {};
    // A batch that was sent before keeps its place: the tail may already lie behind it.
    const expected = previous.expectedPosition ?? lane.position ?? (await lane.sink.facts.tail?.());
    assert(expected !== undefined, 'position.sink-tells-its-tail');
    return { expectedPosition: expected };
  },

  async deliver(permit: Permit, lane: LaneContext, attempt: OpenAttempt): Promise<Verdict> {
    const { can } = lane.sink;
    const rung = surely(rungOf(lane.sink));
    switch (rung) {
      case 'marker': {
        const verdict = await surely(can.commitOnce)(permit);
        if (verdict !== 'already') return verdict;
        return applied(permit.batch.records, { summary: "the sink's marker shows the batch as applied" });
      }
      case 'position':
        return await surely(can.appendAt)(permit, surely(attempt.notes.expectedPosition));
      case 'key':
        refuseForgotten(attempt, lane);
        return await surely(can.appendOnce)(permit);
      case 'job':
        return await deliverByJob(surely(can.job), permit, lane, attempt);
      case 'fence-then-look':
      case 'look':
      case 'none':
        return await surely(can.append)(permit);
      default:
        return assertNever(rung);
    }
  },

  async settle(attempt: LostAttempt, lane: LaneContext): Promise<Settlement> {
    const rung = surely(rungOf(lane.sink));
    switch (rung) {
      case 'marker':
        if (lane.sink.can.marked && !(await attempt.hasBytes())) return await settleByMarker(attempt, lane);
        return { kind: 'resend', evidence: 'the marker in the sink tells a repeat' };
      case 'position':
        return { kind: 'resend', evidence: `the sink takes it only at position ${attempt.notes.expectedPosition}` };
      case 'key':
        return await settleByKey(attempt, lane);
      case 'job':
        return await settleByJob(attempt, lane);
      case 'fence-then-look':
        await surely(lane.sink.can.fence)(attempt.shard, attempt.fence);
        // Until that moment an older request could be applied, and what was applied last shows last.
        await lane.wait(lane.sink.facts.visibilityLagMs ?? 0);
        return await settleByLook(attempt, lane.sink);
      case 'look':
        return await settleByLook(attempt, lane.sink);
      case 'none':
        return { kind: 'undecided', evidence: 'the sink offers no way to ask' };
      default:
        return assertNever(rung);
    }
  },
};

function rungOf(sink: Sink): AppendRung | undefined {
  const { can, facts } = sink;
  if (can.commitOnce) return 'marker';
  if (can.appendAt && facts.tail) return 'position';
  if (can.appendOnce && facts.key) return 'key';
  if (can.job) return 'job';
  if (!can.append) return undefined;
  if (can.find) return can.fence ? 'fence-then-look' : 'look';
  return 'none';
}

async function deliverByJob(
  job: Abilities['job'],
  permit: Permit,
  lane: LaneContext,
  attempt: OpenAttempt,
): Promise<Verdict> {
  const handle = await job.open(permit);
  // The handle is durable before any data leaves: from here on the job can always be asked.
  await attempt.note({ jobHandle: handle });
  await job.send(handle, permit);
  return await untilDone(job, handle, permit.batch, lane);
}

/** Longest pause between two questions about a running job. */
const POLL_MAX_MS = 5_000;

async function untilDone(
  job: Abilities['job'],
  handle: string,
  batch: Permit['batch'],
  lane: LaneContext,
): Promise<Verdict> {
  for (let pause = 100; ; pause = Math.min(pause * 2, POLL_MAX_MS)) {
    const state = await stateOfSent(job, handle, batch);
    if (state === 'empty') {
      // Not a proof: data that was taken may show later. The batch is in doubt, and the job is asked again.
      throw new WaybillError('SINK_FAILED', `job ${handle} shows nothing of what was sent to it`);
    }
    if (state !== 'running') return state;
    await lane.wait(pause);
  }
}

/** A question that was refused says nothing about the data, which has left: only the job itself can. */
async function stateOfSent(
  job: Abilities['job'],
  handle: string,
  batch: Permit['batch'],
): Promise<Verdict | 'running' | 'empty'> {
  try {
    return await job.state(handle, batch);
  } catch (error) {
    throw new WaybillError('SINK_FAILED', `job ${handle} could not be asked what became of the data`, { cause: error });
  }
}

async function settleByJob(attempt: LostAttempt, lane: LaneContext): Promise<Settlement> {
  const handle = attempt.notes.jobHandle;
  if (handle === undefined) return { kind: 'absent', evidence: 'no job was known, so no data had been sent' };
  const job = surely(lane.sink.can.job);
  for (let pause = 100; ; pause = Math.min(pause * 2, POLL_MAX_MS)) {
    const state = await job.state(handle, attempt.batch);
    if (state === 'empty') return { kind: 'absent', evidence: `job ${handle} is empty` };
    if (state !== 'running') return { kind: 'known', verdict: state, evidence: `job ${handle} has ended` };
    await lane.wait(pause);
  }
}

/**
 * Whether a repeat is recognised is asked again at every send: a batch that was cleared for one may have waited since,
 * for a sink that was away or for a process to start. Thrown before a byte has left; the batch is in doubt again.
 */
function refuseForgotten(attempt: OpenAttempt, lane: LaneContext): void {
  const { firstLostAgoMs } = attempt;
  const { horizonMs } = surely(lane.sink.facts.key);
  if (firstLostAgoMs === undefined || firstLostAgoMs + lane.sink.requestTimeoutMs < horizonMs) return;
  throw new WaybillError('SINK_FAILED', 'the sink may have forgotten the key under which the batch was sent before');
}

/** Without the bytes to send again the marker is asked for alone. */
async function settleByMarker(lost: LostAttempt, { sink, signal }: LaneContext): Promise<Settlement> {
  if (!(await surely(sink.can.marked)({ ...lost, signal }))) {
    return { kind: 'absent', evidence: 'the sink holds no marker of the batch' };
  }
  const summary = "the sink's marker shows the batch as applied";
  return { kind: 'known', verdict: applied(lost.batch.records, { summary }), evidence: summary };
}

async function settleByKey(attempt: LostAttempt, lane: LaneContext): Promise<Settlement> {
  const horizonMs = surely(lane.sink.facts.key).horizonMs;
  // The repeat must reach the sink while the key is still remembered, however slowly it travels.
  const latestMs = attempt.firstSentAgoMs + attempt.sendDeadlineMs;
  if (latestMs < horizonMs) return { kind: 'resend', evidence: 'the sink still remembers the idempotency key' };
  if (lane.sink.can.find) return await settleByLook(attempt, lane.sink);
  return { kind: 'undecided', evidence: 'the sink may have forgotten the idempotency key' };
}

async function settleByLook(attempt: LostAttempt, sink: Sink): Promise<Settlement> {
  const seen = await surely(sink.can.find)(attempt.batch, await attempt.payload());
  assert(seen.records.length === attempt.batch.records, 'find.one-finding-a-record');
  const found = sink.facts.findsOthers ? withoutOthers(seen, await attempt.sentElsewhere()) : seen;
  const kinds = new Set(found.records);
  if (kinds.size === 1 && kinds.has('absent')) return { kind: 'absent', evidence: found.evidence };
  if (kinds.size === 1 && kinds.has('unknown')) return { kind: 'undecided', evidence: found.evidence };
  return { kind: 'known', verdict: verdictOf(found), evidence: found.evidence };
}

/** What was sent before, in another batch, is found whether this one arrived or not: of it the look proves nothing. */
function withoutOthers(found: Found, elsewhere: ReadonlySet<number>): Found {
  const records = found.records.map((finding, index) =>
    finding === 'applied' && elsewhere.has(index) ? 'unknown' : finding,
  );
  const unproved = records.filter((finding, index) => finding !== found.records[index]).length;
  if (unproved === 0) return found;
  return { records, evidence: `${found.evidence}; ${unproved} found had been sent before, which proves nothing` };
}

/** What was not found is as good as refused for now: it may be sent again, alone. */
function verdictOf(found: Found): Verdict {
  const outcomes = new Uint8Array(found.records.length);
  const refusals: Refusal[] = [];
  found.records.forEach((finding, index) => {
    if (finding === 'absent') {
      refusals.push({ index, code: 'absent', message: 'not found in the sink', retryable: true });
    }
    outcomes[index] = FINDINGS[finding];
  });
  return { outcomes, refusals, receipt: { summary: found.evidence } };
}

const FINDINGS = { applied: OUTCOME.applied, absent: OUTCOME.refused, unknown: OUTCOME.unknown } as const;

function surely<T>(value: T | undefined): T {
  assert(value !== undefined, 'strategy.fits-its-sink');
  return value;
}
