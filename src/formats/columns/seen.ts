import type { Chunk, DataRecord } from '../../model/chunk.ts';
import type { Column, ColumnKind, Columns } from '../../model/columns.ts';
import { rowAt } from '../rows.ts';

/** So many records are looked at where nothing says what the columns are. */
const LOOKED_AT = 100;

/** Names and types of the columns of a chunk: as it says itself, or as its first records show. */
export function columnsSeen(chunk: Chunk): Columns {
  if (chunk.types !== undefined) return chunk.types;
  if (chunk.format === 'csv') return (chunk.columns ?? []).map((name) => column(name, 'text'));
  const kinds = new Map<string, ColumnKind | undefined>();
  for (let nth = 0; nth < Math.min(chunk.count, LOOKED_AT); nth++) look(rowAt(chunk, nth), kinds);
  return [...kinds].flatMap(([name, kind]) => (kind === undefined ? [] : [column(name, kind)]));
}

const column = (name: string, kind: ColumnKind): Column => ({ name, type: { kind }, nullable: true });

function look(record: DataRecord, kinds: Map<string, ColumnKind | undefined>): void {
  for (const name of Object.keys(record)) {
    const kind = kindOf(record[name]);
    const before = kinds.get(name);
    kinds.set(name, before === undefined || before === kind ? kind : (both(before, kind) ?? 'json'));
  }
}

/** Undefined: null says nothing. */
function kindOf(value: unknown): ColumnKind | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === 'boolean') return 'boolean';
  if (typeof value === 'string') return 'text';
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? 'int64' : 'decimal';
  if (typeof value === 'number') return Number.isSafeInteger(value) ? 'int64' : 'float64';
  return 'json';
}

function both(one: ColumnKind, other: ColumnKind | undefined): ColumnKind | undefined {
  if (other === undefined) return one;
  const numbers: readonly ColumnKind[] = ['int64', 'float64', 'decimal'];
  if (!numbers.includes(one) || !numbers.includes(other)) return undefined;
  return one === 'decimal' || other === 'decimal' ? 'decimal' : 'float64';
}
