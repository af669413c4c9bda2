import type { Chunk } from '../../model/chunk.ts';
import type { Ports } from '../../model/ports.ts';
import type { ReadRange } from '../connector.ts';
import type { Fetcher } from './fetcher.ts';
import type { ConnectionConfig } from './settings.ts';
import type { SourceConfig } from './source-settings.ts';

/** Where a source reads, and by what. */
export interface Place {
  readonly fetcher: Fetcher;
  readonly connection: ConnectionConfig;
  readonly settings: SourceConfig;
  readonly ports: Pick<Ports, 'sleep'>;
  /** For messages and positions: host and path, no query. */
  readonly name: string;
  /** Of the reading at hand. */
  readonly waits?: ReadRange['waits'];
}

/** The same place, for one reading of it. */
export const readBy = (place: Place, { waits }: ReadRange): Place =>
  waits === undefined ? place : { ...place, waits };

export const placeName = (connection: ConnectionConfig, settings: Pick<SourceConfig, 'path'>): string => {
  const { host, pathname } = new URL(connection.url);
  return `${host}${pathname.replace(/\/+$/, '')}${settings.path.split('?', 1)[0] || '/'}`;
};

/** Hands on nothing more once the reading is told to stop, also of what is here already. */
export async function* stoppable(chunks: AsyncIterable<Chunk>, signal: AbortSignal): AsyncGenerator<Chunk> {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    yield chunk;
  }
}
