import type * as Arrow from 'apache-arrow';
import { unfit } from '../../formats/columns/unfit.ts';
import { readText } from '../../formats/columns/values.ts';
import type { ColumnType } from '../../model/columns.ts';
import { RefusedError, WaybillError } from '../../model/errors.ts';
import type { Scope } from '../../model/load.ts';
import { columnTypeOf } from './arrow-types.ts';

/** A name as LanceDB's filters write it. The only place where a name becomes part of one. */
export function quoteName(name: string): string {
  if (name === '' || /[`\0]/.test(name)) {
    throw new WaybillError('CONFIG_INVALID', `${JSON.stringify(name)} cannot be the name of a column in LanceDB`);
  }
  return `\`${name}\``;
}

export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

const INT64_MIN = '-9223372036854775808';

/** A plain text as a filter writes it. Throws where a filter has no form for the type. */
export function literal(type: ColumnType, text: string): string {
  if (type.array === true) throw unfit('is an array, which no filter compares');
  switch (type.kind) {
    case 'boolean':
    case 'int16':
    case 'int32':
      return text;
    case 'int64':
      // The smallest has no form of its own: the sign is taken apart, and what follows is one too large.
      return text === INT64_MIN ? `cast(${quoteText(text)} as bigint)` : text;
    case 'decimal':
      return type.precision === undefined
        ? quoteText(text)
        : `cast(${quoteText(text)} as decimal(${type.precision},${type.scale ?? 0}))`;
    case 'text':
    case 'uuid':
    case 'json':
    case 'jsonb':
      return quoteText(text);
    case 'date':
      return `date ${quoteText(text)}`;
    case 'timestamp':
    case 'timestamptz':
      return `timestamp ${quoteText(text.replace('T', ' ').replace(/\+00:00$/, ''))}`;
    default:
      throw unfit(`is ${type.kind}, which no filter compares exactly`);
  }
}

/** Any of these, nested so that thousands of them are no deeper than a dozen. */
export function anyOf(terms: readonly string[]): string {
  if (terms.length <= 1) return terms[0] ?? 'false';
  const half = terms.length >> 1;
  return `(${anyOf(terms.slice(0, half))} or ${anyOf(terms.slice(half))})`;
}

/** The rows that have one of these keys, each in the order of `columns`. */
export function withKeys(
  columns: readonly { readonly name: string; readonly type: ColumnType }[],
  keys: readonly (readonly string[])[],
): string {
  const [only] = columns;
  if (columns.length === 1)
    return `${quoteName(only!.name)} in (${keys.map(([text]) => literal(only!.type, text!)).join(',')})`;
  return anyOf(
    keys.map(
      (key) =>
        `(${columns.map(({ name, type }, at) => `${quoteName(name)} = ${literal(type, key[at]!)}`).join(' and ')})`,
    ),
  );
}

/** The rows of a scope, by the types of the table. Undefined: all rows. Throws RefusedError for one without sense. */
export function inScope(arrow: typeof Arrow, schema: Arrow.Schema, scope: Scope): string | undefined {
  if (scope.kind === 'all') return undefined;
  const field = schema.fields.find(({ name }) => name === scope.column);
  const type = field === undefined ? undefined : columnTypeOf(arrow, field);
  if (type === undefined) {
    const what = field === undefined ? 'has no column' : 'cannot select by the column';
    throw new RefusedError(`the table ${what} ${JSON.stringify(scope.column)}`, { reason: 'scope', about: 'request' });
  }
  const name = quoteName(scope.column);
  if (scope.kind === 'equals') return `${name} = ${asked(type, String(scope.value), scope.column)}`;
  const [from, to] = endsOf(type, scope);
  return `${name} >= ${asked(type, from, scope.column)} and ${name} < ${asked(type, to, scope.column)}`;
}

function endsOf({ kind, array }: ColumnType, scope: Scope & { kind: 'range' }): readonly [string, string] {
  if (kind === 'timestamptz' && array !== true) return [scope.from, scope.to];
  const { days } = scope;
  const local = days === undefined ? undefined : ([days.from, days.to] as const);
  if ((kind === 'date' || kind === 'text') && array !== true && local !== undefined) return local;
  if (kind === 'text' && array !== true) return [scope.from, scope.to];
  if (kind === 'timestamp' && array !== true) {
    return local === undefined
      ? [noZone(scope.from), noZone(scope.to)]
      : [`${local[0]}T00:00:00`, `${local[1]}T00:00:00`];
  }
  throw new RefusedError(`the column ${JSON.stringify(scope.column)} holds no days of windows like this`, {
    reason: 'scope',
    about: 'request',
    hint: 'Name a column with dates or timestamps; windows shorter than a day need a timestamp.',
  });
}

const noZone = (text: string): string => text.replace(/Z$/, '');

function asked(type: ColumnType, text: string, column: string): string {
  try {
    return literal(type, readText(type, text));
  } catch (error) {
    throw new RefusedError(`the scope of ${JSON.stringify(column)} does not fit the column`, {
      reason: 'scope',
      about: 'request',
      cause: error,
    });
  }
}
