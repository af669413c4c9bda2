import { describeError, WaybillError } from '../../../model/errors.ts';
import type { RunId } from '../../../model/ids.ts';
import { SHARD_BATCHES } from '../../ledger.ts';
import { balanceProblems } from '../balance.ts';
import { query, type Store, type Table } from '../store.ts';
import { ATTEMPT, attemptsOf } from '../tables/attempts.ts';
import { BATCH, type BatchRecord, decodeBatch } from '../tables/batches.ts';
import { CHAIN, checkChain } from '../tables/events.ts';
import { EXCEPTION, notesOf } from '../tables/exceptions.ts';
import { GENERATION, GENERATION_LANE } from '../tables/generations.ts';
import { LANE, lanesOf, TALLY } from '../tables/lanes.ts';
import { LEASE } from '../tables/leases.ts';
import { MEMBERS, SEGMENT, segmentName, UNBATCHED } from '../tables/members.ts';
import { POSITION } from '../tables/positions.ts';
import { decodeRun, RUN } from '../tables/runs.ts';
import { EMITTER } from '../verbs/set-position.ts';
import { KEY_LANE, KEY_PAGE, KEY_PART } from './key-pages.ts';
import { batchesIn } from './key-search.ts';
import type { Reading } from './reading.ts';
import { indexProblems, membersOf } from './verify-index.ts';

const TABLES: readonly Table[] = [
  RUN,
  LANE,
  TALLY,
  GENERATION,
  GENERATION_LANE,
  SEGMENT,
  MEMBERS,
  BATCH,
  ATTEMPT,
  EXCEPTION,
  UNBATCHED,
  CHAIN,
  LEASE,
  POSITION,
  EMITTER,
  KEY_LANE,
  KEY_PART,
  KEY_PAGE,
];
const ALL_RUNS = query(RUN, 'ORDER BY id');
const BATCHES_OF = query(BATCH, 'WHERE lane = ? ORDER BY id');

/** Every line names one thing that does not agree; what follows from it may be named, too. */
export function verify(r: Reading, run?: RunId): string[] {
  const found: string[] = [];
  if (run === undefined) {
    const pages = r.store.plain('PRAGMA integrity_check(100)').map(([line]) => String(line));
    found.push(...pages.filter((line) => line !== 'ok').map((line) => `file: ${line}`));
    for (const table of TABLES) attempt(found, () => checkTable(r.store, table, found));
    attempt(found, () => checkStrays(r.store, found));
  }
  const runs =
    run === undefined ? tried(found, () => r.store.many(ALL_RUNS).map((cells) => decodeRun(r.store, cells).id)) : [run];
  for (const id of runs ?? []) verifyRun(r, id, found);
  return [...new Set(found)];
}

/** A row that cannot be read is a line of the report, not its end. */
function attempt(found: string[], check: () => void): void {
  tried(found, check);
}

function tried<T>(found: string[], check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    // What the database itself cannot read is a finding too; a fault of ours is not.
    const isFinding =
      error instanceof WaybillError
        ? error.code !== 'INVARIANT_BROKEN'
        : error instanceof Error && error.name === 'SqliteError';
    if (!isFinding && !(error instanceof SyntaxError)) throw error;
    found.push(describeError(error));
    return undefined;
  }
}

function checkTable(store: Store, table: Table, found: string[]): void {
  const all = `SELECT ${table.columns.join(', ')}, chk FROM ${table.name}`;
  for (const cells of store.walk(all)) {
    if (!store.fits(table, cells))
      found.push(`row ${cells.slice(0, table.keys).join('/')} of ${table.name} is not what was written`);
  }
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
  ['event without its run', 'SELECT seq FROM event WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.id = event.run)'],
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

function checkStrays(store: Store, found: string[]): void {
  for (const [what, sql] of STRAYS)
    for (const [id] of store.plain(`${sql} LIMIT 10`)) found.push(`${what}: ${String(id)}`);
}

function verifyRun(r: Reading, run: RunId, found: string[]): void {
  attempt(found, () => checkChain(r.store, run));
  attempt(found, () => found.push(...balanceProblems(r.store, run)));
  for (const lane of tried(found, () => lanesOf(r.store, run)) ?? []) {
    const batches = tried(found, () => r.store.many(BATCHES_OF, lane.id).map((cells) => decodeBatch(r.store, cells)));
    for (const batch of batches ?? []) verifyBatch(r, batch, found);
    attempt(found, () => verifyMembers(r, lane.id, found));
    attempt(found, () => found.push(...indexProblems(r, lane.id)));
  }
}

function verifyBatch(r: Reading, batch: BatchRecord, found: string[]): void {
  attempt(found, () => {
    const attempts = attemptsOf(r.store, batch);
    const latest = attempts[attempts.length - 1];
    notesOf(r.store, batch);
    segmentName(r.store, batch.segment);
    const open = latest !== undefined && latest.answer === null;
    if (open !== (batch.state === 'sending'))
      found.push(`batch b${batch.id} is ${batch.state}, but its last attempt is ${open ? 'open' : 'answered'}`);
  });
}

function verifyMembers(r: Reading, lane: number, found: string[]): void {
  for (const members of membersOf(r.store, lane)) {
    attempt(found, () => {
      let at = 0;
      for (const batch of batchesIn(r, members)) {
        if (batch.members !== members.id || batch.memberAt !== at)
          found.push(`batch b${batch.id} does not stand where row ${members.id} of members has it`);
        at += batch.records;
      }
    });
  }
}
