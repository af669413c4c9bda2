import type { Look, PullRange, ReadRange, Source } from '../src/connectors/connector.ts';
import { encodeRecord } from '../src/formats/encode.ts';
import { rows } from '../src/formats/rows.ts';
import type { Chunk, Format } from '../src/model/chunk.ts';
import type { Position } from '../src/model/position.ts';
import { ALL, type Parameters } from '../src/model/window.ts';

export interface Asked {
  readonly from?: Position | undefined;
  readonly takes?: readonly Format[];
  readonly parameters?: Parameters;
  /** The reading breaks off behind so many chunks. */
  readonly chunks?: number;
}

const pullRange: PullRange = { taken: async () => new Set(), downloads: '/nowhere' };
export type PulledRange = ReadRange & { readonly pull: PullRange };

export function rangeOf({ from, takes, parameters = {} }: Asked): PulledRange {
  return {
    window: ALL,
    parameters,
    pull: pullRange,
    ...(from === undefined ? {} : { from }),
    ...(takes === undefined ? {} : { takes }),
  };
}

export interface Pulled {
  /** What a ledger would have committed: nothing behind the last position. */
  readonly records: readonly Readonly<Record<string, unknown>>[];
  readonly texts: readonly string[];
  readonly position: Position | undefined;
  readonly chunks: readonly Chunk[];
}

/** One pull as the engine makes it: records count only up to a chunk that says where the source stands. */
export async function pull(source: Source, asked: Asked = {}): Promise<Pulled> {
  const chunks: Chunk[] = [];
  const committed: Chunk[] = [];
  let position = asked.from;
  let read = 0;
  for await (const chunk of source.read(rangeOf(asked), new AbortController().signal)) {
    chunks.push(chunk);
    if (chunk.end !== undefined) {
      committed.push(...chunks.splice(0));
      position = chunk.end;
    }
    read += 1;
    if (read === asked.chunks) break;
  }
  const records = committed.flatMap((chunk) => [...rows(chunk)]);
  return { records, texts: records.map(encodeRecord), position, chunks: committed };
}

export async function look(source: Source, asked: Asked = {}): Promise<Look> {
  return await source.pulls!.look(rangeOf(asked), new AbortController().signal);
}

/** The values that a position of a cursor names. */
export const valuesOf = (position: Position | undefined): unknown =>
  (JSON.parse(position?.value ?? '{}') as { values?: unknown }).values;
