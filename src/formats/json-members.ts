import { WaybillError } from '../model/errors.ts';

/**
 * The members of one JSON object with their values as they are spelled: for changes that must not touch a value, and
 * for the records that the kernel leaves to JavaScript. The text is known to be JSON; what is not is refused.
 */
export function rawMembers(text: string): Map<string, string> {
  return new MemberScan(text).members();
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

class MemberScan {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  members(): Map<string, string> {
    const members = new Map<string, string>();
    this.#expect('{');
    if (this.#peek() === '}') return members;
    for (;;) {
      const name = this.#name();
      this.#expect(':');
      this.#space();
      const start = this.#at;
      this.#skipValue();
      // A later member of the same name wins, in the place of the first, as in JSON.parse.
      members.set(name, this.#text.slice(start, this.#at));
      if (this.#peek() === '}') return members;
      this.#expect(',');
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
    for (let at = this.#at + 1; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) {
        this.#at = at + 1;
        return;
      }
    }
    this.#fail();
  }

  #skipValue(): void {
    const first = this.#text[this.#at];
    if (first === '"') this.#skipString();
    else if (first === '{' || first === '[') this.#skipNested();
    else this.#skipWord();
  }

  #skipWord(): void {
    const start = this.#at;
    while (this.#at < this.#text.length && !' \t\r\n,}]'.includes(this.#text[this.#at]!)) this.#at++;
    if (this.#at === start) this.#fail();
  }

  #skipNested(): void {
    let depth = 0;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at]!;
      if (character === '"') {
        this.#skipString();
        continue;
      }
      this.#at++;
      if (character === '{' || character === '[') depth++;
      if ((character === '}' || character === ']') && --depth === 0) return;
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

  #peek(): string | undefined {
    this.#space();
    return this.#text[this.#at];
  }

  #expect(character: string): void {
    if (this.#peek() !== character) this.#fail();
    this.#at++;
  }

  #fail(): never {
    throw new WaybillError('JSON_INVALID', `a record is not a JSON object (character ${this.#at + 1})`);
  }
}
