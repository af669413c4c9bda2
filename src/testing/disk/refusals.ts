import { describeError, WaybillError } from '../../model/errors.ts';
import { Chance } from './chance.ts';
import { DiskPlan, type Refusal } from './disk-plan.ts';
import { type Ended, Machine, type MachineOptions } from './machine.ts';
import { SimDisk } from './sim-disk.ts';
import type { WasmSqlite } from './wasm-sqlite.ts';

export interface RefusalResult {
  /** The call of the disk that was refused, by its number. */
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
  { at, how, journalFirst = false }: { at: number; how: Refusal; journalFirst?: boolean },
): Promise<RefusalResult> {
  const plan = new DiskPlan({ refuse: { at, how } });
  const machine = new Machine(sqlite, new SimDisk({ names: 'strict', plan }), { ...OPTIONS, journalFirst });
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

const said = (ended: Ended): string => (ended.how === 'failed' ? codeOf(ended.error) : ended.how);

const codeOf = (error: unknown): string => (error instanceof WaybillError ? error.code : 'no code');

function clearly(ended: Ended): string[] {
  if (ended.how !== 'failed') return [];
  const { error } = ended;
  if (error instanceof WaybillError && CLEAR.test(error.code) && error.hint.length > 0) return [];
  return [`not clear: ${codeOf(error)}: ${describeError(error)}`];
}
