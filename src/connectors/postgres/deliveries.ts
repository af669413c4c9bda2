import type * as Pg from 'pg';
import { type Delivery, deliveredElsewhere } from '../../model/delivery.ts';
import { DDL_LOCK, quoteTable } from './table.ts';

const INSUFFICIENT_PRIVILEGE = '42501';

/**
 * Which ledgers have delivered which window of a flow to which table. A ledger that is new, since the one before was
 * lost, knows nothing of what is there and would send it once more: only the sink can tell.
 */
export class Deliveries {
  readonly #schema: string;
  readonly #table: string;
  /** Where the user may not make the table, and nobody else has, nothing is told of other ledgers. */
  #kept: boolean | undefined;
  /** Windows of flows that this process knows to be noted for its ledger. */
  readonly #noted = new Set<string>();

  constructor(schema: string) {
    this.#schema = quoteTable([schema]);
    this.#table = quoteTable([schema, 'waybill_delivery']);
  }

  /** Makes the table where it is missing. Outside of any transaction, and after the schema. */
  async prepare(client: Pg.Client): Promise<void> {
    if (this.#kept !== undefined) return;
    const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
      this.#table,
    ]);
    this.#kept = rows[0]?.there === true || (await this.#make(client));
  }

  async #make(client: Pg.Client): Promise<boolean> {
    try {
      await client.query(`begin; ${DDL_LOCK}; ${deliveryTable(this.#schema)}; commit`);
      return true;
    } catch (error) {
      if ((error as { code?: string }).code !== INSUFFICIENT_PRIVILEGE) throw error;
      await client.query('rollback');
      return false;
    }
  }

  /**
   * Before a window is brought to a table: throws RefusedError where another ledger has brought it and this one nothing
   * of it. Answers the statement that notes it, for the transaction of what is brought; undefined when it is noted.
   */
  async noteFor(client: Pg.Client, delivery: Delivery, table: string): Promise<string | undefined> {
    if (this.#kept !== true || this.#noted.has(nameOf(delivery))) return undefined;
    const { flow, window, ledger } = delivery;
    const { rows } = await client.query<Noted>(
      `select d.target, d.ledger, to_char(d.at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"') as at
        from ${this.#table} d where d.target = ${targetOf('$1')} and d.flow = $2 and d."window" = $3
        order by d.at desc`,
      [table, flow, window],
    );
    const [last] = rows;
    if (last !== undefined && !rows.some((row) => row.ledger === ledger) && (await holdsRows(client, table))) {
      const which = { target: last.target, flow, window };
      const where = Object.entries(which).map(([name, text]) => `"${name}" = ${client.escapeLiteral(text)}`);
      const forget = `delete from ${this.#table} where ${where.join(' and ')}`;
      throw deliveredElsewhere(delivery, { ...last, forget });
    }
    const [name, ...texts] = [table, flow, window, ledger].map(client.escapeLiteral);
    return `insert into ${this.#table} (target, flow, "window", ledger)
      select ${targetOf(name!)}, ${texts.join(', ')} on conflict do nothing`;
  }

  /** The transaction with the note has been committed. */
  noted(delivery: Delivery): void {
    this.#noted.add(nameOf(delivery));
  }
}

interface Noted {
  readonly target: string;
  readonly ledger: string;
  readonly at: string;
}

/** The same name for a table however a flow file writes it. */
const targetOf = (name: string): string => `(
  select quote_ident(n.nspname) || '.' || quote_ident(c.relname) from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass(${name}))`;

const nameOf = ({ flow, window, ledger }: Delivery): string => JSON.stringify([flow, window, ledger]);

/** Whoever may not look takes it for granted. */
async function holdsRows(client: Pg.Client, table: string): Promise<boolean> {
  const { rows } = await client.query<{ may: boolean }>(`select has_table_privilege($1, 'select') as may`, [table]);
  return rows[0]?.may !== true || (await client.query(`select from ${table} limit 1`)).rowCount !== 0;
}

export const deliveryTable = (schema: string): string => `create table if not exists ${schema}.waybill_delivery (
  target text, flow text, "window" text, ledger text, at timestamptz not null default now(),
  primary key (target, flow, "window", ledger))`;
