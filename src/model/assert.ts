import { WaybillError } from './errors.ts';

/** What must hold, by name. A broken one means that our own code is wrong: the work stops before it does harm. */
export function assert(condition: boolean, invariant: string, details?: Record<string, unknown>): asserts condition {
  if (condition) return;
  throw new WaybillError('INVARIANT_BROKEN', `the invariant ${invariant} does not hold`, { ids: details ?? {} });
}

/** The end of every `switch` over a union: the compiler proves that nothing gets here. */
export function assertNever(value: never): never {
  throw new WaybillError('INVARIANT_BROKEN', `no case for ${JSON.stringify(value)}`);
}
