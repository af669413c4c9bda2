import { type Column, showColumnType } from '../../model/columns.ts';
import { WaybillError } from '../../model/errors.ts';

/** A value that its column cannot hold. `what` completes "the value …" and quotes nothing of it. */
export function unfit(what: string): WaybillError {
  return new WaybillError('VALUE_UNFIT', `the value ${what}`);
}

/** The same, with the column that it was meant for. Other errors are handed on as they are. */
export function inColumn(error: unknown, column: Column | undefined): unknown {
  if (!(error instanceof WaybillError) || column === undefined) return error;
  const place = `column ${JSON.stringify(column.name)} (${showColumnType(column.type)})`;
  return new WaybillError(error.code, `${place}: ${error.message}`, { hint: error.hint });
}
