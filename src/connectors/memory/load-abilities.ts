import type { Batch } from '../../model/batch.ts';
import type { DataRecord } from '../../model/chunk.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Load, LoadStep, StepReceipt } from '../../model/load.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import type { LoadAbilities, Permit } from '../connector.ts';
import type { MemoryLoads } from './loads.ts';
import type { MemoryStepCall, MemoryTable } from './store.ts';

export interface StepFaults {
  /** Called before a step looks at anything or changes it. What it throws, the caller gets. */
  beforeStep?(call: MemoryStepCall): void | Promise<void>;
  /** Called after the step was done. What it throws is what the caller gets: the answer was lost. */
  afterStep?(call: MemoryStepCall): void | Promise<void>;
}

/** Everything that a sink can do with loads, on the loads of a table. `add` knows how a batch is taken in. */
export function loadAbilities(
  table: MemoryTable,
  faults: StepFaults,
  add: (permit: Permit) => Promise<Verdict | 'already'>,
): LoadAbilities {
  const { loads } = table;
  const step = async (
    ability: string,
    of: LoadStep,
    work: (loads: MemoryLoads) => StepReceipt,
  ): Promise<StepReceipt> => {
    const { load, fence, correlationId, signal } = of;
    const call = { ability, lane: load.lane, load: load.id, fence, correlationId };
    if (signal.aborted) throw new NotAppliedError('the step was given up before it began');
    table.steps.push(call);
    await faults.beforeStep?.(call);
    const receipt = work(loads);
    await faults.afterStep?.(call);
    return receipt;
  };
  return {
    load: { open: (of) => step('load.open', of, () => loads.open(of)), add },
    appendLoad: (of) => step('appendLoad', of, () => loads.appendLoad(of)),
    replace: (of, scope) => step('replace', of, () => loads.replace(of, scope)),
    merge: (of, by) => step('merge', of, () => loads.merge(of, by)),
    mergeAt: (of, by, at) => step('mergeAt', of, () => loads.mergeAt(of, by, at)),
    addToPeriod: (of, period, fresh) => step('addToPeriod', of, () => loads.addToPeriod(of, period, fresh)),
    publish: (of, keep) => step('publish', of, () => loads.publish(of, keep)),
    versions: {
      current: async () => loads.current,
      kept: async () => loads.kept,
      restore: (of, version) => step('versions.restore', of, () => loads.restore(of, version)),
    },
  };
}

/** Takes a batch into the place of its load. */
export function addBatch(loads: MemoryLoads, load: Load | undefined, batch: Batch, rows: readonly DataRecord[]) {
  if (load === undefined) throw new RefusedError('the batch belongs to no load', { reason: 'no-load' });
  if (loads.holds(load, batch)) return 'already' as const;
  loads.add(load, batch, rows);
  return applied(batch.records, { summary: `${batch.records} records collected` });
}
