import { randomBytes } from 'node:crypto';
import { WaybillError } from '../../model/errors.ts';
import { corrupt } from '../books/corrupt.ts';
import { table } from '../books/store.ts';
import type { LedgerIdentity } from '../ledger.ts';
import { type Cell, RowDigest } from '../row-digest.ts';
import type { PostgresAddress } from './address.ts';
import { MIGRATIONS, SCHEMA_VERSION } from './migrations/all.ts';
import type { ColumnTypes } from './pending.ts';
import type { Session } from './session.ts';

/** A ledger as it was found or made. */
export interface Home {
  readonly identity: LedgerIdentity;
  readonly types: ColumnTypes;
}

/** What there is to know about the ledger as a whole. Its form is the same in every schema version. */
const META = table('meta', 100, { keys: ['name'], rest: ['value'] });
/** The seed itself stands in this table, so its rows are signed without one. */
const unseeded = new RowDigest(new Uint8Array(16));
const sign = (name: string, value: string): number => unseeded.of(META.tag, [name, value]);

/** Who a new ledger is: a copy of another keeps its name and its seed, by which its keys and digests were made. */
export interface Birth {
  readonly id: string;
  readonly seed: Uint8Array;
}
export const newBirth = (id: string): Birth => ({ id, seed: randomBytes(16) });

/** Whoever makes or changes the schema holds this, so that two that start together do it once. */
const lockOf = (schema: string): string =>
  `SELECT pg_advisory_xact_lock(hashtextextended('waybill ledger ${schema}', 0))`;

/**
 * Finds the ledger in its schema; makes it when `birth` is given and there is none; brings an older one up to date.
 * LEDGER_MISSING, LEDGER_NEWER, LEDGER_CORRUPT (no ledger, or changed by somebody else).
 */
export async function openHome(session: Session, address: PostgresAddress, birth?: Birth): Promise<Home> {
  if (!(await hasMeta(session, address.schema))) {
    if (birth === undefined)
      throw new WaybillError('LEDGER_MISSING', `there is no ledger at ${address.place}`, {
        ids: { place: address.place },
      });
    await inTransaction(session, () => makeHome(session, address, birth));
  }
  const version = await versionOf(session, address);
  if (version < SCHEMA_VERSION) await inTransaction(session, () => migrate(session, address));
  return { identity: await readIdentity(session, address), types: await columnTypes(session, address.schema) };
}

/** The whole of it or nothing, also where the ledger is made. */
export async function inTransaction<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.run('BEGIN');
  try {
    const value = await work();
    await session.run('COMMIT');
    return value;
  } catch (error) {
    await session.rollBack();
    throw error;
  }
}

/** Inside a transaction. Another process may have been faster. */
export async function makeHome(session: Session, address: PostgresAddress, birth: Birth): Promise<void> {
  await session.run(lockOf(address.schema));
  if (await hasMeta(session, address.schema)) return;
  await session.run(`CREATE SCHEMA IF NOT EXISTS "${address.schema}"`);
  for (const migration of MIGRATIONS) await session.run(migration);
  const seed = Buffer.from(birth.seed).toString('hex');
  for (const [name, value] of [
    ['id', birth.id],
    ['seed', seed],
    ['version', String(SCHEMA_VERSION)],
  ] as const)
    await session.ask('INSERT INTO meta (name, value, chk) VALUES (?, ?, ?)', [name, value, sign(name, value)]);
}

async function migrate(session: Session, address: PostgresAddress): Promise<void> {
  await session.run(lockOf(address.schema));
  const version = await versionOf(session, address);
  for (const migration of MIGRATIONS.slice(version)) await session.run(migration);
  const value = String(Math.max(version, SCHEMA_VERSION));
  await session.ask("UPDATE meta SET value = ?, chk = ? WHERE name = 'version'", [value, sign('version', value)]);
}

/**
 * Asks the catalogue as a table. `to_regclass` answers from a cache, which still says no right after the wait for the
 * lock in which another process has made the schema.
 */
const HAS_META = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = ? AND tablename = 'meta'";

export async function hasMeta(session: Session, schema: string): Promise<boolean> {
  return (await session.ask(HAS_META, [schema])).rows[0]?.[0] === 1;
}

async function metaOf(session: Session, { place }: PostgresAddress, name: string): Promise<string> {
  const { rows } = await session.ask('SELECT value, chk FROM meta WHERE name = ?', [name]);
  const [value, chk] = (rows[0] ?? []) as [Cell?, Cell?];
  if (typeof value !== 'string') throw corrupt(place, `its ${name} is missing`, { table: 'meta', row: name });
  if (chk !== sign(name, value))
    throw corrupt(place, `row ${name} of meta is not what was written`, { table: 'meta', row: name });
  return value;
}

async function versionOf(session: Session, address: PostgresAddress): Promise<number> {
  const version = Number(await metaOf(session, address, 'version'));
  if (version <= SCHEMA_VERSION) return version;
  throw new WaybillError(
    'LEDGER_NEWER',
    `the ledger ${address.place} has schema ${version}; this Waybill knows ${SCHEMA_VERSION}`,
    { ids: { place: address.place, schemaVersion: version } },
  );
}

async function readIdentity(session: Session, address: PostgresAddress): Promise<LedgerIdentity> {
  return {
    id: await metaOf(session, address, 'id'),
    seed: new Uint8Array(Buffer.from(await metaOf(session, address, 'seed'), 'hex')),
    schemaVersion: await versionOf(session, address),
    place: address.place,
    local: false,
  };
}

const COLUMNS = 'SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = ?';

async function columnTypes(session: Session, schema: string): Promise<ColumnTypes> {
  const { rows } = await session.ask(COLUMNS, [schema]);
  return new Map(rows.map(([of, column, type]) => [`${String(of)}.${String(column)}`, String(type)]));
}
