import type { Payload } from '../model/batch.ts';
import type { DataRecord } from '../model/chunk.ts';
import { canonicalText } from './canonical.ts';
import { encodeJson } from './encode.ts';
import { parseObject } from './rows.ts';

/** What a store of keys gets of a batch: the last record of each key. Those before it are replaced by it at once. */
export interface KeyedRecord {
  /** The text of each key column. The same value gives the same text in every process: 42, 42.0 and "42" are one. */
  readonly key: readonly string[];
  readonly record: DataRecord;
  /** Its encoded bytes, as they are frozen. */
  readonly bytes: Uint8Array;
  /** Places in the batch of all records with this key, in rising order. */
  readonly places: readonly number[];
}

/** A record that cannot be written under a key, or not as fields. */
export interface Unfit {
  readonly code: string;
  readonly message: string;
}

export interface KeyedBatch {
  readonly records: readonly KeyedRecord[];
  readonly unfit: ReadonlyMap<number, Unfit>;
}

const SURROGATE = /\p{Surrogate}/u;

/** `payload` holds NDJSON. */
export function keyedRecords(payload: Payload, columns: readonly string[]): KeyedBatch {
  const byKey = new Map<string, KeyedRecord & { places: number[] }>();
  const unfit = new Map<number, Unfit>();
  for (let at = 0; at < payload.spans.length / 2; at++) {
    const bytes = recordBytes(payload, at);
    const record = recordOf(bytes);
    const key = columns.map((column) => canonicalText(record[column]));
    const missing = columns.find((_, nth) => key[nth] === undefined);
    if (missing !== undefined) {
      unfit.set(at, { code: 'key-missing', message: `the key column ${JSON.stringify(missing)} is missing` });
      continue;
    }
    const broken = columns.find((_, nth) => SURROGATE.test(key[nth]!));
    if (broken !== undefined) {
      unfit.set(at, { code: 'key-unfit', message: `the key column ${JSON.stringify(broken)} holds half a character` });
      continue;
    }
    const name = JSON.stringify(key);
    const places = byKey.get(name)?.places ?? [];
    places.push(at);
    byKey.set(name, { key: key as string[], record, bytes, places });
  }
  return { records: [...byKey.values()], unfit };
}

export function recordBytes({ bytes, spans }: Payload, at: number): Uint8Array {
  return bytes.subarray(spans[at * 2], spans[at * 2 + 1]);
}

export function recordOf(bytes: Uint8Array): DataRecord {
  return parseObject(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
}

/**
 * Names and texts in turn, for stores whose values are all text: text as it is, numbers by their digits, lists and
 * objects as JSON. Null has no text and is left out.
 */
export function fieldTexts(record: DataRecord): readonly string[] | Unfit {
  const texts: string[] = [];
  for (const name of Object.keys(record)) {
    const value = record[name];
    if (value === null || value === undefined) continue;
    const text = typeof value === 'string' ? value : encodeJson(value);
    if (SURROGATE.test(name) || SURROGATE.test(text)) {
      return { code: 'text-unfit', message: `the field ${JSON.stringify(name)} holds half a character` };
    }
    texts.push(name, text);
  }
  return texts.length > 0 ? texts : { code: 'no-fields', message: 'the record has no field with a value' };
}
