import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { OpenContext } from '../../connectors/connector.ts';
import { WaybillError } from '../../model/errors.ts';

/** The world as it is, for connectors that are tested over real sockets. `secrets`: by reference. */
export function openContext(secrets: Readonly<Record<string, string>> = {}, folder = process.cwd()): OpenContext {
  return {
    ports: {
      wallMs: () => Date.now(),
      monotonicMs: () => performance.now(),
      sleep: async (ms, signal) => {
        await pause(ms, undefined, signal === undefined ? {} : { signal });
      },
      random: () => Math.random(),
      id: () => randomUUID(),
    },
    folder,
    secret(reference) {
      const value = Object.hasOwn(secrets, reference) ? secrets[reference] : undefined;
      if (value === undefined) throw new WaybillError('SECRET_MISSING', `the secret ${reference} cannot be read`);
      return value;
    },
    stdin: process.stdin,
    stdout: process.stdout,
  };
}
