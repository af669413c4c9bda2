import type { Chunk } from '../../model/chunk.ts';
import type { Columns, ColumnType } from '../../model/columns.ts';
import { splitRow } from '../csv-row.ts';
import { rawMembers } from '../json-members.ts';
import { textAt } from '../record-text.ts';

/**
 * Types from the values of a chunk, each wide enough for all of them: `boolean`; `int64` for whole numbers of up to 18
 * digits; `decimal` for other numbers, since it keeps what is spelled; `date` for the texts of CSV that are all days;
 * `text`; and `json` for what is nested or of several kinds. A column without any value is text.
 */
export function inferColumns(chunk: Chunk): Columns {
  const kinds = new Map<string, ColumnType['kind'] | undefined>();
  const csv = chunk.format === 'csv';
  for (let at = 0; at < chunk.count; at++) {
    for (const [name, kind] of csv ? kindsOfRow(chunk, at) : kindsOfMembers(chunk, at)) {
      kinds.set(name, joined(kinds.get(name), kind, csv));
    }
  }
  for (const name of chunk.columns ?? []) if (!kinds.has(name)) kinds.set(name, undefined);
  return [...kinds].map(([name, kind]) => ({ name, type: { kind: kind ?? 'text' }, nullable: true }));
}

type Kinds = readonly (readonly [name: string, kind: ColumnType['kind'] | undefined])[];

const kindsOfMembers = (chunk: Chunk, at: number): Kinds =>
  [...rawMembers(textAt(chunk, at))].map(([name, raw]) => [name, kindOfJson(raw)]);

function kindsOfRow(chunk: Chunk, at: number): Kinds {
  const fields = splitRow(textAt(chunk, at));
  return (chunk.columns ?? []).map((name, nth) => [name, kindOfField(fields[nth] ?? null)]);
}

/** Undefined: null, which every type has. */
function kindOfJson(raw: string): ColumnType['kind'] | undefined {
  if (raw === 'null') return undefined;
  if (raw.startsWith('"')) return 'text';
  if (raw === 'true' || raw === 'false') return 'boolean';
  return /^-?\d/.test(raw) ? kindOfNumber(raw) : 'json';
}

const kindOfNumber = (raw: string): 'int64' | 'decimal' => (/^-?\d{1,18}$/.test(raw) ? 'int64' : 'decimal');

/** A number only where it is spelled as one would be again: `007` is a text. */
function kindOfField(field: string | null): ColumnType['kind'] | undefined {
  if (field === null) return undefined;
  if (field === 'true' || field === 'false') return 'boolean';
  if (/^(?:0|-?[1-9]\d*)(?:\.\d+)?$/.test(field)) return kindOfNumber(field);
  return /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$/.test(field) ? 'date' : 'text';
}

function joined(
  a: ColumnType['kind'] | undefined,
  b: ColumnType['kind'] | undefined,
  csv: boolean,
): ColumnType['kind'] | undefined {
  if (a === undefined || b === undefined || a === b) return a ?? b;
  const numbers = (kind: ColumnType['kind']): boolean => kind === 'int64' || kind === 'decimal';
  if (numbers(a) && numbers(b)) return 'decimal';
  return csv ? 'text' : 'json';
}
