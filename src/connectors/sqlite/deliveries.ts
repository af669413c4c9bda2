import { type Delivery, deliveredElsewhere } from '../../model/delivery.ts';
import { type Handle, quoteName } from './database.ts';

const TABLE = `create table if not exists waybill_delivery (
  target text not null collate nocase, flow text not null, window text not null, ledger text not null,
  at integer not null, primary key (target, flow, window, ledger)
) without rowid`;

/**
 * Notes a delivery in the transaction that brings it. Throws RefusedError where another ledger has brought that window
 * and this one nothing of it.
 */
export function noteDelivery(
  database: Handle,
  delivery: Delivery,
  { table, atMs }: { readonly table: string; readonly atMs: number },
): void {
  database.exec(TABLE);
  const { flow, window, ledger } = delivery;
  const known = database
    .prepare<[string, string, string], { readonly ledger: string; readonly at: bigint }>(
      'select ledger, at from waybill_delivery where target = ? and flow = ? and window = ? order by at desc',
    )
    .all(table, flow, window);
  if (known.some((one) => one.ledger === ledger)) return;
  const [last] = known;
  if (last !== undefined && holdsRows(database, table)) {
    const where = Object.entries({ target: table, flow, window }).map(([name, text]) => `${name} = ${literal(text)}`);
    throw deliveredElsewhere(delivery, {
      ledger: last.ledger,
      target: table,
      at: new Date(Number(last.at)).toISOString(),
      forget: `delete from waybill_delivery where ${where.join(' and ')}`,
    });
  }
  database
    .prepare('insert into waybill_delivery (target, flow, window, ledger, at) values (?, ?, ?, ?, ?)')
    .run(table, flow, window, ledger, BigInt(Math.trunc(atMs)));
}

const holdsRows = (database: Handle, table: string): boolean =>
  database.prepare(`select 1 from ${quoteName(table)} limit 1`).get() !== undefined;

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
