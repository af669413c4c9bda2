import type { Source } from '../connectors/connector.ts';
import type { Chunk } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { type SourceRange, showRange } from '../model/range.ts';
import { formatOf, knownFormat, lineFramerOf, type RecordFormat } from './record-format.ts';
import type { Shelf } from './shelf.ts';

const PACKED = /\.gz$/i;
const LINES: ReadonlySet<string> = new Set(['csv', 'ndjson']);

/** Whether parts of a file can be read by themselves: its records are lines, and lie there as they are. */
export const hasParts = (name: string, options: RecordFormat): boolean =>
  !PACKED.test(name) && LINES.has(formatOf(name, options));

/** Present where some file that the pattern names may have parts. */
export function rereading(
  options: RecordFormat & { readonly shelf: Shelf; readonly pattern: string },
): Pick<Source, 'reread'> {
  const { shelf, pattern } = options;
  const { parts } = shelf;
  const format = knownFormat(pattern, options);
  if (parts === undefined || PACKED.test(pattern) || (format !== undefined && !LINES.has(format))) return {};
  return {
    async *reread(range, signal) {
      const bytes = await parts.part(range, signal);
      signal.throwIfAborted();
      yield* framed(bytes, range, options);
    },
  };
}

/** The records that begin in these bytes; all of them do, since a range ends where one ends. */
function* framed(bytes: Uint8Array, range: SourceRange, options: RecordFormat): Generator<Chunk> {
  const { object, from, row, columns } = range;
  // The byte order mark and the names of the fields lie before every range, where there are any.
  const framer = lineFramerOf(object, options, { offset: Math.max(1, Number(from)), row, line: 1, columns });
  for (const { endOffset: _end, startOffset: _start, where: _where, ...chunk } of [
    ...framer.push(bytes),
    ...framer.end(),
  ])
    yield chunk;
}

/** How a source says that a range of it is not to be had any more. */
export function rangeLost(range: SourceRange, why: string, cause?: unknown): WaybillError {
  return new WaybillError('RANGE_LOST', `${showRange(range)}: ${why}`, {
    cause,
    ids: { object: range.object, version: range.keptAs ?? range.version },
  });
}
