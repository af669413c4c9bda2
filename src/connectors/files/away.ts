import { NotAppliedError, RefusedError } from '../../model/errors.ts';

/** Before the first byte is written every error proves that nothing was applied. */
export function away(name: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof NotAppliedError || error instanceof RefusedError) throw error;
    throw new NotAppliedError(`nothing was written to ${name}`, { cause: error, sinkAway: true });
  };
}
