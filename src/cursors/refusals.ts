import { WaybillError } from '../model/errors.ts';

/** The source has no column of the name that the flow gives its cursor. */
export function noColumn(column: string, there: readonly string[]): WaybillError {
  return new WaybillError('SOURCE_INVALID', `there is no column ${JSON.stringify(column)} to be the cursor`, {
    hint:
      `There is: ${there.join(', ')}. If it was renamed, name it anew in \`cursor\`; the position is then one of ` +
      'another cursor, so set it by `waybill state FLOW set`, or everything is read again.',
  });
}

/** `possible`: types in the words of the database. */
export function noCursor(column: string, possible: string): WaybillError {
  return new WaybillError('SOURCE_INVALID', `the column ${JSON.stringify(column)} is of a type that is no cursor`, {
    hint: `A cursor is ${possible}; a query can cast its column to one of them.`,
  });
}

/** A position that a person has set, or one of another table. */
export function noValue(column: string | undefined, type: string): WaybillError {
  return new WaybillError(
    'SOURCE_INVALID',
    `the position names a value of ${JSON.stringify(column)} that is no ${type}`,
    { hint: 'Set the position to a value of the column, or reset it: `waybill state FLOW set` or `reset`.' },
  );
}
