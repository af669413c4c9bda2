import { assert } from '../model/assert.ts';
import type { MergeBy } from '../model/load.ts';
import type { FlowFacts } from './strategy.ts';

/** Why a flow says too little for its rows to find those that are there. */
export function lacksKey({ key, load }: FlowFacts): string | undefined {
  if (key === null || key.length === 0) {
    return 'nothing says which rows are the same: the source names no key (`source: { key: [column, …] }`)';
  }
  for (const column of [load.deleted?.column, load.latestBy]) {
    if (column !== undefined && key.includes(column))
      return `${column} is part of the key and cannot say more than that`;
  }
  return undefined;
}

export function mergeBy({ key, load }: FlowFacts): MergeBy {
  assert(key !== null, 'strategy.fits-its-flow');
  return {
    key,
    ...(load.deleted === undefined ? {} : { deleted: load.deleted }),
    ...(load.latestBy === undefined ? {} : { latestBy: load.latestBy }),
  };
}
