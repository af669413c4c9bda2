import type { MemoryAbility } from '../../connectors/memory/sink.ts';
import { describeError } from '../../model/errors.ts';
import { Chance } from './chance.ts';
import { type Cut, DiskPlan, type DiskPlanOptions } from './disk-plan.ts';
import { Machine, type MachineOptions, type Mistake } from './machine.ts';
import { SimDisk } from './sim-disk.ts';
import type { CutTemper } from './sim-file.ts';
import type { WasmSqlite } from './wasm-sqlite.ts';

export interface Case {
  readonly seed: number;
  readonly mistake?: Mistake;
}

export interface CaseResult {
  readonly seed: number;
  /** What the disk was asked when the power went, or the process ended; one for each. */
  readonly cuts: readonly string[];
  /** What was lost, torn or out of order. Empty when all is well. */
  readonly found: readonly string[];
}

const CUTS_MAX = 3;
const SINKS: readonly [readonly MemoryAbility[], string][] = [
  [['append'], 'ledgered-append'],
  [['append', 'find'], 'ledgered-append'],
  [['appendOnce'], 'ledgered-append'],
  [['put'], 'keyed'],
];

/**
 * One machine, up to three power cuts, each at a call of the disk that the seed chooses, the opening after an earlier
 * cut included. Then it is let come to its end. The same seed is the same case.
 */
export async function cutPower(sqlite: WasmSqlite, { seed, mistake }: Case): Promise<CaseResult> {
  const chance = new Chance(seed);
  const options = optionsOf(chance, mistake);
  const first = plan(mistake, { cut: cutOf(chance) });
  const machine = new Machine(sqlite, new SimDisk({ names: options.names, plan: first }), options);
  const cuts: string[] = [];
  for (;;) {
    const { plan: was } = machine.disk;
    const ended = await machine.live();
    const isLast = cuts.length >= CUTS_MAX;
    if (ended.how === 'failed') return { seed, cuts, found: [`could not go on: ${describeError(ended.error)}`] };
    if (ended.how === 'done' && (isLast || cuts.length > 0)) {
      machine.disk = machine.disk.afterKill(plan(mistake));
      const found = [...machine.judgeEnd(ended.summary), ...(await machine.judge())];
      return { seed, cuts, found };
    }
    // Where the case was over before its first cut, the power goes when all is done.
    cuts.push(ended.how === 'died' ? was.where : 'all is done');
    const found = await nextPower(machine, chance, mistake, cuts.length);
    if (found.length > 0) return { seed, cuts, found };
  }
}

/** The power comes back, sometimes under the eyes of a judge; the next cut is planned. */
async function nextPower(
  machine: Machine,
  chance: Chance,
  mistake: Mistake | undefined,
  cuts: number,
): Promise<readonly string[]> {
  const temper: CutTemper = { kept: chance.of([0, 0.1, 0.5, 0.9, 1]), torn: chance.of([0, 0, 0.2]) };
  const next = (): DiskPlan => plan(mistake, cuts < CUTS_MAX ? { cut: cutOf(chance) } : {});
  // A process can be killed and the power go only afterwards: then what was never synced is older than the process.
  if (chance.yes(0.15)) {
    machine.disk = machine.disk.afterKill(next());
    return [];
  }
  const judged = chance.yes(0.5);
  machine.disk = machine.disk.afterCut(chance, temper, judged ? plan(mistake) : next());
  if (!judged) return [];
  const found = await machine.judge();
  machine.disk = machine.disk.afterKill(next());
  return found;
}

/** Most calls are writes to the log: half of the cuts are kept for the others. */
const RARE = [
  /staging/,
  /\.journal/,
  /^(make|rename|remove|sync-folder)/,
  /^sync /,
  /ledger\.db$/,
  /db-journal/,
] as const;

function cutOf(chance: Chance): Cut {
  if (chance.yes(0.5)) return { at: 1 + chance.below(240) };
  return { at: 1 + chance.below(20), of: chance.of(RARE) };
}

function plan(mistake: Mistake | undefined, options: DiskPlanOptions = {}): DiskPlan {
  return new DiskPlan(mistake?.skip === undefined ? options : { ...options, skip: mistake.skip });
}

function optionsOf(chance: Chance, mistake: Mistake | undefined): MachineOptions {
  const [abilities, strategy] = chance.of(SINKS);
  return {
    names: chance.of(['strict', 'ordered']),
    abilities,
    strategy,
    deliver: chance.of(['after-read', 'while-reading']),
    journalFirst: chance.yes(0.4),
    checkpointPages: chance.of([4, 20, 4096]),
    segmentBytes: chance.of([700, 5_000, 64 * 1024 * 1024]),
    ...(mistake === undefined ? {} : { mistake, ...mistake.among }),
  };
}
