import type * as Pg from 'pg';
import { columnTypeOfOid } from '../../formats/pgcopy/oids.ts';
import type { Columns, ColumnType } from '../../model/columns.ts';

interface TypeRow {
  readonly oid: number;
  /** Of a domain, that of the type that it is made from. */
  readonly base: number;
  readonly modifier: number;
  readonly category: string;
  readonly json: boolean;
}

// `row_to_json` writes a composite as an object, an array as one, and whatever has a cast to JSON by that cast.
const TYPES = `with recursive made as (
    select t.oid, t.oid as own, t.typtype, t.typbasetype, t.typtypmod from pg_catalog.pg_type t
      where t.oid = any($1::oid[])
    union all
    select d.oid, made.own, d.typtype, d.typbasetype, d.typtypmod from pg_catalog.pg_type d
      join made on made.typtype = 'd' and d.oid = made.typbasetype)
  select made.own::int as oid, b.oid::int as base, b.typcategory as category,
    coalesce((select m.typtypmod from made m where m.own = made.own and m.typtype = 'd' and m.typtypmod <> -1 limit 1),
      -1) as modifier,
    exists (select from pg_catalog.pg_cast c where c.castsource = b.oid and c.casttarget = 'json'::regtype) as json
  from made join pg_catalog.pg_type b on b.oid = made.oid where made.typtype <> 'd'`;

/**
 * Types of all columns of a query, also of those that only PostgreSQL knows: each as what `row_to_json` makes of its
 * values. Enumerations, intervals, ranges and addresses are texts; composites and arrays of such types are JSON.
 */
export async function describe(client: Pg.Client, fields: readonly Pg.FieldDef[]): Promise<Columns> {
  const unknown = fields.filter((field) => typeOf(field) === undefined).map(({ dataTypeID }) => dataTypeID);
  const { rows } = await client.query<TypeRow>(TYPES, [[...new Set(unknown)]]);
  const types = new Map(rows.map((row) => [row.oid, madeOf(row)]));
  return fields.map((field) => {
    const type = typeOf(field) ?? types.get(field.dataTypeID) ?? { kind: 'text' };
    return { name: field.name, type, nullable: true };
  });
}

const typeOf = ({ dataTypeID, dataTypeModifier }: Pg.FieldDef): ColumnType | undefined =>
  columnTypeOfOid(dataTypeID, dataTypeModifier);

/** Numbers of objects are written as numbers. */
const OID = 26;

function madeOf({ base, modifier, category, json }: TypeRow): ColumnType {
  const known = columnTypeOfOid(base, modifier);
  if (known !== undefined) return known;
  if (base === OID) return { kind: 'int64' };
  return { kind: json || category === 'C' || category === 'A' ? 'json' : 'text' };
}
