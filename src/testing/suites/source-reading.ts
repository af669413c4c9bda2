import { Buffer } from 'node:buffer';
import type { ReadRange, Source } from '../../connectors/connector.ts';
import { encodeRecord } from '../../formats/encode.ts';
import { rows } from '../../formats/rows.ts';
import type { Chunk } from '../../model/chunk.ts';
import { expect } from './expect.ts';

/** Every chunk of a reading. */
export async function readAll(
  source: Source,
  range: ReadRange,
  signal: AbortSignal = new AbortController().signal,
): Promise<readonly Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const chunk of source.read(range, signal)) chunks.push(chunk);
  return chunks;
}

/** The records of chunks in one spelling, whatever their format. */
export const textsOf = (chunks: readonly Chunk[]): readonly string[] =>
  chunks.flatMap((chunk) => [...rows(chunk)].map(encodeRecord));

/** The records of a chunk as they are encoded. */
export function recordsOf({ bytes, spans, count, columns }: Chunk): readonly string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = columns === undefined ? '' : `${columns.join('|')}: `;
  return Array.from({ length: count }, (_, at) => header + buffer.toString('latin1', spans[at * 2], spans[at * 2 + 1]));
}

export function expectWellFormed(chunk: Chunk, source: Source): void {
  expect(source.emits, 'the formats that the source says it emits').toContain(chunk.format);
  expect(chunk.spans.length, 'a start and an end for each record').toBe(chunk.count * 2);
  expect(chunk.firstRow, 'the number of the first record').toBeGreaterThan(0);
  const named = chunk.columns !== undefined;
  expect(named, 'NDJSON names its columns itself, others say them').toBe(chunk.format !== 'ndjson');
  const types = chunk.types?.map(({ name }) => name);
  if (chunk.format.startsWith('pgcopy')) expect(types, 'rows of COPY have types').toEqual(chunk.columns);
  expect(misplaced(chunk), 'records that are empty, out of order or out of bounds').toEqual([]);
  const broken = chunk.format === 'ndjson' ? recordsOf(chunk).filter((text) => /[\r\n]/.test(text)) : [];
  expect(broken, 'records with a line end within').toEqual([]);
}

function misplaced({ spans, bytes, count }: Chunk): readonly number[] {
  return Array.from({ length: count }, (_, at) => at).filter((at) => {
    const [before, start, end] = [at === 0 ? 0 : spans[at * 2 - 1]!, spans[at * 2]!, spans[at * 2 + 1]!];
    return start < before || end <= start || end > bytes.length;
  });
}
