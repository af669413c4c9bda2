import { rawItems, rawMembers } from '../../formats/json-members.ts';
import type { Columns, ColumnType } from '../../model/columns.ts';
import { RefusedError } from '../../model/errors.ts';

const SMALL_WHOLE = /^-?\d{1,18}$/;
const NUMBER = /^-?\d/;

/**
 * Columns from what records hold: whole numbers, numbers, texts, booleans; the rest is JSON. Only for a table that is
 * made from its first batch, where nothing is declared. Throws RefusedError for a column that holds this and that.
 */
export function inferColumns(records: readonly string[]): Columns {
  const types = new Map<string, ColumnType | undefined>();
  records.forEach((text, row) => {
    for (const [name, raw] of rawMembers(text)) types.set(name, joined(types.get(name), typeOf(raw), name, row));
  });
  return [...types].map(([name, type]) => ({ name, type: type ?? { kind: 'text' }, nullable: true }));
}

/** Undefined: null, which every type has. */
function typeOf(raw: string): ColumnType | undefined {
  if (raw === 'null') return undefined;
  if (raw.startsWith('"')) return { kind: 'text' };
  if (raw === 'true' || raw === 'false') return { kind: 'boolean' };
  if (NUMBER.test(raw)) return numberType(raw);
  return raw.startsWith('[') ? arrayType(raw) : { kind: 'json' };
}

function numberType(raw: string): ColumnType {
  if (SMALL_WHOLE.test(raw)) return { kind: 'int64' };
  // Text keeps the digits of what neither a long nor a double holds; who wants a number declares a decimal.
  return /^-?\d+$/.test(raw) || raw.length > 17 ? { kind: 'decimal' } : { kind: 'float64' };
}

/** Of an array that holds nothing but null; JSON where no other array tells more. */
const BARE_ARRAY: ColumnType = { kind: 'json' };
const isArray = ({ kind, array }: ColumnType): boolean => array === true || kind === 'json';

function arrayType(raw: string): ColumnType {
  const items = rawItems(raw).map(typeOf);
  const known = items.filter((type) => type !== undefined);
  const [first] = known;
  if (first === undefined) return BARE_ARRAY;
  const numbers = known.every(({ kind }) => kind === 'int64' || kind === 'float64');
  if (numbers && first.array === undefined) {
    return { kind: known.every(({ kind }) => kind === 'int64') ? 'int64' : 'float64', array: true };
  }
  const scalars = first.kind === 'text' || first.kind === 'boolean';
  const alike = scalars && known.every(({ kind, array }) => kind === first.kind && array === undefined);
  return alike ? { ...first, array: true } : { kind: 'json' };
}

const NUMBERS = ['int64', 'float64', 'decimal'];

function joined(
  a: ColumnType | undefined,
  b: ColumnType | undefined,
  name: string,
  row: number,
): ColumnType | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  // An array without items fits every array.
  if (a === BARE_ARRAY && isArray(b)) return b;
  if (b === BARE_ARRAY && isArray(a)) return a;
  if (a.kind === b.kind && a.array === b.array) return a;
  const numbers = NUMBERS.includes(a.kind) && NUMBERS.includes(b.kind) && a.array === b.array;
  if (numbers) return NUMBERS.indexOf(a.kind) > NUMBERS.indexOf(b.kind) ? a : b;
  // No record is to blame: a part of the batch would make the table, and which part is chance.
  throw new RefusedError(`record ${row + 1} of the batch: ${JSON.stringify(name)} holds another type than before`, {
    reason: 'column-type',
    about: 'request',
    hint: 'Declare the types with `columns` of the sink.',
  });
}
