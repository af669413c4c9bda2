import type { Payload } from '../../model/batch.ts';
import { RefusedError } from '../../model/errors.ts';
import type { Found } from '../connector.ts';
import { BatchRows, type RowGroup } from './batch-rows.ts';
import { quoteName } from './connection.ts';
import { expectAll } from './copy-batch.ts';
import { asLines } from './copy-binary.ts';
import { LEFT_OUT, LEFT_OUT_HINT, mayLeaveOut } from './left-out.ts';
import type { Course } from './outcome.ts';
import type { Session } from './session.ts';
import { FIXED_HINT, type Table, type TableColumn } from './table.ts';

/** The place of the record in the batch, and which COPY brought it. */
const PLACE = 'waybill_place';
const GROUP = 'waybill_group';
const STAGE = 'pg_temp.waybill_stage';

/** The temporary table of the session, outside of any transaction: one that is rolled back would take it along. */
export async function makeStage(session: Session, table: Table): Promise<void> {
  if (session.stagedFor === table) return;
  // No constraints: those of the table speak when the rows get there.
  await session.client.query(
    `drop table if exists ${STAGE}; create temp table waybill_stage on commit delete rows as
      select *, 0 as ${PLACE}, 0 as ${GROUP} from ${table.name} with no data`,
  );
  session.stagedFor = table;
}

/**
 * A batch in a temporary table of the session, with the columns of the table itself: what is compared by key is
 * compared by the server, with its own idea of equal. It is empty again after each transaction.
 */
export class Stage {
  readonly #session: Session;
  readonly #table: Table;
  readonly #key: readonly string[];
  readonly #groups: RowGroup[] = [];

  constructor(session: Session, table: Table, key: readonly string[] = []) {
    this.#session = session;
    this.#table = table;
    this.#key = key;
  }

  /** Throws RefusedError for a record without a value in a column of the key. */
  async load(payload: Payload, at: Course): Promise<void> {
    this.#expectKey();
    const rows = new BatchRows(asLines(payload), this.#table, { together: 'fields', numbered: true });
    for (let group = rows.next(); group !== undefined; group = rows.next()) {
      const columns = group.columns.map(({ name }) => name);
      at.writing = { table: STAGE.split('.')[1]!, columns, records: group.records };
      const list = [...columns, PLACE, GROUP].map(quoteName).join(', ');
      await this.#session.copy([`copy ${STAGE} (${list}) from stdin`], rows.frames(group));
      if (group.records.length > 0) this.#groups.push(group);
    }
    delete at.writing;
    await this.#expectKeys();
  }

  /** Adds every record, in the order of the batch. */
  async insert(): Promise<void> {
    let rows = 0;
    for (const { columns, nth } of this.#groups) {
      const names = columns.map(({ name }) => quoteName(name)).join(', ');
      const { rowCount } = await this.#session.client.query(
        `insert into ${this.#table.name} (${names}) overriding system value
          select ${names} from ${STAGE} where ${GROUP} = ${nth} order by ${PLACE}`,
      );
      rows += rowCount ?? 0;
    }
    expectAll(rows, this.#records());
  }

  /**
   * Writes every key once: of several records with one key, the last one in the order of the batch. Columns that it
   * does not have are left as they are, or get their default in a new row. Answers how many keys the table sees in
   * them: what it takes for equal may be spelled differently.
   */
  async upsert(): Promise<number> {
    let rows = 0;
    for (const group of this.#groups) {
      await this.#expectFixed(group);
      const { rowCount } = await this.#session.client.query(this.#upsertSql(group));
      rows += rowCount ?? 0;
    }
    if (rows >= this.#records()) return rows;
    const keys = await this.#keys();
    if (rows < keys) await this.#expectWritten();
    return keys;
  }

  async #keys(): Promise<number> {
    const key = this.#key.map(quoteName).join(', ');
    const { rows } = await this.#session.client.query<{ keys: number }>(
      `select count(*)::float8 as keys from (select from ${STAGE} group by ${key}) k`,
    );
    return rows[0]!.keys;
  }

  /** A trigger may leave out a row without a word: its key is not in the table then. One that changes rows may. */
  async #expectWritten(): Promise<void> {
    const { client } = this.#session;
    if (!(await mayLeaveOut(client, this.#table.name))) return;
    const by = this.#key.map((name) => `t.${quoteName(name)} = s.${quoteName(name)}`).join(' and ');
    const { rows } = await client.query<{ place: number | null }>(
      `select min(${PLACE}) as place from ${STAGE} s
        where not exists (select from ${this.#table.name} as t where ${by})`,
    );
    const { place } = rows[0]!;
    if (place === null) return;
    throw new RefusedError(`record ${place + 1} of the batch was written and is not there: ${LEFT_OUT}`, {
      reason: 'rows-left-out',
      ids: { record: place + 1 },
      hint: LEFT_OUT_HINT,
    });
  }

  /**
   * Applied: a row with this key and these values is there. Absent: none with this key. Unknown: one with other values,
   * which may have been written before or since.
   */
  async find(records: number): Promise<Found> {
    const found: Found['records'][number][] = new Array<'unknown'>(records).fill('unknown');
    for (const group of this.#groups) {
      const { rows } = await this.#session.client.query<{ place: number; same: boolean | null }>(this.#findSql(group));
      for (const { place, same } of rows) found[place] = same === null ? 'absent' : same ? 'applied' : 'unknown';
    }
    const count = (finding: string): number => found.filter((one) => one === finding).length;
    const evidence = `${this.#table.name} by key: ${count('applied')} as sent, ${count('absent')} not there, ${count(
      'unknown',
    )} with other values`;
    return { records: found, evidence };
  }

  #records(): number {
    return this.#groups.reduce((sum, group) => sum + group.records.length, 0);
  }

  #expectKey(): void {
    const missing = this.#key.find((name) => !this.#table.columns.has(name));
    if (missing === undefined) return;
    throw new RefusedError(`the table ${this.#table.name} has no key column ${JSON.stringify(missing)}`, {
      reason: 'column-unknown',
      about: 'request',
    });
  }

  async #expectKeys(): Promise<void> {
    if (this.#key.length === 0) return;
    const without = this.#key.map((name) => `${quoteName(name)} is null`).join(' or ');
    const { rows } = await this.#session.client.query<{ place: number }>(
      `select ${PLACE} as place from ${STAGE} where ${without} order by 1 limit 1`,
    );
    if (rows[0] === undefined) return;
    throw new RefusedError(`record ${rows[0].place + 1} of the batch has no value in a column of the key`, {
      reason: 'key-missing',
      ids: { record: rows[0].place + 1 },
    });
  }

  /** A number that PostgreSQL lets nobody change would stay as it is in a row that is there, without a word. */
  async #expectFixed(group: RowGroup): Promise<void> {
    const fixed = this.#rest(group).filter((column) => column.fixed === true);
    if (fixed.length === 0) return;
    const differ = fixed.map(({ name }) => `t.${quoteName(name)} is distinct from s.${quoteName(name)}`).join(' or ');
    const by = this.#key.map((name) => `t.${quoteName(name)} = s.${quoteName(name)}`).join(' and ');
    const { rows } = await this.#session.client.query<{ place: number }>(
      `select s.${PLACE} as place from ${STAGE} s join ${this.#table.name} as t on ${by}
        where s.${GROUP} = ${group.nth} and (${differ}) order by 1 limit 1`,
    );
    if (rows[0] === undefined) return;
    const names = fixed.map(({ name }) => JSON.stringify(name)).join(', ');
    throw new RefusedError(
      `record ${rows[0].place + 1} of the batch: the row of its key has another value in ${names}, an identity ` +
        'that is generated always, which no update may change',
      {
        reason: 'identity-fixed',
        ids: { record: rows[0].place + 1 },
        hint: FIXED_HINT,
      },
    );
  }

  #rest({ columns }: RowGroup): readonly TableColumn[] {
    return columns.filter(({ name }) => !this.#key.includes(name));
  }

  #upsertSql(group: RowGroup): string {
    const { columns, nth } = group;
    const key = this.#key.map(quoteName).join(', ');
    const names = columns.map(({ name }) => quoteName(name));
    const rest = this.#rest(group).flatMap(({ name, fixed }) => (fixed === true ? [] : [quoteName(name)]));
    const change = rest.map((name) => `${name} = excluded.${name}`).join(', ');
    return `insert into ${this.#table.name} (${names.join(', ')}) overriding system value
      select ${names.join(', ')} from (
        select distinct on (${key}) * from ${STAGE} order by ${key}, ${PLACE} desc) as last
      where ${GROUP} = ${nth}
      on conflict (${key}) do ${change === '' ? 'nothing' : `update set ${change}`}`;
  }

  #findSql({ columns, nth }: RowGroup): string {
    const by = this.#key.map((name) => `t.${quoteName(name)} = s.${quoteName(name)}`).join(' and ');
    // Not every type has an equality of its own (json, point), and every one has a text.
    const same = columns.map(
      ({ name }) => `t.${quoteName(name)}::text is not distinct from s.${quoteName(name)}::text`,
    );
    const held = `select ${same.join(' and ')} as same from ${this.#table.name} as t where ${by} limit 1`;
    return `select s.${PLACE} as place, (${held}) as same from ${STAGE} as s where s.${GROUP} = ${nth}`;
  }
}
