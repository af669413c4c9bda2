// The table that the benchmarks of PostgreSQL copy: eight columns of as many types, 137 bytes a row in a binary COPY.
export const COLUMNS = `id int8, code uuid, name text, note text, price numeric, ratio float8, flag boolean,
  at timestamptz`;

export const itemsSql = (rows) => `create table items (${COLUMNS});
  insert into items select i, md5(i::text)::uuid, 'item number ' || i, repeat('x', 20 + i % 20),
    i / 7.0::numeric(20, 4), i / 7.0::float8, i % 2 = 0, '2026-11-19'::timestamptz + i * interval '1 second'
    from generate_series(1, ${rows}) i;
  analyze items`;

/** All that a table holds, in a few figures that change when a value does. */
export async function contents(client, table) {
  const { rows } = await client.query(
    `select count(*) || ' rows, ids ' || coalesce(sum(id), 0) || ', hash ' ||
      coalesce(sum(hashtextextended(t::text, 0)), 0) as all from ${table} t`,
  );
  return rows[0].all;
}
