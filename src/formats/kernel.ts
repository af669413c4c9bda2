import { KERNEL_WASM } from './kernel/kernel.generated.ts';

/**
 * The inner loops of the formats, in WebAssembly. Each call copies a whole chunk in and its results out: a call a
 * record would cost more than the work. One instance a thread; nothing of a chunk is kept between calls.
 */

/** What is wrong with a line or row, by the kernel's number. */
export const FAULTS = [
  '',
  'not-json',
  'not-object',
  'after-object',
  'too-deep',
  'stray-quote',
  'after-quote',
  'field-count',
  'nul',
] as const;
export type Fault = Exclude<(typeof FAULTS)[number], ''>;

/** A broken line: how many records stand before it in the stretch, its 0-based line, and a byte or a field count. */
export interface BrokenLine {
  readonly before: number;
  readonly line: number;
  readonly fault: Fault;
  readonly detail: number;
}

export interface FramedLines {
  /** Start and end of each record, counted from the start of the input. */
  readonly spans: Uint32Array;
  readonly broken: readonly BrokenLine[];
  readonly lines: number;
  readonly consumed: number;
  /** CSV: the rest of the input is inside a quote that does not close. */
  readonly open: boolean;
}

/** The state of a record's key in `KeyScan.states`. */
export const KEY_STATE = { complete: 0, missing: 1, slow: 2 } as const;

export interface KeyScan {
  readonly keys: Uint8Array;
  readonly states: Uint8Array;
  /** How many states are not `complete`. */
  readonly special: number;
}

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** Node's types have no WebAssembly of their own; the DOM's would bring a browser's globals along. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: Memory;
  frameLines(start: number, end: number, spans: number, spansMax: number, faults: number, faultsMax: number): void;
  frameRows(
    start: number,
    end: number,
    delimiter: number,
    quote: number,
    fields: number,
    spans: number,
    spansMax: number,
    faults: number,
    faultsMax: number,
  ): void;
  keysOfLines(base: number, spans: number, count: number, names: number, keys: number, states: number): number;
  keysOfRows(
    base: number,
    spans: number,
    count: number,
    names: number,
    last: number,
    keys: number,
    states: number,
  ): number;
  columnDigests(
    base: number,
    spans: number,
    count: number,
    names: number,
    digests: number,
    states: number,
    room: number,
  ): number;
  hashSpans(base: number, spans: number, count: number, out: number): void;
  hashSpansWide(base: number, spans: number, count: number, out: number): void;
  packText(start: number, length: number, out: number): void;
}

const PAGE = 65_536;
/** Addresses that `assembly/memory.ts` fixes. */
const RESULT = 64;
const SEED = 96;
const NAMES = 4096;
const NAMES_END = 16_384;
const MEMBER_ROOM = 8 * 1024;
/** Line ends behind every input; see `assembly/memory.ts`. */
const GUARD = 64;
const SPANS_MAX = 65_536;
const FAULTS_MAX = 1024;

/** Most key columns, or left-out columns, that the kernel looks for at once. */
export const NAMES_MAX = 64;

let shared: Kernel | undefined;

/** The kernel of this thread, made on first use. */
export function kernel(): Kernel {
  shared ??= new Kernel();
  return shared;
}

export class Kernel {
  readonly #wasm: Exports;

  constructor() {
    const module = new WebAssembly.Module(Buffer.from(KERNEL_WASM, 'base64'));
    this.#wasm = new WebAssembly.Instance(module, {}).exports as Exports;
  }

  /** Cuts `bytes` into lines and checks that each holds one JSON object. The last line may lack its end. */
  frameLines(bytes: Uint8Array): FramedLines {
    const [spans, faults] = this.#place(bytes, [SPANS_MAX * 8, FAULTS_MAX * 16]);
    this.#wasm.frameLines(PAGE, PAGE + bytes.length, spans, SPANS_MAX, faults, FAULTS_MAX);
    return this.#framed(spans, faults);
  }

  /** Cuts `bytes` into CSV rows of `fields` fields. The end of `bytes` ends the last row. */
  frameRows(bytes: Uint8Array, dialect: { delimiter: number; quote: number; fields: number }): FramedLines {
    const [spans, faults] = this.#place(bytes, [SPANS_MAX * 8, FAULTS_MAX * 16]);
    const { delimiter, quote, fields } = dialect;
    const end = PAGE + bytes.length;
    this.#wasm.frameRows(PAGE, end, delimiter, quote, fields, spans, SPANS_MAX, faults, FAULTS_MAX);
    return this.#framed(spans, faults);
  }

  /** Keys of NDJSON records by the names of their columns; undefined when the names are too many or too long. */
  keysOfLines(bytes: Uint8Array, spans: Uint32Array, names: readonly string[], seed: Uint8Array): KeyScan | undefined {
    const count = spans.length / 2;
    const [at, keys, states] = this.#place(bytes, [spans.byteLength, count * 16, count], spans);
    if (!this.#writeNames(names)) return undefined;
    this.#writeSeed(seed);
    const special = this.#wasm.keysOfLines(PAGE, at, count, names.length, keys, states);
    return { keys: this.#read(keys, count * 16), states: this.#read(states, count), special };
  }

  /** Keys of CSV rows (comma, double quote) by the 0-based numbers of their fields. */
  keysOfRows(bytes: Uint8Array, spans: Uint32Array, fields: readonly number[], seed: Uint8Array): KeyScan {
    const count = spans.length / 2;
    const [at, keys, states] = this.#place(bytes, [spans.byteLength, count * 16, count], spans);
    new Uint32Array(this.#wasm.memory.buffer, NAMES, fields.length).set(fields);
    this.#writeSeed(seed);
    const last = Math.max(...fields);
    const special = this.#wasm.keysOfRows(PAGE, at, count, fields.length, last, keys, states);
    return { keys: this.#read(keys, count * 16), states: this.#read(states, count), special };
  }

  /** Digests of NDJSON records by column, without the named ones. `keys` of the answer holds 8 bytes a record. */
  columnDigests(
    bytes: Uint8Array,
    spans: Uint32Array,
    exclude: readonly string[],
    seed: Uint8Array,
  ): KeyScan | undefined {
    const count = spans.length / 2;
    const room = longest(spans) + MEMBER_ROOM;
    const [at, digests, states, scratch] = this.#place(bytes, [spans.byteLength, count * 8, count, room], spans);
    if (!this.#writeNames(exclude)) return undefined;
    this.#writeSeed(seed);
    const special = this.#wasm.columnDigests(PAGE, at, count, exclude.length, digests, states, scratch);
    return { keys: this.#read(digests, count * 8), states: this.#read(states, count), special };
  }

  /** SipHash-1-3 of each stretch: 8 bytes each, little-endian. */
  hashSpans(bytes: Uint8Array, spans: Uint32Array, seed: Uint8Array): Uint8Array {
    const count = spans.length / 2;
    const [at, out] = this.#place(bytes, [spans.byteLength, count * 8], spans);
    this.#writeSeed(seed);
    this.#wasm.hashSpans(PAGE, at, count, out);
    return this.#read(out, count * 8);
  }

  /** SipHash-1-3 of each stretch with 16 bytes of output, the top bit of the last byte set. */
  hashSpansWide(bytes: Uint8Array, spans: Uint32Array, seed: Uint8Array): Uint8Array {
    const count = spans.length / 2;
    const [at, out] = this.#place(bytes, [spans.byteLength, count * 16], spans);
    this.#writeSeed(seed);
    this.#wasm.hashSpansWide(PAGE, at, count, out);
    return this.#read(out, count * 16);
  }

  /** The packed key of canonical text: 16 bytes. */
  packText(text: Uint8Array, seed: Uint8Array): Uint8Array {
    const [out] = this.#place(text, [16]);
    this.#writeSeed(seed);
    this.#wasm.packText(PAGE, text.length, out);
    return this.#read(out, 16);
  }

  /** Copies the input behind the first page, a guard behind it, and answers where each of `sizes` begins after that. */
  #place<const S extends readonly number[]>(
    input: Uint8Array,
    sizes: S,
    first?: Uint32Array,
  ): { [K in keyof S]: number } {
    const places: number[] = [];
    let end = PAGE + input.length + GUARD;
    for (const size of sizes) {
      end = (end + 15) & ~15;
      places.push(end);
      end += size;
    }
    const { memory } = this.#wasm;
    const short = end + GUARD - memory.buffer.byteLength;
    if (short > 0) memory.grow(Math.ceil(short / PAGE));
    const all = new Uint8Array(memory.buffer);
    all.set(input, PAGE);
    all.fill(0x0a, PAGE + input.length, PAGE + input.length + GUARD);
    if (first !== undefined) new Uint32Array(memory.buffer, places[0], first.length).set(first);
    return places as unknown as { [K in keyof S]: number };
  }

  #writeSeed(seed: Uint8Array): void {
    new Uint8Array(this.#wasm.memory.buffer, SEED, 16).set(seed);
  }

  #writeNames(names: readonly string[]): boolean {
    if (names.length > NAMES_MAX) return false;
    const memory = Buffer.from(this.#wasm.memory.buffer, 0, NAMES_END);
    let at = NAMES + NAMES_MAX * 8;
    for (const [index, name] of names.entries()) {
      const length = Buffer.byteLength(name);
      // The kernel compares in blocks of 8 and may look a little past a name.
      if (at + length + 16 > NAMES_END) return false;
      memory.write(name, at);
      memory.writeUInt32LE(at, NAMES + index * 8);
      memory.writeUInt32LE(length, NAMES + index * 8 + 4);
      at += length;
    }
    return true;
  }

  #read(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#wasm.memory.buffer, at, length).slice();
  }

  #framed(spans: number, faults: number): FramedLines {
    const { buffer } = this.#wasm.memory;
    const [count = 0, brokenCount = 0, lines = 0, consumed = 0, open = 0] = new Uint32Array(buffer, RESULT, 5);
    const broken: BrokenLine[] = [];
    const list = new Uint32Array(buffer, faults, brokenCount * 4);
    for (let i = 0; i < list.length; i += 4) {
      const fault = FAULTS[list[i + 2]!] as Fault;
      broken.push({ before: list[i]!, line: list[i + 1]!, fault, detail: list[i + 3]! });
    }
    return { spans: new Uint32Array(buffer, spans, count * 2).slice(), broken, lines, consumed, open: open === 1 };
  }
}

function longest(spans: Uint32Array): number {
  let most = 0;
  for (let i = 0; i < spans.length; i += 2) most = Math.max(most, spans[i + 1]! - spans[i]!);
  return most;
}
