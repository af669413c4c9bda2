import type { Client } from 'pg';
import { DAY } from '../daily/daily-job.ts';
import type { TestPostgres } from '../postgres.ts';

/** A connection of the flow file; its password is the one that tests give to their servers. */
export const warehouse = ({ host, port, user, database }: Pick<TestPostgres, 'host' | 'port' | 'user' | 'database'>) =>
  `{ type: postgres, host: "${host}", port: ${port}, user: ${user}, database: ${database}, password: env:WAREHOUSE }`;

/** Members of one day, with ids from `first` on, in the table that the daily job reads. */
export async function makeMembers(server: TestPostgres, count: number, { first = 1, day = DAY } = {}): Promise<void> {
  await withClient(server, async (client) => {
    await client.query('create table if not exists members (member_id int, name text, updated_on date)');
    const values = "select i, $1 || i || ' of ' || $2, $2::date from generate_series($3::int, $4::int) i";
    await client.query(`insert into members ${values}`, ['member ', day, first, first + count - 1]);
  });
}

export async function removeMembers(server: TestPostgres, days: readonly string[]): Promise<void> {
  await withClient(server, (client) => client.query('delete from members where updated_on = any($1)', [days]));
}

export async function withClient<T>(server: TestPostgres, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await server.client();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
