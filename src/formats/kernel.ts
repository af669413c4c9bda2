import type { IdentityRoom } from './identity-room.ts';
import { KERNEL_WASM } from './kernel/kernel.generated.ts';
import { compiled } from './wasm.ts';

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
  'field-length',
  'lone-return',
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

/** Rows of binary COPY. `fault`: of the row behind them, which has `found` fields. */
export interface FramedCopy {
  readonly spans: Uint32Array;
  readonly consumed: number;
  /** The trailer was there, and is consumed. */
  readonly ended: boolean;
  readonly fault: Fault | undefined;
  readonly found: number;
}

/** What messages of COPY carried. */
export interface UnframedCopy {
  /** Stands in the kernel's memory: it is another one's after the next call. */
  readonly data: Uint8Array;
  readonly consumed: number;
  /** Bytes of the last message that are still to come. */
  readonly pending: number;
}

/** How the kernel makes the text of a key column of COPY; 0: it leaves that to the caller. */
export const COPY_KINDS: Readonly<Record<string, number>> = {
  text: 1,
  boolean: 2,
  int16: 3,
  int32: 4,
  int64: 5,
  uuid: 6,
};

/** The state of a record in `Scan.states`: done, without a key, or left to the caller. */
export const SCAN_STATE = { complete: 0, missing: 1, slow: 2 } as const;

/** Keys (16 bytes a record) or digests (8 bytes). */
export interface Scan {
  readonly out: Uint8Array;
  /** Of each record, where some are not `complete`; else none. */
  readonly states: Uint8Array;
  /** How many states are not `complete`. */
  readonly special: number;
}

export interface IdentityWants {
  /** Names of NDJSON members, 0-based numbers of fields, or null for a hash of the whole record. */
  readonly key: { readonly names: readonly string[] } | { readonly fields: readonly number[] } | CopyKey | null;
  /** Names of the NDJSON members that digests leave out; null: digests of the raw bytes. */
  readonly exclude: readonly string[] | null;
  readonly seed: Uint8Array;
}

/** Fields of COPY by their numbers, each with its kind from COPY_KINDS. */
export interface CopyKey {
  readonly copy: readonly { readonly field: number; readonly kind: number }[];
  readonly binary: boolean;
}

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

type KeysByField = (
  base: number,
  spans: number,
  count: number,
  names: number,
  last: number,
  keys: number,
  states: number,
) => number;

interface Exports {
  readonly memory: Memory;
  frameLines(
    start: number,
    end: number,
    spans: number,
    spansMax: number,
    faults: number,
    faultsMax: number,
    tape: number,
  ): void;
  keysOfTape(
    base: number,
    spans: number,
    count: number,
    tape: number,
    tapeEnd: number,
    names: number,
    keys: number,
    states: number,
  ): number;
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
  frameCopy(start: number, end: number, fields: number, spans: number, spansMax: number): void;
  unframeCopy(start: number, end: number, pending: number, out: number): void;
  frameCopyText(
    start: number,
    end: number,
    fields: number,
    spans: number,
    spansMax: number,
    faults: number,
    faultsMax: number,
  ): void;
  keysOfCopy: KeysByField;
  keysOfCopyText: KeysByField;
  keysOfRows: KeysByField;
  keysOfLines(base: number, spans: number, count: number, names: number, keys: number, states: number): number;
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
/** Behind the list and the heads that the kernel makes. */
const NAME_BYTES = 4096 + 512 + 1024;
const NAMES_END = 16_384;
const MEMBER_ROOM = 8 * 1024;
/** Line ends behind every input; see `assembly/memory.ts`. */
const GUARD = 64;
const SPANS_MAX = 65_536;
const FAULTS_MAX = 1024;
/** Of larger inputs, which hold a huge record, no names are noted. */
const TAPE_INPUT_MAX = 4 * 1024 * 1024;
/** A top-level member takes 5 bytes at least: `"":1,`. */
const MEMBER_BYTES_MIN = 5;

/** Most key columns, or left-out columns, that the kernel looks for at once; the caller does more by itself. */
const NAMES_MAX = 64;

/** A name that JSON cannot hold as it is: no record spells it in a way that the kernel can compare. */
const NEEDS_ESCAPES = /["\\\p{Cc}\p{Surrogate}]/u;

let shared: Kernel | undefined;

/** The kernel of this thread, made on first use. */
export function kernel(): Kernel {
  shared ??= new Kernel();
  return shared;
}

export class Kernel {
  readonly #wasm: Exports;
  /** Where the names of framed records stand, by the spans that were handed out with them. */
  readonly #tapes = new WeakMap<Uint32Array, Uint32Array>();

  /** Spans of framed records whose numbers all fit into a double. */
  readonly #plainNumbers = new WeakSet<Uint32Array>();

  constructor() {
    this.#wasm = compiled(KERNEL_WASM)() as Exports;
  }

  /** Cuts `bytes` into lines and checks that each holds one JSON object. The last line may lack its end. */
  frameLines(bytes: Uint8Array): FramedLines {
    const taped = bytes.length <= TAPE_INPUT_MAX;
    const tapeBytes = taped ? 4 * (Math.ceil(bytes.length / MEMBER_BYTES_MIN) + 1) : 0;
    const [spans, faults, tape] = this.#place(bytes, [SPANS_MAX * 8, FAULTS_MAX * 16, tapeBytes]);
    const end = PAGE + bytes.length;
    this.#wasm.frameLines(PAGE, end, spans, SPANS_MAX, faults, FAULTS_MAX, taped ? tape : 0);
    const framed = this.#framed(spans, faults);
    const { buffer } = this.#wasm.memory;
    const [tapeLength = 0, longNumbers] = new Uint32Array(buffer, RESULT + 20, 2);
    if (longNumbers === 0) this.#plainNumbers.add(framed.spans);
    if (taped) {
      const length = tapeLength / 4;
      this.#tapes.set(framed.spans, new Uint32Array(buffer, tape, length).slice());
    }
    return framed;
  }

  /** Whether framing has seen that each number of these records fits into a double. */
  hasPlainNumbers(spans: Uint32Array): boolean {
    return this.#plainNumbers.has(spans);
  }

  /** Cuts `bytes` into CSV rows of `fields` fields. The end of `bytes` ends the last row. */
  frameRows(bytes: Uint8Array, dialect: { delimiter: number; quote: number; fields: number }): FramedLines {
    const [spans, faults] = this.#place(bytes, [SPANS_MAX * 8, FAULTS_MAX * 16]);
    const { delimiter, quote, fields } = dialect;
    const end = PAGE + bytes.length;
    this.#wasm.frameRows(PAGE, end, delimiter, quote, fields, spans, SPANS_MAX, faults, FAULTS_MAX);
    return this.#framed(spans, faults);
  }

  /** Cuts `bytes` into rows of binary COPY, up to the end, the trailer or what is no row. */
  frameCopy(bytes: Uint8Array, fields: number): FramedCopy {
    const [spans] = this.#place(bytes, [SPANS_MAX * 8]);
    this.#wasm.frameCopy(PAGE, PAGE + bytes.length, fields, spans, SPANS_MAX);
    const { buffer } = this.#wasm.memory;
    const [count = 0, fault = 0, ended = 0, consumed = 0, found = 0] = new Uint32Array(buffer, RESULT, 5);
    return {
      spans: new Uint32Array(buffer, spans, count * 2).slice(),
      consumed,
      ended: ended === 1,
      fault: fault === 0 ? undefined : (FAULTS[fault] as Fault),
      found,
    };
  }

  /**
   * Takes the heads of CopyData messages out of what a server sent. Stops at a head that is cut off, and at any other
   * message. `pending`: bytes at the start whose head came before.
   */
  unframeCopy(bytes: Uint8Array, pending: number): UnframedCopy {
    const [out] = this.#place(bytes, [bytes.length]);
    this.#wasm.unframeCopy(PAGE, PAGE + bytes.length, pending, out);
    const { buffer } = this.#wasm.memory;
    const [length = 0, consumed = 0, rest = 0] = new Uint32Array(buffer, RESULT, 3);
    return { data: new Uint8Array(buffer, out, length), consumed, pending: rest };
  }

  /** Cuts `bytes` into lines of text COPY of `fields` fields. The end of `bytes` ends the last line. */
  frameCopyText(bytes: Uint8Array, fields: number): FramedLines {
    const [spans, faults] = this.#place(bytes, [SPANS_MAX * 8, FAULTS_MAX * 16]);
    this.#wasm.frameCopyText(PAGE, PAGE + bytes.length, fields, spans, SPANS_MAX, faults, FAULTS_MAX);
    return this.#framed(spans, faults);
  }

  /** Keys and digests of a chunk in one go. What is `slow` the caller has to work out itself. */
  identify(
    bytes: Uint8Array,
    spans: Uint32Array,
    wants: IdentityWants,
    room?: IdentityRoom,
  ): { readonly keys: Scan; readonly digests: Scan } {
    const count = spans.length / 2;
    const tape = this.#tapes.get(spans);
    const members = wants.exclude !== null ? longest(spans) + MEMBER_ROOM : 0;
    const sizes = [spans.byteLength, tape?.byteLength ?? 0, count * 16, count, count * 8, count, members] as const;
    const [at, tapeAt, keys, keyStates, digests, digestStates, scratch] = this.#place(bytes, sizes, spans);
    if (tape !== undefined) new Uint32Array(this.#wasm.memory.buffer, tapeAt, tape.length).set(tape);
    this.#writeSeed(wants.seed);
    const places = { at, count, tapeAt, tapeEnd: tapeAt + (tape?.byteLength ?? 0) };
    const oddKeys = this.#keys(wants.key, places, keys, keyStates);
    const oddDigests = this.#digests(wants.exclude, places, digests, digestStates, scratch);
    const states = (from: number, odd: number): Uint8Array => this.#read(from, odd === 0 ? 0 : count);
    return {
      keys: {
        out: this.#read(keys, count * 16, room?.of('keys', count * 16)),
        states: states(keyStates, oddKeys),
        special: oddKeys,
      },
      digests: {
        out: this.#read(digests, count * 8, room?.of('digests', count * 8)),
        states: states(digestStates, oddDigests),
        special: oddDigests,
      },
    };
  }

  #keys(key: IdentityWants['key'], places: Places, out: number, states: number): number {
    const { at, count, tapeAt, tapeEnd } = places;
    if (key === null) {
      this.#wasm.hashSpansWide(PAGE, at, count, out);
      return this.#allStates(states, count, SCAN_STATE.complete);
    }
    if ('copy' in key) return this.#copyKeys(key, places, out, states);
    if ('fields' in key) {
      const { fields } = key;
      if (fields.length > NAMES_MAX) return this.#allStates(states, count, SCAN_STATE.slow);
      new Uint32Array(this.#wasm.memory.buffer, NAMES, fields.length).set(fields);
      return this.#wasm.keysOfRows(PAGE, at, count, fields.length, Math.max(...fields), out, states);
    }
    const { length } = key.names;
    if (!this.#writeNames(key.names)) return this.#allStates(states, count, SCAN_STATE.slow);
    if (tapeEnd === tapeAt) return this.#wasm.keysOfLines(PAGE, at, count, length, out, states);
    return this.#wasm.keysOfTape(PAGE, at, count, tapeAt, tapeEnd, length, out, states);
  }

  #copyKeys({ copy, binary }: CopyKey, { at, count }: Places, out: number, states: number): number {
    if (copy.length > NAMES_MAX) return this.#allStates(states, count, SCAN_STATE.slow);
    const list = copy.flatMap(({ field, kind }) => [field, kind]);
    new Uint32Array(this.#wasm.memory.buffer, NAMES, list.length).set(list);
    const last = Math.max(...copy.map(({ field }) => field));
    const keysOf = binary ? this.#wasm.keysOfCopy : this.#wasm.keysOfCopyText;
    return keysOf(PAGE, at, count, copy.length, last, out, states);
  }

  #digests(
    exclude: readonly string[] | null,
    { at, count }: Places,
    out: number,
    states: number,
    scratch: number,
  ): number {
    if (exclude !== null) {
      if (!this.#writeNames(exclude)) return this.#allStates(states, count, SCAN_STATE.slow);
      return this.#wasm.columnDigests(PAGE, at, count, exclude.length, out, states, scratch);
    }
    this.#wasm.hashSpans(PAGE, at, count, out);
    return this.#allStates(states, count, SCAN_STATE.complete);
  }

  #allStates(at: number, count: number, state: number): number {
    new Uint8Array(this.#wasm.memory.buffer, at, count).fill(state);
    return state === SCAN_STATE.complete ? 0 : count;
  }

  /** SipHash-1-3 of each stretch: 8 bytes each, little-endian. */
  hashSpans(bytes: Uint8Array, spans: Uint32Array, seed: Uint8Array): Uint8Array {
    const count = spans.length / 2;
    const [at, out] = this.#place(bytes, [spans.byteLength, count * 8], spans);
    this.#writeSeed(seed);
    this.#wasm.hashSpans(PAGE, at, count, out);
    return this.#read(out, count * 8);
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
    if (names.length > NAMES_MAX || names.some((name) => NEEDS_ESCAPES.test(name))) return false;
    const memory = Buffer.from(this.#wasm.memory.buffer, 0, NAMES_END);
    let at = NAME_BYTES;
    for (const [index, name] of names.entries()) {
      const length = Buffer.byteLength(name);
      // The kernel compares in blocks of 8 and may look a little past a name.
      if (at + length + 16 > NAMES_END) return false;
      memory.write(`${name}"`, at);
      memory.writeUInt32LE(at, NAMES + index * 8);
      memory.writeUInt32LE(length, NAMES + index * 8 + 4);
      at += length + 1;
    }
    return true;
  }

  #read(at: number, length: number, to: Uint8Array = new Uint8Array(length)): Uint8Array {
    to.set(new Uint8Array(this.#wasm.memory.buffer, at, length));
    return to;
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

interface Places {
  /** Of the spans. */
  readonly at: number;
  readonly count: number;
  readonly tapeAt: number;
  readonly tapeEnd: number;
}

function longest(spans: Uint32Array): number {
  let most = 0;
  for (let i = 0; i < spans.length; i += 2) most = Math.max(most, spans[i + 1]! - spans[i]!);
  return most;
}
