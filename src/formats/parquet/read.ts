import { crc32 } from 'node:zlib';
import type { AsyncBuffer, FileMetaData, SchemaElement, SchemaTree } from 'hyparquet';
import type { Chunk, Reject } from '../../model/chunk.ts';
import type { Columns } from '../../model/columns.ts';
import { describeError, WaybillError } from '../../model/errors.ts';
import { inColumn } from '../columns/unfit.ts';
import { jsonOf } from '../columns/values.ts';
import { tooLarge } from '../line-framer.ts';
import { LineWriter } from '../line-writer.ts';
import { type Cell, plainOfCell } from './cells.ts';
import { nestedJson, nestedType } from './nested.ts';
import { loadReader } from './package.ts';
import { COLUMNS_ENTRY, expectDistinct, writtenTypes } from './schema.ts';
import { boundedUnpackers } from './unpack.ts';

/** A file whose parts can be read in any order. */
export interface RandomAccess {
  readonly size: number;
  /** The bytes from `start` to `end`, all of them. */
  read(start: number, end: number): Promise<ArrayBuffer>;
}

/** `nextRow`: 0-based number of the row behind the chunk, counted over all row groups. */
export type ParquetChunk = Omit<Chunk, 'end'> & { readonly nextRow: number };

export interface OpenParquet {
  readonly columns: Columns;
  readonly rows: number;
  /** CRC-32 of the footer, which holds the place and size of everything: another file has another. */
  readonly footer: number;
  /** Entries of the file's metadata. */
  readonly entries: ReadonlyMap<string, string>;
  /**
   * Chunks of NDJSON with the types of the columns, row group by row group, from this row on (0-based). A file without
   * a row has one chunk without a record.
   */
  chunks(fromRow: number, signal: AbortSignal): AsyncGenerator<ParquetChunk>;
}

export interface ParquetLimits {
  /** A row that is longer, as a line of JSON, becomes a reject. No limit of its own when absent. */
  readonly recordBytesMax?: number | undefined;
}

const CHUNK_ROWS = 2000;
const CHUNK_BYTES = 8 * 1024 ** 2;
/** Of one row group, unpacked: it is read in one piece. */
const GROUP_BYTES_MAX = 2 * 1024 ** 3;

/** Reads the footer. Throws SOURCE_INVALID for what is no Parquet file, DRIVER_MISSING without the packages. */
export async function openParquet(file: RandomAccess, limits: ParquetLimits = {}): Promise<OpenParquet> {
  const { parquetMetadataAsync, parquetSchema } = await loadReader();
  const buffer: AsyncBuffer = { byteLength: file.size, slice: (start, end) => readPart(file, start, end) };
  const metadata = await asParquet(() => parquetMetadataAsync(buffer, { parsers: RAW, geoparquet: false }));
  // The tree keeps the elements as the file has them; those that values are read by say nothing about types.
  const nodes = parquetSchema(metadata).children;
  const entries = new Map((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? '']));
  const columns = columnsOf(nodes, entries);
  const footer = await footerOf(file, metadata);
  return {
    columns,
    rows: Number(metadata.num_rows),
    footer,
    entries,
    chunks: (fromRow, signal) =>
      new ParquetReading(buffer, metadata, { nodes, columns, limits }).chunks(fromRow, signal),
  };
}

function columnsOf(nodes: readonly SchemaTree[], entries: ReadonlyMap<string, string>): Columns {
  const flat = nodes.filter(({ children }) => children.length === 0).map(({ element }) => element);
  const written = writtenTypes(entries.get(COLUMNS_ENTRY), flat);
  const columns = nodes.map((node) => ({
    name: node.element.name,
    type: written.get(node.element.name) ?? nestedType(node),
    nullable: node.element.repetition_type !== 'REQUIRED',
  }));
  expectDistinct(columns);
  return columns;
}

async function footerOf(file: RandomAccess, { metadata_length: length }: FileMetaData): Promise<number> {
  return crc32(new Uint8Array(await file.read(file.size - length - 8, file.size)));
}

async function readPart(file: RandomAccess, start: number, end = file.size): Promise<ArrayBuffer> {
  const from = start < 0 ? Math.max(0, file.size + start) : start;
  return file.read(from, Math.min(end, file.size));
}

const raw = <T>(value: T): T => value;
/** Hands values on as the file has them: a Date, a double or replaced characters would lose what does not fit. */
const RAW = {
  timestampFromMilliseconds: raw,
  timestampFromMicroseconds: raw,
  timestampFromNanoseconds: raw,
  dateFromDays: raw,
  stringFromBytes: raw,
  jsonFromBytes: raw,
  uuidFromBytes: raw,
};

/** The same files with leaves that have no meaning, so that the reader converts nothing. Keys of maps stay texts. */
function withoutMeaning(metadata: FileMetaData): FileMetaData {
  const schema = metadata.schema.map((element, at): SchemaElement => {
    if (element.type === undefined || isMapKey(metadata.schema, at)) return element;
    const { converted_type: _, logical_type: __, ...bare } = element;
    return bare;
  });
  return { ...metadata, schema };
}

function isMapKey(schema: readonly SchemaElement[], at: number): boolean {
  const isMap = (element: SchemaElement | undefined): boolean =>
    element?.converted_type === 'MAP' ||
    element?.converted_type === 'MAP_KEY_VALUE' ||
    element?.logical_type?.type === 'MAP';
  return schema[at - 1]?.num_children === 2 && isMap(schema[at - 2]);
}

type Values = ArrayLike<unknown>;

interface Shape {
  readonly nodes: readonly SchemaTree[];
  readonly columns: Columns;
  readonly limits: ParquetLimits;
}

class ParquetReading {
  readonly #file: AsyncBuffer;
  readonly #metadata: FileMetaData;
  readonly #nodes: readonly SchemaTree[];
  readonly #columns: Columns;
  readonly #heads: readonly string[];
  readonly #recordBytesMax: number;

  constructor(file: AsyncBuffer, metadata: FileMetaData, { nodes, columns, limits }: Shape) {
    this.#file = file;
    this.#metadata = withoutMeaning(metadata);
    this.#nodes = nodes;
    this.#columns = columns;
    this.#recordBytesMax = limits.recordBytesMax ?? Number.POSITIVE_INFINITY;
    this.#heads = columns.map(({ name }, nth) => `${nth === 0 ? '{' : ','}${JSON.stringify(name)}:`);
  }

  async *chunks(fromRow: number, signal: AbortSignal): AsyncGenerator<ParquetChunk> {
    let start = 0;
    if (Number(this.#metadata.num_rows) === 0) yield this.#chunk([], { start, row: start, end: start });
    for (const group of this.#metadata.row_groups) {
      const end = start + Number(group.num_rows);
      if (end > fromRow) {
        expectRoom(group.total_byte_size);
        const packed = sumOf(group.columns.map(({ meta_data }) => meta_data?.total_compressed_size ?? 0n));
        const values = await asParquet(() => this.#group(start, end, packed));
        for (let row = Math.max(start, fromRow); row < end; ) {
          signal.throwIfAborted();
          const chunk = this.#chunk(values, { start, row, end: Math.min(end, row + CHUNK_ROWS) });
          yield chunk;
          row = chunk.nextRow;
        }
      }
      start = end;
    }
  }

  /** The columns of the rows from `start` to `end`, which are one row group. */
  async #group(start: number, end: number, packedBytes: number): Promise<Values[]> {
    const { parquetRead, compressors } = await loadReader();
    const pieces = new Map<string, { readonly at: number; readonly data: Values }[]>();
    await parquetRead({
      file: this.#file,
      metadata: this.#metadata,
      rowStart: start,
      rowEnd: end,
      compressors: boundedUnpackers(compressors, packedBytes, GROUP_BYTES_MAX),
      parsers: { ...RAW, stringFromBytes: (bytes) => bytes && Buffer.from(bytes).toString('utf8') },
      utf8: false,
      geoparquet: false,
      onChunk: ({ columnName, columnData, rowStart }) => {
        const list = pieces.get(columnName) ?? [];
        list.push({ at: rowStart, data: columnData });
        pieces.set(columnName, list);
      },
    });
    return this.#columns.map(({ name }) => joined(pieces.get(name) ?? [], end - start, start));
  }

  #chunk(values: readonly Values[], { start, row, end }: { start: number; row: number; end: number }): ParquetChunk {
    const lines = new LineWriter();
    const rejects: Reject[] = [];
    let at = row;
    for (; at < end && lines.size < CHUNK_BYTES; at++) {
      try {
        lines.write(this.#line(values, at - start));
      } catch (error) {
        if (!(error instanceof WaybillError)) throw error;
        rejects.push({ row: at + 1, code: error.code, message: error.message });
      }
    }
    const shape = { format: 'ndjson' as const, types: this.#columns, firstRow: row + 1, nextRow: at };
    return { ...shape, ...lines.finish(), ...(rejects.length === 0 ? {} : { rejects }) };
  }

  #line(values: readonly Values[], at: number): string {
    let line = '';
    for (let nth = 0; nth < this.#columns.length; nth++) {
      const value = values[nth]![at];
      // Seen before it is made a text: there are values that no text could hold.
      if (value instanceof Uint8Array && value.length > this.#recordBytesMax) throw this.#tooLarge();
      line += this.#heads[nth]! + (value === null || value === undefined ? 'null' : this.#json(nth, value));
    }
    const whole = line === '' ? '{}' : `${line}}`;
    // No text has fewer bytes than units, and none more than three times as many.
    const asked = whole.length * 3 > this.#recordBytesMax;
    if (asked && Buffer.byteLength(whole) > this.#recordBytesMax) throw this.#tooLarge();
    return whole;
  }

  #tooLarge(): WaybillError {
    const { code, message } = tooLarge(this.#recordBytesMax);
    return new WaybillError(code, message);
  }

  #json(nth: number, value: unknown): string {
    const node = this.#nodes[nth]!;
    const column = this.#columns[nth]!;
    try {
      const flat = node.children.length === 0 && node.element.repetition_type !== 'REPEATED';
      if (!flat) return nestedJson(node, value);
      return jsonOf(column.type, plainOfCell(column.type, node.element, value as Cell));
    } catch (error) {
      throw inColumn(error, column);
    }
  }
}

function joined(
  pieces: readonly { readonly at: number; readonly data: Values }[],
  rows: number,
  start: number,
): Values {
  if (pieces.length === 1 && pieces[0]!.at === start && pieces[0]!.data.length === rows) return pieces[0]!.data;
  const all: unknown[] = new Array(rows);
  for (const { at, data } of pieces) for (let nth = 0; nth < data.length; nth++) all[at - start + nth] = data[nth];
  return all;
}

const sumOf = (sizes: readonly bigint[]): number => Number(sizes.reduce((sum, size) => sum + size, 0n));

function expectRoom(bytes: bigint): void {
  if (bytes <= GROUP_BYTES_MAX) return;
  throw new WaybillError('SOURCE_INVALID', `a row group of ${bytes} bytes is too large to be read in one piece`, {
    hint: 'Write the file anew with smaller row groups.',
  });
}

/** Errors of the reader are those of the file; those of the disk are their own. */
async function asParquet<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof WaybillError || (error as NodeJS.ErrnoException).syscall !== undefined) throw error;
    throw new WaybillError('SOURCE_INVALID', `the Parquet file cannot be read: ${describeError(error)}`, {
      cause: error,
    });
  }
}
