import { Buffer, isUtf8 } from 'node:buffer';
import { compiled } from '../wasm.ts';
import { isBoolean, isFloat, type Reading } from './reading.ts';

/**
 * The inner loops of a Parquet file that is made of CSV, in WebAssembly: a stretch of rows to cells, the cells of a
 * column to its values, and those to a page. One instance a thread; what is kept from one stretch for the next are the
 * dictionaries of a row group.
 */

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
  readonly encoding: 'PLAIN' | 'RLE_DICTIONARY';
  readonly bytes: Uint8Array;
  readonly levels: number;
  readonly unpacked: number;
  readonly bounds: Bounds;
}

export interface PageWants {
  readonly nulls: number;
  readonly nullable: boolean;
}

/** The different values of a column, packed, for the pages that hold their numbers. */
export interface PackedDictionary {
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly unpacked: number;
}

interface Dictionary {
  readonly at: number;
  /** Of the values that pages have the numbers of. */
  count: number;
  bytes: number;
  /** It takes more values. */
  open: boolean;
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
  clearDictionary(at: number, most: number): void;
  indexValues(
    at: number,
    most: number,
    room: number,
    width: number,
    values: number,
    end: number,
    indexes: number,
  ): number;
  packIndexes(indexes: number, count: number, bits: number, out: number): number;
}

const PAGE = 65_536;
/** Addresses and states that `assembly/parquet/memory.ts` fixes. */
const RESULT = 64;
const GUARD = 64;
const LENGTH = 2 ** 29 - 1;
const STATE_SHIFT = 29;
const [BARE, READY] = [0, 4];
/** Of a stretch: the length of a cell has room for what it may become when it is spelled as JSON. */
export const STRETCH_BYTES_MAX = 2 ** 26;
/** All dictionaries together are given so much; one has 256 values at least and 16,384 at most. */
const DICTIONARIES_BYTES = 12 * 1024 ** 2;
const [DICTIONARY_MIN, DICTIONARY_MAX] = [256, 16_384];
/** Of a dictionary, for a value: two slots of two bytes, where it begins, and its bytes on average. */
const [ENTRY_HEAD, ENTRY_BYTES] = [8, 16];
const DICTIONARY_HEAD = 16;
/** Memory of WebAssembly only grows: an instance that a huge record made larger than this is not kept. */
const KEPT_BYTES_MAX = 64 * 1024 ** 2;

interface Shared {
  readonly make: () => unknown;
  kernel: ColumnKernel | undefined;
}
let shared: Shared | undefined;

/** The kernel of this thread, loaded on first use: who writes no Parquet does not pay for it. */
export async function columnKernel(): Promise<ColumnKernel> {
  if (shared === undefined) {
    const { PARQUET_WASM } = await import('../kernel/parquet.generated.ts');
    shared ??= { make: compiled(PARQUET_WASM), kernel: undefined };
  }
  shared.kernel ??= new ColumnKernel(shared.make() as Exports);
  return shared.kernel;
}

export class ColumnKernel {
  readonly #wasm: Exports;
  /** All of the memory. */
  #bytes: Buffer;
  #words: Uint32Array;
  #dictionaries: (Dictionary | undefined)[] = [];
  /** Values that a dictionary has room for. */
  #entries = 0;
  /** Where a stretch begins: behind the dictionaries. */
  #input = PAGE;
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
    [this.#bytes, this.#words] = [Buffer.from(wasm.memory.buffer), new Uint32Array(wasm.memory.buffer)];
  }

  /** Begins a row group: forgets the dictionaries of the one before. */
  begin(readings: readonly Reading[]): void {
    // Booleans take a bit as it is; of floats few are alike.
    const fits = readings.map((reading) => !isBoolean(reading) && !isFloat(reading));
    const most = DICTIONARIES_BYTES / (ENTRY_HEAD + ENTRY_BYTES) / Math.max(1, fits.filter(Boolean).length);
    this.#entries = Math.max(DICTIONARY_MIN, Math.min(DICTIONARY_MAX, 2 ** Math.floor(Math.log2(most))));
    const size = aligned(DICTIONARY_HEAD + this.#entries * (ENTRY_HEAD + ENTRY_BYTES) + GUARD);
    let at = PAGE;
    this.#dictionaries = fits.map((fit) => {
      if (!fit || at + size > PAGE + DICTIONARIES_BYTES * 2) return undefined;
      at += size;
      return { at: at - size, count: 0, bytes: 0, open: true };
    });
    this.#input = at;
    this.#reserve(at);
    for (const one of this.#dictionaries) if (one !== undefined) this.#wasm.clearDictionary(one.at, this.#entries);
  }

  /** Takes rows of CSV. Answers false where one of them is none. */
  split({ bytes, spans, places, columns }: Stretch): boolean {
    this.#rows = spans.length / 2;
    this.#inputBytes = bytes.length;
    this.#utf8 = isUtf8(bytes);
    const spansAt = aligned(this.#input + bytes.length + GUARD);
    const placesAt = aligned(spansAt + spans.length * 4);
    this.#cells = aligned(placesAt + places.length * 4);
    const cellBytes = this.#rows * columns * 8;
    this.#mask = aligned(this.#cells + cellBytes);
    this.#left = aligned(this.#mask + this.#rows / 8 + 1);
    this.#free = aligned(this.#left + this.#rows * 4);
    this.#readyEnd = this.#free;
    this.#reserve(this.#free);
    this.#bytes.set(bytes, this.#input);
    this.#words.set(spans, spansAt / 4);
    this.#words.set(places, placesAt / 4);
    // A column that no field is for is null in every row.
    this.#words.fill(NULL, this.#cells / 4, (this.#cells + cellBytes) / 4);
    // Where the bytes that the spans count from would begin, which may well be before the memory does.
    const base = this.#input - (spans[0] ?? 0);
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
    const [end, missed, nulls] = this.#result();
    this.#valuesEnd = end;
    this.#readyEnd = this.#free;
    return { left: this.#words.slice(this.#left / 4, this.#left / 4 + missed), nulls };
  }

  /** A cell as it is spelled in the row, quotes and all. */
  spelled(nth: number, row: number): string {
    const cell = this.#cellAt(nth, row) / 4;
    const [start, said] = [this.#words[cell]!, this.#words[cell + 1]!];
    const quote = said >>> STATE_SHIFT === BARE ? 0 : 1;
    return this.#bytes.toString('utf8', start - quote, start + (said & LENGTH) + quote);
  }

  /** Puts a value in the place of a cell that was left, for the next `read` of the column. */
  put(nth: number, row: number, value: Uint8Array): void {
    const at = this.#readyEnd;
    this.#readyEnd += value.length;
    this.#reserve(this.#readyEnd);
    this.#bytes.set(value, at);
    const cell = this.#cellAt(nth, row) / 4;
    this.#words[cell] = at;
    this.#words[cell + 1] = (READY << STATE_SHIFT) | value.length;
  }

  /** The page of the column that was read last. `nullable`: with levels. Its values are gone afterwards. */
  page(nth: number, reading: Reading, { nulls, nullable }: PageWants): PackedPage {
    const count = this.#rows - nulls;
    const dictionary = count > 0 && this.#numbered(nth, reading) ? this.#dictionaries[nth] : undefined;
    const bounds =
      dictionary === undefined
        ? this.#bounds(reading, this.#values, this.#valuesEnd)
        : this.#bounds(reading, this.#dataOf(dictionary), this.#dataOf(dictionary) + dictionary.bytes);
    if (dictionary !== undefined) this.#packNumbers(count, dictionary.count);
    else if (isBoolean(reading)) this.#valuesEnd = this.#wasm.packBits(this.#values, this.#valuesEnd);
    const levelsAt = aligned(this.#valuesEnd + GUARD);
    const unpacked = this.#valuesEnd - this.#values;
    this.#reserve(levelsAt + this.#rows / 4 + GUARD + packedMost(unpacked));
    const valuesAt = nullable ? this.#wasm.packLevels(this.#mask, this.#rows, nulls, levelsAt) : levelsAt;
    const bytes = this.#packed(this.#values, this.#valuesEnd, { from: levelsAt, to: valuesAt });
    const encoding = dictionary === undefined ? 'PLAIN' : 'RLE_DICTIONARY';
    return { encoding, bytes, levels: valuesAt - levelsAt, unpacked, bounds };
  }

  /** The dictionary of a column's pages in this row group, if any of them needs one. */
  dictionary(nth: number): PackedDictionary | undefined {
    const one = this.#dictionaries[nth];
    if (one === undefined || one.count === 0) return undefined;
    const [start, out] = [this.#dataOf(one), this.#input];
    this.#reserve(out + packedMost(one.bytes));
    const bytes = this.#packed(start, start + one.bytes, { from: out, to: out });
    return { count: one.count, bytes, unpacked: one.bytes };
  }

  /** Whether numbers stand for the values of the page, behind them. */
  #numbered(nth: number, { width }: Reading): boolean {
    const one = this.#dictionaries[nth];
    if (one?.open !== true) return false;
    const indexes = aligned(this.#valuesEnd + GUARD);
    this.#reserve(indexes + this.#rows * 2);
    const room = this.#entries * ENTRY_BYTES;
    const [values, end] = [this.#values, this.#valuesEnd];
    one.open = this.#wasm.indexValues(one.at, this.#entries, room, width, values, end, indexes) === 1;
    const [count, bytes] = this.#result();
    // The first page shows whether it pays: later ones bring fewer values that are new.
    if (one.open && one.count === 0) one.open = 4 * (bytes + this.#rows * 2) <= 3 * (end - values);
    if (one.open) Object.assign(one, { count, bytes });
    return one.open;
  }

  /** Puts the numbers of the values in the place of the values. */
  #packNumbers(count: number, different: number): void {
    const indexes = aligned(this.#valuesEnd + GUARD);
    const bits = Math.max(1, 32 - Math.clz32(different - 1));
    this.#values = aligned(indexes + this.#rows * 2 + GUARD);
    this.#reserve(this.#values + this.#rows * 2 + GUARD);
    this.#valuesEnd = this.#wasm.packIndexes(indexes, count, bits, this.#values);
  }

  #bounds({ width, order }: Reading, start: number, end: number): Bounds {
    if (width === 0) this.#wasm.boundsTexts(start, end);
    else this.#wasm.boundsFixed(order, start, end);
    const [least, most, strange] = this.#result();
    const valueAt = (at: number): Buffer | undefined => {
      if (at === 0) return undefined;
      const [from, length] = width > 0 ? [at, width] : [at + 4, this.#bytes.readUInt32LE(at)];
      return Buffer.from(this.#bytes.subarray(from, from + length));
    };
    return { least: valueAt(least), most: valueAt(most), strange };
  }

  /** Packs `start` to `end` behind what stands between `from` and `to`, and hands out both. */
  #packed(start: number, end: number, { from, to }: { readonly from: number; readonly to: number }): Uint8Array {
    const stop = this.#wasm.pack(start, end, to);
    return Uint8Array.from(this.#bytes.subarray(from, stop));
  }

  #dataOf({ at }: Dictionary): number {
    return at + DICTIONARY_HEAD + this.#entries * ENTRY_HEAD;
  }

  /** Called when a file is done. */
  release(): void {
    if (this.#wasm.memory.buffer.byteLength > KEPT_BYTES_MAX && shared?.kernel === this) shared.kernel = undefined;
  }

  #cellAt(nth: number, row: number): number {
    return this.#cells + (nth * this.#rows + row) * 8;
  }

  /** What a call did. */
  #result(): readonly [number, number, number] {
    const [first = 0, second = 0, third = 0] = this.#words.subarray(RESULT / 4, RESULT / 4 + 3);
    return [first, second, third];
  }

  /** Every address that is written to is reserved before, here: nothing else lets the memory grow. */
  #reserve(end: number): void {
    const { memory } = this.#wasm;
    const short = end + GUARD - memory.buffer.byteLength;
    if (short > 0) memory.grow(Math.ceil(short / PAGE));
    if (short > 0) [this.#bytes, this.#words] = [Buffer.from(memory.buffer), new Uint32Array(memory.buffer)];
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

/** What packing may need. */
const packedMost = (bytes: number): number => 32 + Math.ceil((bytes * 7) / 6);
const aligned = (address: number): number => (Math.ceil(address) + 15) & ~15;
