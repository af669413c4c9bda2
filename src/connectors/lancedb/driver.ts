import { createRequire } from 'node:module';
import type * as Lance from '@lancedb/lancedb';
import type * as Arrow from 'apache-arrow';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { mendBooleans } from './arrow-mended.ts';

export interface Drivers {
  readonly lance: typeof Lance;
  readonly arrow: typeof Arrow;
}

/** Both packages, when they are first needed. Throws DRIVER_MISSING: not installed, or not made for this machine. */
export async function loadDrivers(): Promise<Drivers> {
  try {
    const lance = await import('@lancedb/lancedb');
    // The very copy that LanceDB works with: `import` would give another one, whose types this one does not know.
    const fromLance = createRequire(createRequire(import.meta.url).resolve('@lancedb/lancedb'));
    const arrow = fromLance('apache-arrow') as typeof Arrow;
    mendBooleans(fromLance('apache-arrow/visitor/vectorassembler').VectorAssembler.prototype);
    return { lance, arrow };
  } catch (error) {
    throw new WaybillError('DRIVER_MISSING', 'the lancedb connector needs @lancedb/lancedb and apache-arrow', {
      hint: 'Install them beside Waybill: npm install @lancedb/lancedb@0.37 apache-arrow@18. They have a native part.',
      cause: error,
    });
  }
}

/**
 * Waits for a native call, which cannot be stopped: one that is given up goes on, and what comes of it is unknown.
 */
export async function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const giveUp = (): void =>
      reject(new WaybillError('SINK_FAILED', 'LanceDB was given up before it answered', { cause: signal.reason }));
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}

/** Throws NotAppliedError where it was given up before it began. */
export function expectAsked({ signal }: { readonly signal: AbortSignal }): void {
  if (signal.aborted) throw new NotAppliedError('it was given up before it began', { cause: signal.reason });
}

/** LanceDB reads all that it is given before it commits: what it has to say of that comes before there is a commit. */
const ABOUT_THE_DATA =
  /^(failed to execute merge insert: \w+, )?(invalid (user )?input|lance error: LanceError\((Arrow|Schema)\))/i;

/** What a failed write proves. A commit that lost against others is none; anything else may have been one. */
export function writeError(error: unknown, what: string): unknown {
  if (error instanceof WaybillError) return error;
  const text = describeError(error);
  if (/commit conflict|concurrent (commit|write)|too many (concurrent|retries)|incompatible transaction/i.test(text)) {
    return new NotAppliedError(`${what}: other writers were faster`, { cause: error });
  }
  if (ABOUT_THE_DATA.test(text)) {
    return new RefusedError(`${what} was refused: ${text.split('\n')[0]!.slice(0, 300)}`, {
      reason: 'lancedb',
      cause: error,
    });
  }
  return new WaybillError('SINK_FAILED', `${what} failed`, { cause: error });
}
