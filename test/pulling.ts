import type { Look, ReadRange, Source } from '../src/connectors/connector.ts';
import { rows } from '../src/formats/rows.ts';
import type { Chunk } from '../src/model/chunk.ts';
import type { Position } from '../src/model/position.ts';
import { ALL } from '../src/model/window.ts';

type PullRange = ReadRange & { readonly pull: NonNullable<ReadRange['pull']> };

/** What a pull that goes on from a position asks a source for. */
export function pullRange(from?: Position): PullRange {
  // The sources that are pulled from like this keep no downloads.
  const pull = { taken: async () => new Set<string>(), downloads: '/nonexistent' };
  return { window: ALL, parameters: {}, pull, ...(from === undefined ? {} : { from }) };
}

/** What an engine would commit of a pull: nothing behind the last `end`. */
export interface Pulled {
  readonly records: readonly Record<string, unknown>[];
  readonly end: Position | undefined;
  readonly rejects: readonly string[];
  /** What ended it before it was through. */
  readonly error?: unknown;
}

/** Reads until the end, an error or `stop`. */
export async function pulled(source: Source, from?: Position, signal = new AbortController().signal): Promise<Pulled> {
  const committed: Chunk[] = [];
  let open: Chunk[] = [];
  const result = (): Omit<Pulled, 'error'> => ({
    records: committed.flatMap((chunk) => [...rows(chunk)].map((record) => ({ ...record }))),
    rejects: committed.flatMap((chunk) => (chunk.rejects ?? []).map(({ message }) => message)),
    end: committed.at(-1)?.end,
  });
  try {
    for await (const chunk of source.read(pullRange(from), signal)) {
      open.push(chunk);
      if (chunk.end === undefined) continue;
      committed.push(...open);
      open = [];
    }
    return result();
  } catch (error) {
    return { ...result(), error };
  }
}

export async function looked(source: Source, from?: Position): Promise<Look> {
  return await source.pulls!.look(pullRange(from), new AbortController().signal);
}
