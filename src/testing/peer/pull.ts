import type { Look, PullRange, ReadRange, Source } from '../../connectors/connector.ts';
import { rows } from '../../formats/rows.ts';
import type { Chunk, DataRecord } from '../../model/chunk.ts';
import type { Position } from '../../model/position.ts';
import { ALL } from '../../model/window.ts';

export interface PullOptions {
  readonly downloads: string;
  readonly from?: Position | undefined;
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  readonly parameters?: ReadRange['parameters'];
}

/** What one pull has brought: what was found, the records that commits would hold, and where the source stands. */
export interface Pulled {
  readonly look: Look;
  readonly records: readonly DataRecord[];
  /** The position of each commit, in order. */
  readonly ends: readonly Position[];
  /** Undefined: nothing was committed. */
  readonly end: Position | undefined;
}

/** Looks, and reads what is new, as the app does; keeps nothing of what stands at no end, as the engine does. */
export async function pull(source: Source, options: PullOptions): Promise<Pulled> {
  const range = rangeOf(options);
  const signal = options.signal ?? new AbortController().signal;
  const look = await source.pulls!.look(range, signal);
  if (look.kind !== 'new') return { look, records: [], ends: [], end: undefined };
  return { look, ...(await readPull(source, options)) };
}

export async function readPull(source: Source, options: PullOptions): Promise<Omit<Pulled, 'look'>> {
  const records: DataRecord[] = [];
  const ends: Position[] = [];
  let open: DataRecord[] = [];
  for await (const chunk of source.read(rangeOf(options), options.signal ?? new AbortController().signal)) {
    open.push(...rows(chunk as Chunk));
    if (chunk.end === undefined) continue;
    records.push(...open);
    ends.push(chunk.end);
    open = [];
  }
  return { records, ends, end: ends.at(-1) };
}

function rangeOf({ downloads, from, force, parameters }: PullOptions): ReadRange & { readonly pull: PullRange } {
  return {
    window: { ...ALL, name: 'pull-000001' },
    parameters: parameters ?? {},
    ...(from === undefined ? {} : { from }),
    pull: { taken: async () => new Set<string>(), downloads, ...(force === undefined ? {} : { force }) },
  };
}
