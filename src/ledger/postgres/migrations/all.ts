import { MIGRATION_0001 } from './0001.ts';

/** In order; a ledger's schema version is how many of them it has had. Once released, one is never changed. */
export const MIGRATIONS: readonly string[] = [MIGRATION_0001];
export const SCHEMA_VERSION = MIGRATIONS.length;
