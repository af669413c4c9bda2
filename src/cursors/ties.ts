import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { canonicalNumber } from '../formats/canonical.ts';
import { rawMembers } from '../formats/json-members.ts';
import { textAt } from '../formats/record-text.ts';
import type { Chunk, Format } from '../model/chunk.ts';
import type { RowColumns } from './place.ts';

/** Rows with the same cursor value that a position can name; with more, the key has to be part of the cursor. */
export const TIES_MAX = 1000;
const DIGEST_BYTES = 12;
/** Types whose values have more than one spelling each. */
const NUMBERS: ReadonlySet<string> = new Set(['numeric', 'decimal', 'number']);

/** A chunk of rows in the order of the cursor, and the values of its columns for the row at a place. */
export interface CursorRows {
  readonly chunk: Omit<Chunk, 'end'>;
  /** Texts as the server reads them. */
  valuesAt(place: number): readonly string[];
}

/** Reads the values of the cursor's columns out of records of JSON, with the digits that they are written with. */
export function valuesInJson(chunk: Omit<Chunk, 'end'>, columns: readonly string[]): CursorRows['valuesAt'] {
  return (place) => {
    const members = rawMembers(textAt(chunk, place));
    return columns.map((column) => {
      const raw = members.get(column) ?? '""';
      return raw.startsWith('"') ? (JSON.parse(raw) as string) : raw;
    });
  };
}

/**
 * What stands for one row among those with the same value. Of its bytes and not of its key: a row that was changed
 * again within the same tick of its clock is another one, and must not be taken for the one that was read.
 */
export function rowDigest({ bytes, spans }: Pick<Chunk, 'bytes' | 'spans'>, place: number): string {
  const row = bytes.subarray(spans[place * 2], spans[place * 2 + 1]);
  return createHash('sha256').update(row).digest().subarray(0, DIGEST_BYTES).toString('base64url');
}

/** The columns of the rows of a chunk; undefined where it does not say them. */
export function rowColumns(chunk: Pick<Chunk, 'types' | 'described'>): RowColumns | undefined {
  const names = namesOf(chunk);
  return names === undefined ? undefined : { count: names.length, names: digestOfNames(names) };
}

const namesOf = ({ types, described }: Pick<Chunk, 'types' | 'described'>): readonly string[] | undefined =>
  (types ?? described)?.map(({ name }) => name);

const digestOfNames = (names: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(names)).digest().subarray(0, DIGEST_BYTES).toString('base64url');

/**
 * The digest that a row had when it had only the columns of the position. A table that got more columns behind the
 * others has the same rows as before; that of any other change is not known, and its rows count as new.
 */
function digestIn(chunk: Omit<Chunk, 'end'>, of: RowColumns | undefined): (place: number) => string {
  const names = namesOf(chunk);
  const grown = of !== undefined && names !== undefined && names.length > of.count;
  if (!grown || digestOfNames(names.slice(0, of.count)) !== of.names) return (place) => rowDigest(chunk, place);
  const first = chunk.format === 'pgcopy' ? firstFields : firstMembers;
  return (place) => {
    const bytes = first(chunk, place, of.count);
    return rowDigest({ bytes, spans: Uint32Array.of(0, bytes.length) }, 0);
  };
}

function firstFields({ bytes, spans }: Omit<Chunk, 'end'>, place: number, count: number): Uint8Array {
  const row = Buffer.from(bytes.subarray(spans[place * 2], spans[place * 2 + 1]));
  let at = 2;
  for (let nth = 0; nth < count; nth++) at += 4 + Math.max(row.readInt32BE(at), 0);
  row.writeInt16BE(count, 0);
  return row.subarray(0, at);
}

function firstMembers(chunk: Omit<Chunk, 'end'>, place: number, count: number): Uint8Array {
  const members = [...rawMembers(textAt(chunk, place))].slice(0, count);
  return Buffer.from(`{${members.map(([name, raw]) => `${JSON.stringify(name)}:${raw}`).join(',')}}`);
}

/**
 * The rows that are not among those that were read before; equal ones are told apart by how many there are. `of`: the
 * columns of those that were read before.
 */
export function withoutSeen<C extends Omit<Chunk, 'end'>>(chunk: C, seen: Map<string, number>, of?: RowColumns): C {
  const digestOf = digestIn(chunk, of);
  const spans: number[] = [];
  for (let place = 0; place < chunk.count; place++) {
    const digest = digestOf(place);
    const left = seen.get(digest) ?? 0;
    if (left > 0) seen.set(digest, left - 1);
    else spans.push(chunk.spans[place * 2]!, chunk.spans[place * 2 + 1]!);
  }
  return { ...chunk, spans: Uint32Array.from(spans), count: spans.length / 2 };
}

export function countSeen(digests: readonly string[]): Map<string, number> {
  const seen = new Map<string, number>();
  for (const digest of digests) seen.set(digest, (seen.get(digest) ?? 0) + 1);
  return seen;
}

/** Where rows end that were all read up to there. */
export interface TieEnd {
  readonly values: readonly string[];
  readonly seen: readonly string[];
  readonly as: Format;
  readonly of?: RowColumns;
}

/** Follows a reading and knows the rows at its end that share one value, over as many chunks as they fill. */
export class Ties {
  readonly #types: readonly string[];
  #values: readonly string[] | undefined;
  #same = '';
  #seen: string[] = [];
  #over = false;

  constructor(types: readonly string[]) {
    this.#types = types;
  }

  /** The values of the last row, also when too many rows share them. */
  get values(): readonly string[] | undefined {
    return this.#values;
  }

  /** Where the reading stands behind these rows. Undefined: more rows share the value than a position can name. */
  add({ chunk, valuesAt }: CursorRows): TieEnd | undefined {
    if (chunk.count > 0) this.#follow(chunk, valuesAt);
    if (this.#over || this.#values === undefined) return undefined;
    const of = rowColumns(chunk);
    const end = { values: this.#values, seen: [...this.#seen], as: chunk.format };
    return of === undefined ? end : { ...end, of };
  }

  #follow(chunk: CursorRows['chunk'], valuesAt: CursorRows['valuesAt']): void {
    const last = chunk.count - 1;
    const values = valuesAt(last);
    const same = this.#spelled(values);
    let first = last;
    while (first > 0 && this.#spelled(valuesAt(first - 1)) === same && last - first < TIES_MAX) first--;
    // The tie began before this chunk only where the chunk holds nothing else.
    if (same !== this.#same || first > 0) {
      this.#seen = [];
      this.#over = false;
    }
    this.#values = values;
    this.#same = same;
    this.#over ||= this.#seen.length + last - first + 1 > TIES_MAX;
    if (this.#over) this.#seen = [];
    else for (let place = first; place <= last; place++) this.#seen.push(rowDigest(chunk, place));
  }

  /** Equal for values that the server holds to be equal: 1.50 is 1.5. */
  #spelled(values: readonly string[]): string {
    const plain = values.map((value, at) => (NUMBERS.has(this.#types[at] ?? '') ? canonicalNumber(value) : value));
    return JSON.stringify(plain);
  }
}
