import type { AbilityFacts } from '../connectors/connector.ts';
import { NotAppliedError, RefusedError } from '../model/errors.ts';
import type { Load, LoadStep, StepReceipt } from '../model/load.ts';
import type { BookKeeper } from './books.ts';
import { BrokenPart, type LoadPlace } from './place.ts';
import type { ObjectStore } from './store.ts';

/** What each way of showing loads is given. */
export interface Showing {
  readonly store: ObjectStore;
  readonly place: LoadPlace;
  booksOf(load: Load): BookKeeper;
  /** The path of the sink for one load: what stands before `{{ batch }}` in it, and what behind. */
  pathOf(load: Load): readonly [string, string];
}

/** How a kind of show publishes; all else is the same for every kind. */
export interface Show {
  readonly facts: AbilityFacts;
  /** Loads whose places are more than somewhere to collect: readers are led there. */
  shown(load: Load, signal: AbortSignal): Promise<ReadonlySet<string>>;
  replace(step: LoadStep): Promise<StepReceipt>;
  publish?(step: LoadStep, keep: number): Promise<StepReceipt>;
  append?(step: LoadStep): Promise<StepReceipt>;
}

/**
 * What is asked of a store before it is known what an earlier try of the step has come to. A refusal of the store, of
 * a token that has expired, proves then that this try has done nothing, and no more; one of the load itself stands.
 */
export async function asked<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof RefusedError) || error instanceof BrokenPart) throw error;
    throw new NotAppliedError(error.message, { cause: error, hint: error.hint, ids: error.ids });
  }
}

/** The parts of a load that is to be published. Throws RefusedError when its place is gone. */
export async function collected({ place }: Showing, { load, signal }: LoadStep): ReturnType<LoadPlace['parts']> {
  if (await asked(place.isOpen(load.id, signal))) return await asked(place.parts(load.id, signal));
  throw new RefusedError(`the place of ${load.id} is gone, and the load was not published`, {
    reason: 'place',
    about: 'request',
    hint: 'Load the window again: waybill run FLOW --refresh.',
  });
}
