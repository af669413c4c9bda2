import { type Filtered, filterFields } from '../formats/columns/filter.ts';
import { convert } from '../formats/convert.ts';
import type { Converted } from '../formats/formats.ts';
import { isCopy } from '../formats/pgcopy/fields.ts';
import type { Framing } from '../model/batch.ts';
import type { Chunk, Format } from '../model/chunk.ts';
import type { Columns } from '../model/columns.ts';
import type { LaneJob } from './engine.ts';
import type { ChunkSchema } from './lane-schema.ts';
import type { Shape } from './pack.ts';

type Taking = Pick<LaneJob, 'sink' | 'mapping'>;

/** The records of a chunk as the sink takes them, without what the schema of the lane leaves out. */
export function convertedFor(
  chunk: Chunk,
  lane: Taking,
  { rule }: ChunkSchema = {},
): Partial<Filtered> & Pick<Filtered, 'converted'> {
  if (rule === undefined) return { converted: convert(chunk, formatFor(chunk, lane), lane.mapping) };
  // Fields can be left out of records that carry their names.
  return filterFields(convert(chunk, 'ndjson', lane.mapping), rule);
}

/** What the sink takes as it is stays as it is, unless a mapping has to look into it. */
function formatFor(chunk: Chunk, { sink, mapping }: Taking): Format {
  const asItIs = mapping === undefined && sink.accepts.some(({ format }) => format === chunk.format);
  return asItIs ? chunk.format : sink.accepts[0]!.format;
}

/** What has to be known to read the bytes of a batch. The first format that the sink accepts goes without saying. */
export function shapeIn(
  { format, columns, types }: Converted,
  accepts: readonly Framing[],
  needed: Columns | undefined,
): Shape {
  return {
    ...(columns === undefined ? {} : { columns }),
    ...(format === accepts[0]!.format ? {} : { format }),
    ...(types !== undefined && isCopy(format) ? { types } : {}),
    ...(needed === undefined || isCopy(format) ? {} : { types: needed }),
  };
}
