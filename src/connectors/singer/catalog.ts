import { WaybillError } from '../../model/errors.ts';

/** How a stream is to be read, where the catalog leaves that open. */
export interface StreamChoice {
  readonly stream: string;
  readonly method?: 'INCREMENTAL' | 'FULL_TABLE' | 'LOG_BASED';
  /** The column that bookmarks are made of. */
  readonly key?: string;
}

export type Entry = Record<string, unknown>;

const NAMES_SHOWN = 20;

/**
 * The catalog with this one stream chosen and no other, in both ways that taps look at: the metadata of the stream,
 * and the older field beside it. Throws SOURCE_INVALID when there is no such stream.
 */
export function choose(catalog: string, choice: StreamChoice, tap: string): string {
  const read = parsed(catalog, tap);
  const streams = read.streams as readonly Entry[];
  if (!streams.some((entry) => isNamed(entry, choice.stream))) {
    const names = streams.map((entry) => String(entry.tap_stream_id ?? entry.stream));
    const more = names.length > NAMES_SHOWN ? ' and others' : '';
    const list = names.slice(0, NAMES_SHOWN).join(', ');
    throw new WaybillError('SOURCE_INVALID', `the catalog of the tap ${tap} has no stream ${choice.stream}`, {
      hint: `It has ${list === '' ? 'none' : list}${more}.`,
      ids: { tap, stream: choice.stream },
    });
  }
  return JSON.stringify({ ...read, streams: streams.map((entry) => chosen(entry, choice)) });
}

const isNamed = (entry: Entry, stream: string): boolean => entry.stream === stream || entry.tap_stream_id === stream;

function chosen(entry: Entry, choice: StreamChoice): Entry {
  const selected = isNamed(entry, choice.stream);
  const { method, key } = choice;
  const wishes = {
    selected,
    ...(selected && method !== undefined ? { 'replication-method': method } : {}),
    ...(selected && key !== undefined ? { 'replication-key': key } : {}),
  };
  const before = Array.isArray(entry.metadata) ? (entry.metadata as readonly Entry[]) : [];
  const own = before.find(isOfStream);
  const rest = before.filter((one) => one !== own);
  const metadata = [{ breadcrumb: [], metadata: { ...(own?.metadata as Entry | undefined), ...wishes } }, ...rest];
  const older = {
    ...(selected && method !== undefined ? { replication_method: method } : {}),
    ...(selected && key !== undefined ? { replication_key: key } : {}),
  };
  return { ...entry, ...older, selected, metadata };
}

/** About the stream itself, not about one of its columns. */
const isOfStream = ({ breadcrumb }: Entry): boolean => Array.isArray(breadcrumb) && breadcrumb.length === 0;

/** Every stream that the catalog lists. Throws SOURCE_INVALID. */
export const streamsOf = (catalog: string, tap: string): readonly Entry[] =>
  parsed(catalog, tap).streams as readonly Entry[];

/** What the catalog says about a stream itself. */
export function metadataOf({ metadata }: Entry): Entry {
  const own = Array.isArray(metadata) ? (metadata as readonly Entry[]).find(isOfStream) : undefined;
  return (own?.metadata as Entry | undefined) ?? {};
}

function parsed(catalog: string, tap: string): Entry {
  let read: unknown;
  try {
    read = JSON.parse(catalog);
  } catch (cause) {
    throw noCatalog(tap, cause);
  }
  const streams = (read as Entry | null)?.streams;
  const sound = Array.isArray(streams) && streams.every((entry) => typeof entry === 'object' && entry !== null);
  if (!sound) throw noCatalog(tap);
  return read as Entry;
}

const noCatalog = (tap: string, cause?: unknown): WaybillError =>
  new WaybillError('SOURCE_INVALID', `the catalog of the tap ${tap} is none: no object with a list of \`streams\``, {
    ids: { tap },
    ...(cause === undefined ? {} : { cause }),
  });
