import { WaybillError } from '../model/errors.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const NESTED_MAX = 512;
const NAME_BYTES_MAX = 4096;

export function documentInvalid(what: string, hint?: string): WaybillError {
  return new WaybillError('SOURCE_INVALID', `the JSON document ${what}`, hint === undefined ? {} : { hint });
}

/** Walks a JSON document byte by byte to the array at a path, in memory that does not grow with the document. */
export class JsonPath {
  readonly #path: readonly string[];
  readonly #shown: string;
  /** The closing byte of each container that is open. */
  readonly #open: number[] = [];
  /** How many of the open containers lie on the path, from the outermost. */
  #onPath = 0;
  #inString = false;
  #escaped = false;
  #expectsName = false;
  /** The name of the member at hand, if its container lies on the path; raw while it is being read. */
  #name: string | undefined;
  #nameBytes: number[] | undefined;
  #begun = false;

  constructor(path: string) {
    this.#path = path === '' ? [] : path.split('.');
    this.#shown = path === '' ? 'the top' : `"${path}"`;
  }

  /** The outermost value has ended. */
  get complete(): boolean {
    return this.#begun && this.#open.length === 0 && !this.#inString;
  }

  notFound(): WaybillError {
    return documentInvalid(
      `has no array at ${this.#shown}`,
      'Say with `recordsAt` where its array of records is, or correct the format of the source.',
    );
  }

  foundTwice(): WaybillError {
    return documentInvalid(`has several arrays at ${this.#shown}: a name stands twice in one object`);
  }

  /** The caller has read the array up to its end. */
  leaveArray(): void {
    this.#leave(CLOSE_ARRAY);
  }

  /** True for the byte that opens the array. */
  step(code: number): boolean {
    if (this.#inString) {
      this.#stringByte(code);
      return false;
    }
    if (code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d) return false;
    if (this.complete) throw documentInvalid('goes on after its end');
    if (code === COLON) this.#expectsName = false;
    else if (code === COMMA) this.#expectsName = this.#open.at(-1) === CLOSE_OBJECT;
    else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) this.#leave(code);
    else if (code === QUOTE && this.#expectsName) this.#beginName();
    else return this.#value(code);
    return false;
  }

  #value(code: number): boolean {
    const level = this.#open.length;
    const onPath = level === this.#onPath && (level === 0 || this.#name === this.#path[level - 1]);
    const atTarget = onPath && level === this.#path.length;
    this.#begun = true;
    if (atTarget && code !== OPEN_ARRAY) {
      throw documentInvalid(
        `has no array at ${this.#shown} but ${startingWith(code)}`,
        'One object a line is the format `ndjson`; for an array deeper in it say `recordsAt`.',
      );
    }
    if (code === QUOTE) this.#inString = true;
    if (code !== OPEN_ARRAY && code !== OPEN_OBJECT) return false;
    if (level === NESTED_MAX) throw documentInvalid(`is nested deeper than ${NESTED_MAX} levels`);
    this.#open.push(code + 2);
    // A path leads through objects only.
    if (onPath && (code === OPEN_OBJECT || atTarget)) this.#onPath++;
    this.#expectsName = code === OPEN_OBJECT;
    return atTarget;
  }

  #beginName(): void {
    this.#inString = true;
    this.#name = undefined;
    this.#nameBytes = this.#open.length === this.#onPath ? [] : undefined;
  }

  #stringByte(code: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (code === BACKSLASH) this.#escaped = true;
    else if (code === QUOTE) {
      this.#inString = false;
      if (this.#nameBytes !== undefined) this.#name = decodeName(this.#nameBytes);
      this.#nameBytes = undefined;
      return;
    }
    // A longer name is none of a path; it is read over.
    if (this.#nameBytes !== undefined && this.#nameBytes.length < NAME_BYTES_MAX) this.#nameBytes.push(code);
  }

  #leave(code: number): void {
    if (this.#open.pop() !== code) throw documentInvalid('closes a bracket that is not open');
    this.#onPath = Math.min(this.#onPath, this.#open.length);
    this.#expectsName = false;
  }
}

function decodeName(bytes: readonly number[]): string | undefined {
  try {
    return JSON.parse(`"${Buffer.from(bytes).toString('utf8')}"`) as string;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What a value is, by its first byte. */
function startingWith(code: number): string {
  if (code === OPEN_OBJECT) return 'an object';
  return code === QUOTE ? 'a text' : 'a number, true, false or null';
}
