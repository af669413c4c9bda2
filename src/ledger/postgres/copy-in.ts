import { WaybillError } from '../../model/errors.ts';
import { corrupt } from '../books/corrupt.ts';
import { Reading } from '../books/queries/reading.ts';
import { TABLES } from '../books/queries/tables.ts';
import { verify } from '../books/queries/verify.ts';
import { query, type Table } from '../books/store.ts';
import { Summing, type TableSum } from '../books/sums.ts';
import type { LedgerIdentity } from '../ledger.ts';
import type { Cell } from '../row-digest.ts';
import type { PostgresAddress } from './address.ts';
import { commit } from './commit.ts';
import { ledgerError } from './failure.ts';
import { hasMeta, inTransaction, makeHome, openHome } from './home.ts';
import { Line, type LinePorts } from './line.ts';
import { PostgresStore, together } from './postgres-store.ts';
import type { Session } from './session.ts';

/** A ledger to copy, held still by whoever brings it. */
export interface Original {
  readonly identity: LedgerIdentity;
  rows(of: Table): Iterable<Cell[]>;
  largest(of: Table): number;
}

export interface Copied {
  /** It was there already, row by row: nothing had to be copied. */
  readonly already: boolean;
  readonly tables: readonly TableSum[];
}

/** Rows, and bytes of blobs, that travel at a time. */
const [ROWS_AT_ONCE, BYTES_AT_ONCE] = [500, 4 * 1024 * 1024];

/**
 * Copies a ledger into a schema that holds none: all of it in one transaction, which commits only when counts, digests
 * and the books as a whole agree. A copy keeps the name, the seed and every number, so that keys, digests and
 * idempotency keys stay what they are. Started again after it took place, it compares and changes nothing.
 * Throws LEDGER_WRITE when there is another ledger, LEDGER_CORRUPT when what came out does not agree.
 */
export async function copyInto(address: PostgresAddress, original: Original, ports: LinePorts): Promise<Copied> {
  const line = new Line(address, ports, `waybill-copy-${ports.id()}`);
  try {
    const session = await line.session();
    if (await hasMeta(session, address.schema)) return await compare(session, address, original);
    await session.run('BEGIN');
    const tables = await fill(session, address, original);
    const fate = await commit(session, []);
    if (fate === 'unknown') {
      line.drop();
      return await line.again('comparing the copy', (again) => compare(again, address, original));
    }
    if (fate.kind === 'refused') throw fate.error;
    return { already: false, tables };
  } catch (error) {
    line.drop();
    throw ledgerError(error, address.place, 'copying');
  } finally {
    await line.close();
  }
}

async function fill(session: Session, address: PostgresAddress, original: Original): Promise<TableSum[]> {
  const { id, seed } = original.identity;
  await makeHome(session, address, { id, seed });
  const { types } = await openHome(session, address);
  const store = new PostgresStore(address.place, seed, types);
  const sums: TableSum[] = [];
  for (const table of TABLES) {
    sums.push(await fillTable(session, store, original, table));
    if (table.once)
      await session.ask('INSERT INTO removed (name, id) VALUES (?, ?)', [table.name, original.largest(table)]);
  }
  // Statistics of nothing would make a slow work of what follows.
  await session.run(`ANALYZE ${TABLES.map((table) => table.name).join(', ')}`);
  await requireSame(session, store, sums);
  const problems = await store.carry(session, verify(new Reading(store, id)));
  if (problems.length > 0) throw corrupt(address.place, `the copy does not: ${problems[0] ?? ''}`);
  return sums;
}

async function fillTable(session: Session, store: PostgresStore, original: Original, table: Table): Promise<TableSum> {
  const summing = new Summing(table);
  let [rows, bytes] = [0, 0];
  for (const row of original.rows(table)) {
    if (table.signed && !store.fits(table, row)) {
      const key = row.slice(0, table.keys).map(String).join('/');
      throw corrupt(original.identity.place, `row ${key} of ${table.name} is not what was written`, {
        table: table.name,
        row: key,
      });
    }
    summing.add(row);
    store.insert(table, row.slice(0, table.columns.length));
    rows++;
    for (const cell of row) if (cell instanceof Uint8Array) bytes += cell.byteLength;
    if (rows < ROWS_AT_ONCE && bytes < BYTES_AT_ONCE) continue;
    await together(store.send(session));
    [rows, bytes] = [0, 0];
  }
  await together(store.send(session));
  return summing.sum;
}

/** What is there now, table by table, against what was to be copied. */
async function requireSame(session: Session, store: PostgresStore, sums: readonly TableSum[]): Promise<void> {
  for (const [nth, table] of TABLES.entries()) {
    const summing = new Summing(table);
    await store.carry(
      session,
      store.walk(query(table, '').sql, [], (row) => summing.add(row)),
    );
    const [is, expected] = [summing.sum, sums[nth] as TableSum];
    if (is.rows === expected.rows && is.digest === expected.digest) continue;
    throw corrupt(
      store.place,
      `${table.name} has ${is.rows} rows, digest ${is.digest}, not ${expected.rows}, ${expected.digest}`,
    );
  }
}

/** There is a ledger: only the very same is no reason to stop. */
async function compare(session: Session, address: PostgresAddress, original: Original): Promise<Copied> {
  const { identity, types } = await openHome(session, address);
  if (identity.id !== original.identity.id)
    throw new WaybillError('LEDGER_WRITE', `there is another ledger at ${address.place}; nothing was copied`, {
      hint: 'Name a schema of its own for this one: postgres://…/DATABASE?schema=NAME.',
      ids: { place: address.place },
    });
  const tables = TABLES.map((table) => {
    const summing = new Summing(table);
    for (const row of original.rows(table)) summing.add(row);
    return summing.sum;
  });
  const store = new PostgresStore(address.place, identity.seed, types);
  await inTransaction(session, () => requireSame(session, store, tables));
  return { already: true, tables };
}
