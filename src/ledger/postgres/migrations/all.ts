import { MIGRATION_0001 } from './0001.ts';
import { MIGRATION_0002 } from './0002.ts';
import { MIGRATION_0003 } from './0003.ts';
import { MIGRATION_0004 } from './0004.ts';

/** In order; a ledger's schema version is how many of them it has had. Once released, one is never changed. */
export const MIGRATIONS: readonly string[] = [MIGRATION_0001, MIGRATION_0002, MIGRATION_0003, MIGRATION_0004];
export const SCHEMA_VERSION = MIGRATIONS.length;
