import type { OpenedRun } from '../ledger/ledger.ts';
import { EMPTY_BALANCE } from '../model/states.ts';
import type { LaneDelivery } from './deliver.ts';
import type { Job, RunSummary, Services } from './engine.ts';
import type { LaneFit } from './fit-lane.ts';
import type { LaneTally } from './lane.ts';

export interface SummaryFacts {
  readonly job: Job;
  readonly services: Services;
  readonly opened: OpenedRun;
  readonly fits: ReadonlyMap<string, LaneFit>;
  readonly tallies: ReadonlyMap<string, LaneTally>;
  readonly deliveries: readonly LaneDelivery[];
  /** Lanes whose load could not be published, and why. */
  readonly unpublished: RunSummary['stalled'];
  /** Everything had been decided before this start. */
  readonly nothingToDo: boolean;
  /** Told to stop from outside. */
  readonly interrupted: boolean;
  readonly elapsedMs: number;
}

/** Concludes the run in the ledger, unless nothing was to do or the window is not read, and tells how it stands. */
export async function summarise(facts: SummaryFacts): Promise<RunSummary> {
  const { job, opened, nothingToDo } = facts;
  const { ledger } = facts.services;
  const generation = (await ledger.read.generations(opened.run.id)).at(-1);
  // A window that was not read to its end is not complete, however little of it there is.
  // One that a process left between the last answer and its conclusion still wants it, though nothing is to be done;
  // so does one that failed and was read to its end since, and found nothing to send.
  const { state } = opened.run;
  const concluded = generation?.state === 'closed' && (!nothingToDo || state === 'open' || state === 'failed');
  if (concluded) await ledger.concludeRun({ run: opened.run.id, fence: opened.fence });
  const run = await ledger.read.run(opened.run.id);
  const balances = await ledger.read.balance(run.id);
  const lanes = await ledger.read.lanes(run.id);
  const leftOut = await ledger.read.leftOut(run.id);
  return {
    run,
    ...(generation === undefined ? {} : { generation }),
    nothingToDo,
    interrupted: facts.interrupted,
    paused: run.paused || lanes.some((lane) => lane.paused),
    stalled: [
      ...facts.deliveries.flatMap((one) =>
        one.stalled === undefined ? [] : [{ lane: one.lane, reason: one.stalled }],
      ),
      ...facts.unpublished,
    ],
    lanes: job.lanes.map(({ name }) => {
      const tally = facts.tallies.get(name)!;
      return {
        lane: name,
        guarantee: facts.fits.get(name)!.guarantee,
        balance: balances.get(name) ?? EMPTY_BALANCE,
        attempts: tally.attempts,
        batches: generation?.lanes.find((one) => one.lane === name)?.batches ?? 0,
        answers: tally.answers,
        leftOut: leftOut.filter(({ lane }) => lane === name).map(({ column, records }) => ({ column, records })),
      };
    }),
    elapsedMs: facts.elapsedMs,
  };
}
