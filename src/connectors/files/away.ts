import { describeError, NotAppliedError, RefusedError } from '../../model/errors.ts';

/** What stays so until somebody changes something: rights, a file where a folder should be, a link for a file. */
const SETTLED: ReadonlySet<unknown> = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'EEXIST',
  'EISDIR',
  'ELOOP',
  'ENAMETOOLONG',
]);

/** Before the first byte is written every error proves that nothing was applied. */
export function away(name: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof NotAppliedError || error instanceof RefusedError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (SETTLED.has(code)) throw unfit(name, describeError(error), { reason: String(code), cause: error });
    throw new NotAppliedError(`nothing was written to ${name}`, { cause: error, sinkAway: true });
  };
}

/** Nothing will be written to a file of this name as long as the flow or the folder are what they are. */
export const unfit = (name: string, why: string, details: { reason: string; cause?: unknown }): RefusedError =>
  new RefusedError(`nothing can be written to ${name}: ${why}`, {
    ...details,
    about: 'request',
    hint: 'Correct `path` or `root`, or what is in that folder and the rights to it.',
  });
