import type { ColumnType } from '../../model/columns.ts';
import { unfit } from '../columns/unfit.ts';
import { type Items, itemsOf, itemType, jsonOfItems, readText } from '../columns/values.ts';
import { lengthsOf, storable, storableJson } from './binary-values.ts';

/**
 * Values as PostgreSQL's text form spells them: what its type functions print and read. The layer of COPY itself, with
 * its backslashes, is in `text-rows.ts`.
 */

/** From PostgreSQL's spelling to plain text. Dates have to be ISO 8601 (`DateStyle`). Throws VALUE_UNFIT. */
export function plainOfPg(type: ColumnType, text: string): string {
  if (type.array === true) return jsonOfItems(itemType(type), new ArrayText(itemType(type), text).items());
  if (type.kind === 'json' || type.kind === 'jsonb') return text;
  return readText(type, text);
}

/** The other way: what PostgreSQL reads. Throws VALUE_UNFIT for what it does not store. */
export function pgOfPlain(type: ColumnType, plain: string): string {
  if (type.array === true) return arrayText(itemType(type), type, plain);
  switch (type.kind) {
    case 'boolean':
      return plain === 'true' ? 't' : 'f';
    case 'bytes':
      return `\\x${Buffer.from(plain, 'base64').toString('hex')}`;
    case 'text':
      return storable(plain);
    case 'jsonb':
      return storableJson(plain);
    default:
      return plain;
  }
}

function arrayText(item: ColumnType, type: ColumnType, plain: string): string {
  const items = itemsOf(type, plain);
  if (items.length > 0) lengthsOf(items);
  const one = (value: Items[number]): string => {
    if (value === undefined) return 'NULL';
    return typeof value === 'string' ? quoted(pgOfPlain(item, value)) : braces(value);
  };
  const braces = (list: Items): string => `{${list.map(one).join(',')}}`;
  return braces(items);
}

const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;

/** `{1,NULL,"a b"}`, and braces within braces. */
class ArrayText {
  readonly #item: ColumnType;
  readonly #text: string;
  #at = 0;

  constructor(item: ColumnType, text: string) {
    this.#item = item;
    this.#text = text;
  }

  items(): Items {
    if (this.#text.startsWith('[')) throw unfit('is an array that does not begin at 1');
    const deep = this.#text.startsWith('{{');
    if (deep && (this.#item.kind === 'json' || this.#item.kind === 'jsonb')) {
      throw unfit('is an array of JSON of several dimensions, which no other form can tell from one');
    }
    const items = this.#braces();
    if (this.#at !== this.#text.length) throw unfit('is no array');
    return items;
  }

  #braces(): Items {
    const items: Items[number][] = [];
    if (this.#text[this.#at++] !== '{') throw unfit('is no array');
    if (this.#text[this.#at] === '}') {
      this.#at++;
      return items;
    }
    for (;;) {
      items.push(this.#text[this.#at] === '{' ? this.#braces() : this.#one());
      const next = this.#text[this.#at++];
      if (next === '}') return items;
      if (next !== ',') throw unfit('is no array');
    }
  }

  #one(): string | undefined {
    if (this.#text[this.#at] === '"') return plainOfPg(this.#item, this.#quoted());
    const start = this.#at;
    while (this.#at < this.#text.length && !',}'.includes(this.#text[this.#at]!)) this.#at++;
    const word = this.#text.slice(start, this.#at);
    return word === 'NULL' ? undefined : plainOfPg(this.#item, word.replaceAll(/\\(.)/gs, '$1'));
  }

  #quoted(): string {
    let text = '';
    for (this.#at++; this.#at < this.#text.length; this.#at++) {
      const letter = this.#text[this.#at]!;
      if (letter === '"') {
        this.#at++;
        return text;
      }
      text += letter === '\\' ? this.#text[++this.#at] : letter;
    }
    throw unfit('is no array');
  }
}
