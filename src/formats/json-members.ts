import { WaybillError } from '../model/errors.ts';

/**
 * The members of one JSON object with their values as they are spelled: for changes that must not touch a value, and
 * for the records that the kernel leaves to JavaScript. The text is known to be JSON; what is not is refused.
 */
export function rawMembers(text: string): Map<string, string> {
  return new MemberScan(text).members();
}

/** The items of one JSON array as they are spelled. */
export function rawItems(text: string): string[] {
  return new MemberScan(text).items();
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const isOpening = (code: number) => code === 0x7b || code === 0x5b;
const isClosing = (code: number) => code === 0x7d || code === 0x5d;

class MemberScan {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  members(): Map<string, string> {
    const members = new Map<string, string>();
    this.#expect(OPEN);
    if (this.#takes(CLOSE)) return members;
    for (;;) {
      const name = this.#name();
      this.#expect(COLON);
      this.#space();
      const start = this.#at;
      this.#skipValue();
      // A later member of the same name wins, in the place of the first, as in JSON.parse.
      members.set(name, this.#text.slice(start, this.#at));
      if (this.#takes(CLOSE)) return members;
      this.#expect(COMMA);
    }
  }

  items(): string[] {
    const items: string[] = [];
    this.#expect(OPEN_ARRAY);
    if (this.#takes(CLOSE_ARRAY)) return items;
    for (;;) {
      this.#space();
      const start = this.#at;
      this.#skipValue();
      items.push(this.#text.slice(start, this.#at));
      if (this.#takes(CLOSE_ARRAY)) return items;
      this.#expect(COMMA);
    }
  }

  #name(): string {
    this.#space();
    const start = this.#at;
    if (this.#text.charCodeAt(start) !== QUOTE) this.#fail();
    this.#skipString();
    const plain = this.#text.slice(start + 1, this.#at - 1);
    return plain.includes('\\') ? (JSON.parse(this.#text.slice(start, this.#at)) as string) : plain;
  }

  #skipString(): void {
    const text = this.#text;
    for (let at = text.indexOf('"', this.#at + 1); at >= 0; at = text.indexOf('"', at + 1)) {
      let escapes = 0;
      while (text.charCodeAt(at - 1 - escapes) === BACKSLASH) escapes++;
      if (escapes % 2 === 1) continue;
      this.#at = at + 1;
      return;
    }
    this.#fail();
  }

  #skipValue(): void {
    const first = this.#text.charCodeAt(this.#at);
    if (first === QUOTE) this.#skipString();
    else if (isOpening(first)) this.#skipNested();
    else this.#skipWord();
  }

  #skipWord(): void {
    const text = this.#text;
    const start = this.#at;
    let at = start;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code <= 0x20 || code === COMMA || isClosing(code)) break;
    }
    this.#at = at;
    if (at === start) this.#fail();
  }

  #skipNested(): void {
    let depth = 0;
    while (this.#at < this.#text.length) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === QUOTE) {
        this.#skipString();
        continue;
      }
      this.#at++;
      if (isOpening(code)) depth++;
      if (isClosing(code) && --depth === 0) return;
    }
    this.#fail();
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x09 && code !== 0x0d && code !== 0x0a) return;
      this.#at++;
    }
  }

  /** Whether this character comes next; steps over it if so. */
  #takes(code: number): boolean {
    this.#space();
    if (this.#text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  #expect(code: number): void {
    if (!this.#takes(code)) this.#fail();
  }

  #fail(): never {
    throw new WaybillError('JSON_INVALID', `a record is not a JSON object (character ${this.#at + 1})`);
  }
}
