/** Up to which value of the first column is read: half-open ranges, `(after, upTo]`, unless the end is left out. */
export interface Bound {
  readonly value: string;
  readonly included: boolean;
}

/** A stretch of rows in the order of the cursor; what is given all holds. Rows without a value lie in none. */
export interface Stretch {
  /** Rows with exactly these values. */
  readonly at?: readonly string[];
  /** Rows behind these values. */
  readonly after?: readonly string[];
  readonly upTo?: Bound;
  /** Rows whose first column lies behind this. */
  readonly beyond?: string;
}

/** How one database writes what a condition is made of. */
export interface Dialect {
  /** A column by its place in the cursor, quoted, as it is compared. */
  column(place: number): string;
  /** Binds a value of that column and answers what stands for it in the text. */
  bind(value: string, place: number): string;
  /** Columns that may be null. */
  readonly nullable: readonly boolean[];
  /** Columns whose nulls are looked for: not those that their tables forbid them, although a join may bring some. */
  readonly counted: readonly boolean[];
  /** Whether `(a, b) > (x, y)` is understood and finds its way through an index. */
  readonly rowValues: boolean;
}

/** The stretch as a condition of SQL; values go through `bind`, never into the text. */
export function conditionOf({ at, after, upTo, beyond }: Stretch, dialect: Dialect): string {
  const first = dialect.column(0);
  const parts = dialect.nullable.flatMap((nullable, place) =>
    nullable ? [`${dialect.column(place)} is not null`] : [],
  );
  if (at !== undefined) {
    parts.push(...at.map((value, place) => `${dialect.column(place)} = ${dialect.bind(value, place)}`));
  }
  if (after !== undefined) parts.push(behind(after, dialect));
  if (beyond !== undefined) parts.push(`${first} > ${dialect.bind(beyond, 0)}`);
  if (upTo !== undefined) parts.push(`${first} ${upTo.included ? '<=' : '<'} ${dialect.bind(upTo.value, 0)}`);
  return parts.length === 0 ? '1 = 1' : parts.join(' and ');
}

/** The rows that no stretch holds. Undefined: every column has a value in every row. */
export function nullCondition({ counted, column }: Dialect): string | undefined {
  const parts = counted.flatMap((may, place) => (may ? [`${column(place)} is null`] : []));
  return parts.length === 0 ? undefined : parts.join(' or ');
}

function behind(values: readonly string[], dialect: Dialect): string {
  const columns = values.map((_, place) => dialect.column(place));
  // Bound anew wherever it stands: where places have no names, each of them takes a value of its own.
  const bound = (place: number): string => dialect.bind(values[place]!, place);
  if (values.length === 1) return `${columns[0]} > ${bound(0)}`;
  if (dialect.rowValues) return `(${columns.join(', ')}) > (${values.map((_, place) => bound(place)).join(', ')})`;
  // The first comparison says nothing new; it is what lets a server begin in the middle of an index.
  const first = `${columns[0]} >= ${bound(0)}`;
  const steps = values.map((_, place) => {
    const same = columns.slice(0, place).map((column, at) => `${column} = ${bound(at)}`);
    return `(${[...same, `${columns[place]} > ${bound(place)}`].join(' and ')})`;
  });
  return `${first} and (${steps.join(' or ')})`;
}

/** The order in which rows come, and in which positions lie. */
export function orderOf({ nullable, column }: Dialect): string {
  return nullable.map((_, place) => column(place)).join(', ');
}
