import { describeError, WaybillError } from '../../model/errors.ts';
import { Chance } from './chance.ts';
import { DiskPlan, type Refusal } from './disk-plan.ts';
import { type Ended, Machine, type MachineOptions, type Mistake } from './machine.ts';
import { SimDisk } from './sim-disk.ts';
import type { WasmSqlite } from './wasm-sqlite.ts';

export interface RefusalCase {
  /** Which call, of those that can end like that; 1-based. */
  readonly at: number;
  readonly how: Refusal;
  /** Answers go to the journal first, so that it is tried, too. */
  readonly journalFirst?: boolean;
  readonly mistake?: Mistake;
}

export interface RefusalResult {
  /** As in the case. */
  readonly at: number;
  readonly how: Refusal;
  /** Its name and path; undefined when the life was over before. */
  readonly where: string | undefined;
  /** The code that the life ended with, or `done` where it could go on all the same. */
  readonly said: string;
  readonly found: readonly string[];
}

/** What may be said of a disk that refuses. Not that anything is damaged: then somebody would restore a backup. */
const CLEAR = /^(LEDGER_WRITE|STAGING_WRITE|STAGING_READ|JOURNAL_WRITE|JOURNAL_READ)$/;

const OPTIONS: MachineOptions = {
  names: 'strict',
  abilities: ['append'],
  strategy: 'ledgered-append',
  deliver: 'after-read',
  journalFirst: false,
  checkpointPages: 20,
  segmentBytes: 700,
};

/**
 * The nth call of the disk is refused, once. The process says what is wrong or goes on; then the power goes, and
 * nothing that was not synced is kept, so that an answer to a sync that failed, or to one that was only tried again,
 * shows. The next life finds all that was acknowledged and comes to its end.
 */
export async function refuseCall(
  sqlite: WasmSqlite,
  { at, how, journalFirst = false, mistake }: RefusalCase,
): Promise<RefusalResult> {
  const plan = new DiskPlan({ refuse: { at, how } });
  const options = { ...OPTIONS, journalFirst, ...(mistake === undefined ? {} : { mistake }) };
  const machine = new Machine(sqlite, new SimDisk({ names: 'strict', plan }), options);
  const first = await machine.live();
  const where = plan.refused ? plan.where : undefined;
  const found = clearly(first);
  machine.disk = machine.disk.afterCut(new Chance(at), { kept: 0, torn: 0 });
  found.push(...(await machine.judge()));
  machine.disk = machine.disk.afterKill();
  const second = await machine.live();
  if (second.how === 'done') found.push(...machine.judgeEnd(second.summary));
  else found.push(`the next life could not go on: ${second.how === 'failed' ? describeError(second.error) : 'died'}`);
  return { at, how, where, said: said(first), found };
}

/**
 * Which calls a life makes that can end like that, in order; a few of each kind at each place stand for all of them.
 * `few`: how many of one kind are taken, spread from the first to the last.
 */
export async function callsToRefuse(
  sqlite: WasmSqlite,
  { how, journalFirst = false, few }: { how: Refusal; journalFirst?: boolean; few: number },
): Promise<number[]> {
  const seen: string[] = [];
  const plan = new DiskPlan({ watch: { how, tell: (what) => seen.push(what.replace(/\d+/g, 'N')) } });
  await new Machine(sqlite, new SimDisk({ names: 'strict', plan }), { ...OPTIONS, journalFirst }).live();
  const places = new Map<string, number[]>();
  seen.forEach((what, nth) => {
    places.set(what, [...(places.get(what) ?? []), nth + 1]);
  });
  const chosen = [...places.values()].flatMap((all) => spread(all, few));
  return [...new Set(chosen)].sort((a, b) => a - b);
}

function spread(all: readonly number[], few: number): number[] {
  if (all.length <= few) return [...all];
  const step = few === 1 ? 0 : (all.length - 1) / (few - 1);
  return Array.from({ length: few }, (_, nth) => all[Math.round(nth * step)] as number);
}

const said = (ended: Ended): string => (ended.how === 'failed' ? codeOf(ended.error) : ended.how);

const codeOf = (error: unknown): string => (error instanceof WaybillError ? error.code : 'no code');

function clearly(ended: Ended): string[] {
  if (ended.how !== 'failed') return [];
  const { error } = ended;
  if (error instanceof WaybillError && CLEAR.test(error.code) && error.hint.length > 0) return [];
  return [`not clear: ${codeOf(error)}: ${describeError(error)}`];
}
