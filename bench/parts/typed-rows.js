// A table with eight columns of seven types, about 140 bytes a row in binary COPY, and the files that hold it.
import { readFileSync, writeFileSync } from 'node:fs';
import { openParquet } from '../../build/formats/parquet/read.js';
import { ParquetFile } from '../../build/formats/parquet/write.js';
import { COPY_HEADER, COPY_TRAILER } from '../../build/formats/pgcopy/binary-framer.js';
import { CopyWriter } from '../../build/formats/pgcopy/copy-writer.js';

const column = (name, kind, digits = {}) => ({ name, type: { kind, ...digits }, nullable: true });
export const COLUMNS = [
  column('id', 'int64'),
  column('uuid', 'uuid'),
  column('name', 'text'),
  column('city', 'text'),
  column('amount', 'decimal', { precision: 12, scale: 2 }),
  column('score', 'float64'),
  column('active', 'boolean'),
  column('created', 'timestamptz'),
];

export function typedRow(i) {
  return [
    String(1_000_000 + i),
    `3f2b8c1e-${String(i % 10_000).padStart(4, '0')}-4d5a-9b7e-${String(i).padStart(12, '0')}`,
    `Person number ${i} with a name`,
    i % 3 === 0 ? 'São Paulo' : 'Amsterdam',
    `${(i * 137) % 100_000}.${String(i % 100).padStart(2, '0')}`,
    String(i * 0.25),
    i % 2 === 0 ? 'true' : 'false',
    `2026-11-19T08:${String(i % 60).padStart(2, '0')}:00.123456+00:00`,
  ];
}

/** Writes the table in both forms of COPY. */
export function writeCopyFiles({ binary, text }, rows) {
  const writers = { binary: new CopyWriter('pgcopy', COLUMNS), text: new CopyWriter('pgcopy-text', COLUMNS) };
  for (let i = 0; i < rows; i++) for (const writer of Object.values(writers)) writer.add(typedRow(i));
  writeFileSync(binary, Buffer.concat([COPY_HEADER, writers.binary.finish().bytes, COPY_TRAILER]));
  writeFileSync(text, Buffer.concat([writers.text.finish().bytes, Buffer.from('\n')]));
}

export async function writeParquet(path, rows) {
  const file = new ParquetFile(COLUMNS);
  for (let i = 0; i < rows; i++) file.add(typedRow(i));
  writeFileSync(path, await file.finish());
  return rows;
}

export async function readParquet(path) {
  const bytes = readFileSync(path);
  const read = async (start, end) => Uint8Array.from(bytes.subarray(start, end)).buffer;
  const opened = await openParquet({ size: bytes.length, read });
  let count = 0;
  for await (const chunk of opened.chunks(0, new AbortController().signal)) count += chunk.count;
  return count;
}
