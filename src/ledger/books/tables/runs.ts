import { WaybillError } from '../../../model/errors.ts';
import { asRunId, type RunId, showRun } from '../../../model/ids.ts';
import type { RunState } from '../../../model/states.ts';
import type { Window } from '../../../model/window.ts';
import type { RunRow } from '../../ledger.ts';
import type { Cell } from '../../row-digest.ts';
import { RUN_STATE, toCode, toWord } from '../codes.ts';
import { type Asking, query, type Store, table } from '../store.ts';
import { RUN_LEASE, readLease } from './leases.ts';

export const RUN = table('run', 1, {
  keys: ['id'],
  fixed: ['flow', 'window', 'window_start', 'window_end', 'opened_at'],
  rest: ['state', 'paused', 'correlation', 'config', 'generation', 'ended_at', 'reason'],
});

export interface RunRecord {
  readonly id: RunId;
  readonly flow: string;
  readonly window: string;
  readonly windowStart: string | null;
  readonly windowEnd: string | null;
  readonly openedAtMs: number;
  state: RunState;
  paused: boolean;
  correlationId: string;
  configDigest: string;
  generation: number;
  endedAtMs: number | null;
  reason: string | null;
}

const BY_ID = query(RUN, 'WHERE id = ?');
const BY_WINDOW = query(RUN, 'WHERE flow = ? AND "window" = ?');

export function* readRun(store: Store, id: RunId): Asking<RunRecord> {
  const cells = yield* store.one(BY_ID, id);
  if (cells === undefined)
    throw new WaybillError('RUN_UNKNOWN', `the ledger knows no run ${showRun(id)}`, { ids: { run: showRun(id) } });
  return decodeRun(store, cells);
}

export function* findRun(store: Store, flow: string, window: string): Asking<RunRecord | undefined> {
  const cells = yield* store.one(BY_WINDOW, flow, window);
  return cells === undefined ? undefined : decodeRun(store, cells);
}

export const encodeRun = (run: RunRecord): Cell[] => [
  run.id,
  run.flow,
  run.window,
  run.windowStart,
  run.windowEnd,
  run.openedAtMs,
  toCode(RUN_STATE, run.state),
  run.paused ? 1 : 0,
  run.correlationId,
  run.configDigest,
  run.generation,
  run.endedAtMs,
  run.reason,
];

export function decodeRun(store: Store, cells: readonly Cell[]): RunRecord {
  return {
    id: asRunId(cells[0] as number),
    flow: cells[1] as string,
    window: cells[2] as string,
    windowStart: cells[3] as string | null,
    windowEnd: cells[4] as string | null,
    openedAtMs: cells[5] as number,
    state: toWord(RUN_STATE, cells[6] as Cell, store.place),
    paused: cells[7] === 1,
    correlationId: cells[8] as string,
    configDigest: cells[9] as string,
    generation: cells[10] as number,
    endedAtMs: cells[11] as number | null,
    reason: cells[12] as string | null,
  };
}

/** `nowMs` decides whether the lease still counts; a reader has no clock and shows the lease as it stands. */
export const windowOf = ({ window, windowStart, windowEnd }: RunRecord): Window => ({
  name: window,
  ...(windowStart === null ? {} : { start: windowStart }),
  ...(windowEnd === null ? {} : { end: windowEnd }),
});

export function* toRunRow(store: Store, run: RunRecord): Asking<RunRow> {
  const lease = yield* readLease(store, run.id, RUN_LEASE.lane, RUN_LEASE.shard);
  return {
    id: run.id,
    flow: run.flow,
    window: windowOf(run),
    state: run.state,
    paused: run.paused,
    correlationId: run.correlationId,
    generation: run.generation,
    openedAtMs: run.openedAtMs,
    ...(run.endedAtMs === null ? {} : { endedAtMs: run.endedAtMs }),
    ...(run.reason === null ? {} : { reason: run.reason }),
    ...(lease === undefined || lease.untilMs === 0 ? {} : { owner: lease.owner, leaseUntilMs: lease.untilMs }),
  };
}
