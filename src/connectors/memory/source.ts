import { encodeRecord, joinLines } from '../../formats/encode.ts';
import { encodeRows } from '../../formats/rows.ts';
import type { Chunk, DataRecord } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';
import type { Pulls, ReadRange, Source } from '../connector.ts';

/** Objects, or records that are JSON already. */
export type MemoryRows = readonly (object | string)[];

export interface MemorySourceOptions {
  readonly name?: string;
  readonly chunkRecords?: number;
  /** Positions are counts of records; true when absent. */
  readonly resumable?: boolean;
  /** The reading fails before this record (0-based), each time it gets there; asked anew for every reading. */
  failAt?(reading: number): number | undefined;
  /** Called once a chunk, before it is handed over. */
  onChunk?(chunk: Chunk): void | Promise<void>;
}

export const MEMORY_POSITION = 'waybill/count';
const COUNT = /^[0-9]{1,15}$/;

/** A source over an array, or over what a function makes of the window and its parameters. */
export function memorySource(
  rows: MemoryRows | ((range: ReadRange) => MemoryRows),
  options: MemorySourceOptions = {},
): Source {
  const resumable = options.resumable ?? true;
  const rowsOf = (range: ReadRange): MemoryRows => (typeof rows === 'function' ? rows(range) : rows);
  let readings = 0;

  async function* read(range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const all = rowsOf(range);
    const failAt = options.failAt?.(readings++);
    const size = options.chunkRecords ?? 1000;
    for (let at = resumable ? startOf(range.from) : 0; at < all.length; at += size) {
      signal.throwIfAborted();
      const end = Math.min(at + size, all.length, failAt ?? all.length);
      if (end > at) {
        const chunk = chunkOf(all.slice(at, end), at);
        const placed = resumable ? { ...chunk, end: positionOf(options.name ?? 'memory', end) } : chunk;
        await options.onChunk?.(placed);
        yield placed;
      }
      if (failAt !== undefined && failAt < at + size && failAt < all.length) {
        throw new WaybillError('SOURCE_FAILED', `the source was told to fail at record ${failAt}`);
      }
    }
  }

  return {
    emits: ['ndjson'],
    resumable,
    read,
    ...(resumable ? { pulls: pullsOf(rowsOf) } : {}),
    remaining: async (range) => ({
      records: Math.max(0, rowsOf(range).length - (resumable ? startOf(range.from) : 0)),
    }),
  };
}

const pullsOf = (rowsOf: (range: ReadRange) => MemoryRows): Pulls => ({
  refuses: ({ kind, value }) =>
    kind === MEMORY_POSITION && COUNT.test(value) ? undefined : 'it is no count of records',
  async look(range) {
    const [had, has] = [startOf(range.from), rowsOf(range).length];
    if (has > had) return { kind: 'new', estimate: { records: has - had } };
    return { kind: 'unchanged', why: `there are ${has} records, as before` };
  },
});

/** Objects that cannot be encoded become rejects of the chunk; where texts are among the rows they are an error. */
function chunkOf(rows: MemoryRows, at: number): Omit<Chunk, 'end'> {
  if (rows.every((row) => typeof row !== 'string'))
    return encodeRows(rows as DataRecord[], 'ndjson', { firstRow: at + 1 });
  const lines = rows.map((row) => (typeof row === 'string' ? row : encodeRecord(row as DataRecord)));
  return { format: 'ndjson', ...joinLines(lines), count: lines.length, firstRow: at + 1 };
}

const positionOf = (sourceName: string, count: number): Position => ({
  sourceName,
  kind: MEMORY_POSITION,
  value: String(count),
});

function startOf(from: Position | undefined): number {
  if (from?.kind !== MEMORY_POSITION || !COUNT.test(from.value)) return 0;
  return Number(from.value);
}
