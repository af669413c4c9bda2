import { createHash } from 'node:crypto';
import type * as Lance from '@lancedb/lancedb';
import type * as Arrow from 'apache-arrow';
import { rowTexts } from './collected.ts';

const LANES = 4;

/**
 * The same for the same rows in any order and any files. Where rows have ids that a compaction keeps, an id and the
 * version that changed it last stand for all of the row: a version is counted once and no row is changed twice in it.
 */
export async function contentDigest(arrow: typeof Arrow, table: Lance.Table, stable: boolean): Promise<string> {
  const { fields } = await table.schema();
  const names = fields.map(({ name }) => name);
  const sums = new Uint32Array(LANES);
  let rows = 0;
  const query = table.query().select(stable ? ['_rowid', '_row_last_updated_at_version'] : names);
  for await (const batch of query) {
    const part = new arrow.Table(batch);
    rows += part.numRows;
    if (stable) addPairs(part, sums);
    else addRows(arrow, part, names, sums);
  }
  const shape = fields.map((field) => `${field.name}:${String(field.type)}`);
  return createHash('sha256')
    .update(JSON.stringify([stable, shape, rows, ...sums]))
    .digest('hex')
    .slice(0, 32);
}

function addPairs(part: Arrow.Table, sums: Uint32Array): void {
  const [ids, versions] = ['_rowid', '_row_last_updated_at_version'].map((name) => wordsOf(part.getChild(name)!));
  for (let at = 0; at < part.numRows * 2; at += 2) {
    for (let lane = 0; lane < LANES; lane++) {
      const first = mixed(mixed(lane + 1, ids![at]!), ids![at + 1]!);
      sums[lane] = (sums[lane]! + mixed(mixed(first, versions![at]!), versions![at + 1]!)) >>> 0;
    }
  }
}

/** Two words of 32 bits for each number of 64. */
function wordsOf(column: Arrow.Vector): Uint32Array {
  const { buffer, byteOffset, length } = column.toArray() as BigUint64Array;
  return new Uint32Array(buffer, byteOffset, length * 2);
}

/** Every bit of either number may change every bit of this one; there are millions, so no digest for each. */
function mixed(hash: number, word: number): number {
  let mix = Math.imul(hash ^ word, 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return (mix ^ (mix >>> 16)) + 0x9e3779b9;
}

function addRows(arrow: typeof Arrow, part: Arrow.Table, names: readonly string[], sums: Uint32Array): void {
  for (const text of rowTexts(
    arrow,
    part,
    names.map((name) => ({ name })),
  ))
    addText(text, sums);
}

/** Sums do not ask for an order. */
function addText(text: string, sums: Uint32Array): void {
  const digest = createHash('sha256').update(text).digest();
  for (let lane = 0; lane < LANES; lane++) sums[lane] = (sums[lane]! + digest.readUInt32LE(lane * 4)) >>> 0;
}
