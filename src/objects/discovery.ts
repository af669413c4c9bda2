import type { Discovered } from '../connectors/connector.ts';
import { inferColumns } from '../formats/columns/infer.ts';
import type { Chunk } from '../model/chunk.ts';
import { type Columns, showColumnType } from '../model/columns.ts';
import { WaybillError } from '../model/errors.ts';
import { placeholdersOf } from './paths.ts';
import { fileRecords, nothingFound, type ReadingOptions } from './reading.ts';

/**
 * The columns of what a path or a pattern names, as the last file by name has them: it is read to its first records and
 * no further. Types are those that the file or the settings tell, or as wide as those records need.
 */
export async function discoverRecords(options: ReadingOptions, signal: AbortSignal): Promise<readonly Discovered[]> {
  const { pattern } = options;
  if (placeholdersOf(pattern).length > 0) {
    throw new WaybillError('USAGE', `${pattern} is filled in by each run, so nobody knows which file is meant`, {
      hint: 'Write the path of one file there for as long as you look at it.',
      ids: { pattern },
    });
  }
  const file = (await options.shelf.list(pattern, signal)).at(-1);
  if (file === undefined) {
    nothingFound(options, pattern);
    return [];
  }
  return [await discovered(file.name, fileRecords(options, file, { signal }))];
}

/** What the first chunk with a record tells, or what the last one tells where there is none. */
export async function discovered(name: string, chunks: AsyncIterable<Omit<Chunk, 'end'>>): Promise<Discovered> {
  let columns: Columns = [];
  for await (const chunk of chunks) {
    columns = chunk.types ?? chunk.described ?? inferColumns(chunk);
    if (chunk.count > 0) break;
  }
  const shown = columns.map(({ name, type, nullable }) => ({ name, type: showColumnType(type), nullable }));
  return { name, columns: shown, key: [], cursors: [] };
}

/** Of a connection alone nobody knows what there holds records, and in which form. */
export function needsFlow(type: string): WaybillError {
  return new WaybillError('USAGE', `a connection of the type ${type} does not tell what it holds`, {
    hint: 'Name a flow that reads from it: the columns of what its `path` leads to are shown.',
  });
}
