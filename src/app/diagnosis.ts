import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Ports } from '../model/ports.ts';
import type { Config } from './flow-config.ts';
import type { LedgerHome } from './ledger-home.ts';
import type { SecretStore } from './secrets.ts';
import type { Diagnosis } from './waybill.ts';

/** What the doctor looks at. */
export interface Patient {
  readonly config: Config | undefined;
  readonly home: LedgerHome;
  readonly ports: Ports;
  readonly secrets: SecretStore;
}

export const good = (check: string, message: string): Diagnosis => ({ check, ok: true, message });
export const bad = (check: string, message: string, hint: string): Diagnosis => ({ check, ok: false, message, hint });

/** The folder itself, or the nearest one above it that is there. */
export async function nearestFolder(folder: string): Promise<string> {
  try {
    await access(folder);
    return folder;
  } catch (error) {
    if (folder === dirname(folder)) throw error;
    return await nearestFolder(dirname(folder));
  }
}
