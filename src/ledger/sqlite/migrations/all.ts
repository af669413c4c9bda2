import { MIGRATION_0001 } from './0001.ts';

/** In order; the schema version of a ledger is how many of them it has had. Never changed once released, only added to. */
export const MIGRATIONS: readonly string[] = [MIGRATION_0001];
export const SCHEMA_VERSION = MIGRATIONS.length;
