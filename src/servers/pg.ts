import { createRequire } from 'node:module';
import type * as Pg from 'pg';
import { WaybillError } from '../model/errors.ts';

/** The driver of PostgreSQL, loaded when it is first needed. Throws DRIVER_MISSING. `what`: needs it, for people. */
export function loadPg(what: string): typeof Pg {
  try {
    return besideNavigator(() => createRequire(import.meta.url)('pg') as typeof Pg);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    throw new WaybillError('DRIVER_MISSING', `${what} needs the package pg`, {
      hint: 'Install it beside Waybill: npm install pg',
      cause: error,
    });
  }
}

/**
 * While it is loaded the driver looks where it runs: by the global `navigator` or, where there is none, by making a
 * `Response`. For that Node 20 loads all of fetch, which takes forty milliseconds; later ones have a navigator.
 */
function besideNavigator<T>(load: () => T): T {
  if ('navigator' in globalThis) return load();
  const runtime = globalThis as { navigator?: object };
  runtime.navigator = { userAgent: 'Node.js' };
  try {
    return load();
  } finally {
    delete runtime.navigator;
  }
}
