import { describeError, WaybillError } from '../../../model/errors.ts';
import { NO_RUN, type RunId } from '../../../model/ids.ts';
import { SHARD_BATCHES } from '../../ledger.ts';
import { balanceProblems } from '../balance.ts';
import { type Asking, query, type Store, type Table } from '../store.ts';
import { attemptsOf } from '../tables/attempts.ts';
import { BATCH, type BatchRecord, decodeBatch } from '../tables/batches.ts';
import { checkChain } from '../tables/events.ts';
import { notesOf } from '../tables/exceptions.ts';
import { lanesOf } from '../tables/lanes.ts';
import { type MembersRecord, membersAfter, segmentName } from '../tables/members.ts';
import { decodeRun, RUN } from '../tables/runs.ts';
import { batchesIn } from './batches.ts';
import type { Reading } from './reading.ts';
import { TABLES } from './tables.ts';
import { indexProblems } from './verify-index.ts';

const ALL_RUNS = query(RUN, 'ORDER BY id');
const BATCHES_OF = query(BATCH, 'WHERE lane = ? ORDER BY id');

/** Every line names one thing that does not agree; what follows from it may be named, too. */
export function* verify(r: Reading, run?: RunId): Asking<string[]> {
  const found: string[] = [];
  if (run === undefined) {
    found.push(...(yield* r.store.damage()));
    for (const table of TABLES.filter((one) => one.signed))
      yield* tried(r.store, found, checkTable(r.store, table, found));
    yield* tried(r.store, found, checkStrays(r.store, found));
    yield* tried(r.store, found, checkChain(r.store, NO_RUN));
  }
  const runs = run === undefined ? yield* tried(r.store, found, allRuns(r.store)) : [run];
  for (const id of runs ?? []) yield* verifyRun(r, id, found);
  return [...new Set(found)];
}

function* allRuns(store: Store): Asking<RunId[]> {
  return (yield* store.many(ALL_RUNS)).map((cells) => decodeRun(store, cells).id);
}

/** A row that cannot be read is a line of the report, not its end. */
function* tried<T>(store: Store, found: string[], check: Asking<T>): Asking<T | undefined> {
  try {
    return yield* check;
  } catch (error) {
    // What the database itself cannot read is a finding too; a fault of ours is not, nor a connection that is lost.
    const isFinding =
      error instanceof WaybillError
        ? error.code === 'LEDGER_CORRUPT' || error.code.endsWith('_UNKNOWN')
        : store.isDamage(error);
    if (!isFinding && !(error instanceof SyntaxError)) throw error;
    found.push(describeError(error));
    return undefined;
  }
}

function* checkTable(store: Store, table: Table, found: string[]): Asking<void> {
  yield* store.walk(query(table, '').sql, [], (cells) => {
    if (!store.fits(table, cells))
      found.push(`row ${cells.slice(0, table.keys).join('/')} of ${table.name} is not what was written`);
  });
}

/** Rows whose owner is gone: nothing else would ever look at them. */
const STRAYS: readonly (readonly [what: string, sql: string])[] = [
  [
    'attempt without its batch',
    'SELECT id FROM attempt WHERE NOT EXISTS (SELECT 1 FROM batch WHERE batch.id = attempt.batch)',
  ],
  [
    'exception without its batch',
    'SELECT batch FROM exception WHERE NOT EXISTS (SELECT 1 FROM batch WHERE batch.id = exception.batch)',
  ],
  [
    'event without its run',
    `SELECT seq FROM event WHERE run <> ${NO_RUN} AND NOT EXISTS (SELECT 1 FROM run WHERE run.id = event.run)`,
  ],
  ['batch without its lane', 'SELECT id FROM batch WHERE NOT EXISTS (SELECT 1 FROM lane WHERE lane.id = batch.lane)'],
  ['lane without its run', 'SELECT id FROM lane WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.id = lane.run)'],
  [
    'attempt under a fence that its shard never had',
    `SELECT attempt.id FROM attempt JOIN batch ON batch.id = attempt.batch JOIN lane ON lane.id = batch.lane
     LEFT JOIN lease ON lease.run = lane.run AND lease.lane = lane.id
       AND lease.shard = (batch.seq - 1) / ${SHARD_BATCHES}
     WHERE coalesce(lease.fence, 0) < attempt.fence`,
  ],
  ['lease without its run', 'SELECT run FROM lease WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.id = lease.run)'],
];

function* checkStrays(store: Store, found: string[]): Asking<void> {
  for (const [what, sql] of STRAYS)
    for (const [id] of yield* store.plain(`${sql} LIMIT 10`)) found.push(`${what}: ${String(id)}`);
}

function* verifyRun(r: Reading, run: RunId, found: string[]): Asking<void> {
  const { store } = r;
  yield* tried(store, found, checkChain(store, run));
  found.push(...((yield* tried(store, found, balanceProblems(store, run))) ?? []));
  for (const lane of (yield* tried(store, found, lanesOf(store, run))) ?? []) {
    const rows = yield* tried(store, found, store.many(BATCHES_OF, lane.id));
    for (const cells of rows ?? []) yield* tried(store, found, verifyBatch(r, decodeBatch(store, cells), found));
    yield* tried(store, found, verifyMembers(r, lane.id, found));
    found.push(...((yield* tried(store, found, indexProblems(r, lane.id))) ?? []));
  }
}

function* verifyBatch(r: Reading, batch: BatchRecord, found: string[]): Asking<void> {
  const attempts = yield* attemptsOf(r.store, batch);
  const latest = attempts[attempts.length - 1];
  yield* notesOf(r.store, batch);
  yield* segmentName(r.store, batch.segment);
  const open = latest !== undefined && latest.answer === null;
  if (open !== (batch.state === 'sending'))
    found.push(`batch b${batch.id} is ${batch.state}, but its last attempt is ${open ? 'open' : 'answered'}`);
}

function* verifyMembers(r: Reading, lane: number, found: string[]): Asking<void> {
  let members = yield* membersAfter(r.store, lane, 0);
  for (; members !== undefined; members = yield* membersAfter(r.store, lane, members.id))
    yield* tried(r.store, found, verifyPlaces(r, members, found));
}

function* verifyPlaces(r: Reading, members: MembersRecord, found: string[]): Asking<void> {
  let at = 0;
  for (const batch of yield* batchesIn(r, members)) {
    if (batch.members !== members.id || batch.memberAt !== at)
      found.push(`batch b${batch.id} does not stand where row ${members.id} of members has it`);
    at += batch.records;
  }
}
