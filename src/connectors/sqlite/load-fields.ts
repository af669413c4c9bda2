import { type Handle, quoteName } from './database.ts';
import { fieldsAside, type OpenPlace, type PlaceRow } from './load-books.ts';
import { columnNames, rowNumberOf } from './load-place.ts';

/** In rows that are merged: by its place among the sets of the load, which columns the record has named. */
export const FIELDS = 'wb_fields';

/** Takes down which columns each record of a load has named, while they are written to its place. */
export class FieldKeeper {
  readonly sets: (readonly string[])[];
  readonly #database: Handle;
  readonly #place: string;
  readonly #known = new Map<string, number>();

  constructor(database: Handle, { place, named, sets }: OpenPlace) {
    this.#database = database;
    this.#place = place;
    // A load that an earlier version has begun to collect has named columns, and no sets.
    this.sets = sets.length === 0 && named.length > 0 ? [[...named].sort()] : [...sets];
    for (const [nth, names] of this.sets.entries()) this.#known.set(JSON.stringify(names), nth);
  }

  /** `row`: the number of the row that the record has become. */
  keep(names: readonly string[], row: number | bigint): void {
    const key = JSON.stringify(names);
    const nth = this.#known.get(key) ?? this.#nthOf([...names].sort());
    this.#known.set(key, nth);
    if (nth === 0) return;
    const aside = fieldsAside(this.#place);
    this.#database.exec(`create table if not exists ${aside} (record integer primary key, fields integer not null)`);
    this.#database.prepare(`insert into ${aside} values (?, ?)`).run(row, BigInt(nth));
  }

  /** The same names in another order are the same set. */
  #nthOf(sorted: readonly string[]): number {
    const key = JSON.stringify(sorted);
    const nth = this.#known.get(key) ?? this.sets.push(sorted) - 1;
    this.#known.set(key, nth);
    return nth;
  }
}

/** The rows of a place, with what their records have named where that is not the same for all. */
export function rowsOf(database: Handle, { place, sets }: OpenPlace): string {
  if (sets.length < 2) return quoteName(place);
  const row = rowNumberOf(columnNames(database, place));
  return `(select p.*, coalesce(f.fields, 0) as ${FIELDS} from ${quoteName(place)} as p
    left join ${fieldsAside(place)} as f on f.record = p.${row})`;
}

/** What tells rows of a place apart that are equal otherwise; nothing where all records have named the same. */
export function fieldsOfRow({ place, sets }: OpenPlace, row: string): readonly string[] {
  return sets.length < 2 ? [] : [`(select f.fields from ${fieldsAside(place)} as f where f.record = ${row})`];
}

/** A record that has not named a column leaves the value of `t` as it is, though others of the load have named it. */
export function newValue(name: string, { sets }: Pick<PlaceRow, 'sets'>): string {
  const quoted = quoteName(name);
  const having = [...sets.keys()].filter((nth) => sets[nth]!.includes(name));
  if (having.length === sets.length) return `s.${quoted}`;
  return `case when s.${FIELDS} in (${having.join(', ')}) then s.${quoted} else t.${quoted} end`;
}
