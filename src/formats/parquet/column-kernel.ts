import { Buffer, isUtf8 } from 'node:buffer';
import type { ColumnType } from '../../model/columns.ts';
import { isParquetDecimal, shapeOf } from './schema.ts';

/**
 * The inner loops of a Parquet file that is made of CSV, in WebAssembly: a stretch of rows to cells, the cells of a
 * column to its values, and those to a page. One instance a thread; nothing is kept from one stretch for the next.
 */

/** How the module reads a column; `kind` and `order` are its numbers. */
export interface Reading {
  /** 0: the caller reads every cell. */
  readonly kind: number;
  /** Bytes of a value; 0: texts, each behind its length. */
  readonly width: number;
  readonly precision: number;
  readonly scale: number;
  /** In which order the least and the greatest are found; 0: that of texts. */
  readonly order: number;
}

const KINDS: Readonly<Partial<Record<ColumnType['kind'], number>>> = {
  boolean: 1,
  int16: 2,
  int32: 3,
  int64: 4,
  float32: 5,
  float64: 6,
  date: 7,
  time: 8,
  timestamp: 9,
  timestamptz: 10,
  uuid: 11,
  text: 13,
};
const DECIMAL = 12;
const DECIMAL_TEXT = 14;
const BOOLEAN_ORDER = 1;
const [SIGNED16, BYTES16] = [6, 7];
const SIZES = { BOOLEAN: [1, 1], INT32: [4, 2], INT64: [8, 3], FLOAT: [4, 4], DOUBLE: [8, 5] } as const;

export function readingOf(type: ColumnType): Reading {
  const physical = shapeOf(type).type!;
  const [width, order] =
    physical in SIZES
      ? SIZES[physical as keyof typeof SIZES]
      : physical === 'FIXED_LEN_BYTE_ARRAY'
        ? [16, type.kind === 'uuid' ? BYTES16 : SIGNED16]
        : [0, 0];
  return { kind: kindOf(type), width, order, precision: type.precision ?? 0, scale: type.scale ?? 0 };
}

function kindOf(type: ColumnType): number {
  if (type.array === true) return 0;
  if (type.kind !== 'decimal') return KINDS[type.kind] ?? 0;
  if (isParquetDecimal(type)) return DECIMAL;
  return type.precision === undefined ? DECIMAL_TEXT : 0;
}

/** What came of the cells of a column. */
export interface Read {
  /** Rows that the caller has to read: what is in memory is good only when there are none. */
  readonly left: Uint32Array;
  readonly nulls: number;
}

/** The least and the greatest of the values of a page, as they lie there; undefined where there is none. */
export interface Bounds {
  readonly least: Buffer | undefined;
  readonly most: Buffer | undefined;
  readonly strange: number;
}

/** The bytes of a page, and how many of them are levels; `unpacked`: bytes of the values before they were packed. */
export interface PackedPage {
  readonly bytes: Uint8Array;
  readonly levels: number;
  readonly unpacked: number;
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  splitRows(base: number, spans: number, count: number, places: number, fields: number, cells: number): number;
  readFixed(
    kind: number,
    width: number,
    precision: number,
    scale: number,
    cells: number,
    count: number,
    mask: number,
    values: number,
    left: number,
  ): void;
  readTexts(kind: number, utf8: number, cells: number, count: number, mask: number, values: number, left: number): void;
  boundsFixed(order: number, values: number, end: number): void;
  boundsTexts(values: number, end: number): void;
  packLevels(mask: number, count: number, nulls: number, out: number): number;
  packBits(values: number, end: number): number;
  pack(start: number, end: number, to: number): number;
}

declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

const PAGE = 65_536;
/** Addresses and states that `assembly/parquet/memory.ts` fixes. */
const RESULT = 64;
const GUARD = 64;
const LENGTH = 2 ** 29 - 1;
const STATE_SHIFT = 29;
const [BARE, READY] = [0, 4];
/** Of a stretch: the length of a cell has room for what it may become when it is spelled as JSON. */
export const STRETCH_BYTES_MAX = 2 ** 26;
/** Memory of WebAssembly only grows: an instance that a huge record made larger than this is not kept. */
const KEPT_BYTES_MAX = 64 * 1024 ** 2;

interface Shared {
  readonly module: object;
  kernel: ColumnKernel | undefined;
}
let shared: Shared | undefined;

/** The kernel of this thread, loaded on first use: who writes no Parquet does not pay for it. */
export async function columnKernel(): Promise<ColumnKernel> {
  if (shared === undefined) {
    const { PARQUET_WASM } = await import('../kernel/parquet.generated.ts');
    shared ??= { module: new WebAssembly.Module(Buffer.from(PARQUET_WASM, 'base64')), kernel: undefined };
  }
  shared.kernel ??= new ColumnKernel(new WebAssembly.Instance(shared.module, {}).exports as Exports);
  return shared.kernel;
}

export class ColumnKernel {
  readonly #wasm: Exports;
  #rows = 0;
  #inputBytes = 0;
  #utf8 = false;
  #cells = 0;
  #mask = 0;
  #left = 0;
  /** Behind all that a stretch needs; values that the caller has read stand from here to `#readyEnd`. */
  #free = 0;
  #readyEnd = 0;
  #values = 0;
  #valuesEnd = 0;

  constructor(wasm: Exports) {
    this.#wasm = wasm;
  }

  /** Takes rows of CSV. Answers false where one of them is none. */
  split({ bytes, spans, places, columns }: Stretch): boolean {
    this.#rows = spans.length / 2;
    this.#inputBytes = bytes.length;
    this.#utf8 = isUtf8(bytes);
    const spansAt = aligned(PAGE + bytes.length + GUARD);
    const placesAt = aligned(spansAt + spans.length * 4);
    this.#cells = aligned(placesAt + places.length * 4);
    const cellBytes = this.#rows * columns * 8;
    this.#mask = aligned(this.#cells + cellBytes);
    this.#left = aligned(this.#mask + this.#rows / 8 + 1);
    this.#free = aligned(this.#left + this.#rows * 4);
    this.#readyEnd = this.#free;
    this.#reserve(this.#free);
    const { buffer } = this.#wasm.memory;
    new Uint8Array(buffer).set(bytes, PAGE);
    new Uint32Array(buffer, spansAt, spans.length).set(spans);
    new Uint32Array(buffer, placesAt, places.length).set(places);
    // A column that no field is for is null in every row.
    new Uint32Array(buffer, this.#cells, cellBytes / 4).fill(NULL);
    // Where the bytes that the spans count from would begin, which may well be before the memory does.
    const base = PAGE - (spans[0] ?? 0);
    return this.#wasm.splitRows(base, spansAt, this.#rows, placesAt, places.length, this.#cells) === 1;
  }

  /** Reads the cells of column `nth`. What of the column before is in memory is no longer there. */
  read(nth: number, { kind, width, precision, scale }: Reading): Read {
    const ready = this.#readyEnd - this.#free;
    this.#values = aligned(this.#readyEnd + GUARD);
    const most = width === 0 ? this.#inputBytes + 4 * this.#rows + ready : width * this.#rows;
    this.#reserve(this.#values + most);
    const cells = this.#cellAt(nth, 0);
    if (width === 0) {
      this.#wasm.readTexts(kind, this.#utf8 ? 1 : 0, cells, this.#rows, this.#mask, this.#values, this.#left);
    } else {
      this.#wasm.readFixed(kind, width, precision, scale, cells, this.#rows, this.#mask, this.#values, this.#left);
    }
    const { buffer } = this.#wasm.memory;
    const [end = 0, missed = 0, nulls = 0] = new Uint32Array(buffer, RESULT, 3);
    this.#valuesEnd = end;
    this.#readyEnd = this.#free;
    return { left: new Uint32Array(buffer, this.#left, missed).slice(), nulls };
  }

  /** A cell as it is spelled in the row, quotes and all. */
  spelled(nth: number, row: number): string {
    const { buffer } = this.#wasm.memory;
    const [start = 0, said = 0] = new Uint32Array(buffer, this.#cellAt(nth, row), 2);
    const quote = said >>> STATE_SHIFT === BARE ? 0 : 1;
    return Buffer.from(buffer).toString('utf8', start - quote, start + (said & LENGTH) + quote);
  }

  /** Puts a value in the place of a cell that was left, for the next `read` of the column. */
  put(nth: number, row: number, value: Uint8Array): void {
    const at = this.#readyEnd;
    this.#readyEnd += value.length;
    this.#reserve(this.#readyEnd);
    const { buffer } = this.#wasm.memory;
    new Uint8Array(buffer).set(value, at);
    new Uint32Array(buffer, this.#cellAt(nth, row), 2).set([at, ((READY << STATE_SHIFT) | value.length) >>> 0]);
  }

  bounds({ width, order }: Reading): Bounds {
    if (width === 0) this.#wasm.boundsTexts(this.#values, this.#valuesEnd);
    else this.#wasm.boundsFixed(order, this.#values, this.#valuesEnd);
    const { buffer } = this.#wasm.memory;
    const [least = 0, most = 0, strange = 0] = new Uint32Array(buffer, RESULT, 3);
    const valueAt = (at: number): Buffer | undefined => {
      if (at === 0) return undefined;
      const length = width === 0 ? Buffer.from(buffer, at, 4).readUInt32LE() : width;
      return Buffer.from(buffer.slice(width === 0 ? at + 4 : at, at + (width === 0 ? 4 : 0) + length));
    };
    return { least: valueAt(least), most: valueAt(most), strange };
  }

  /** The page of the column that was read last. `nullable`: with levels. Its values are gone afterwards. */
  page({ order }: Reading, nulls: number, nullable: boolean): PackedPage {
    if (order === BOOLEAN_ORDER) this.#valuesEnd = this.#wasm.packBits(this.#values, this.#valuesEnd);
    const unpacked = this.#valuesEnd - this.#values;
    const levelsAt = aligned(this.#valuesEnd + GUARD);
    const levelsMost = this.#rows / 4 + GUARD;
    this.#reserve(levelsAt + levelsMost + 32 + Math.ceil((unpacked * 7) / 6));
    const valuesAt = nullable ? this.#wasm.packLevels(this.#mask, this.#rows, nulls, levelsAt) : levelsAt;
    const end = this.#wasm.pack(this.#values, this.#valuesEnd, valuesAt);
    const bytes = new Uint8Array(this.#wasm.memory.buffer, levelsAt, end - levelsAt).slice();
    return { bytes, levels: valuesAt - levelsAt, unpacked };
  }

  /** Called when a file is done. */
  release(): void {
    if (this.#wasm.memory.buffer.byteLength > KEPT_BYTES_MAX && shared?.kernel === this) shared.kernel = undefined;
  }

  #cellAt(nth: number, row: number): number {
    return this.#cells + (nth * this.#rows + row) * 8;
  }

  #reserve(end: number): void {
    const { memory } = this.#wasm;
    const short = end + GUARD - memory.buffer.byteLength;
    if (short > 0) memory.grow(Math.ceil(short / PAGE));
  }
}

/** `bytes` begin with the first row; `spans` may count from before that. */
export interface Stretch {
  readonly bytes: Uint8Array;
  readonly spans: Uint32Array;
  /** For each field of a row the number of its column; NOWHERE: of none. */
  readonly places: Uint32Array;
  readonly columns: number;
}
export const NOWHERE = 2 ** 32 - 1;

/** In both halves of a cell: the state is in the second, the first does not count then. */
const NULL = (3 << STATE_SHIFT) >>> 0;

const aligned = (address: number): number => (Math.ceil(address) + 15) & ~15;
