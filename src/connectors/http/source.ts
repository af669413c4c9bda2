import type { OpenContext, Source } from '../connector.ts';
import { Fetcher } from './fetcher.ts';
import { pagedSource } from './pages.ts';
import { placeName } from './place.ts';
import { documentSource } from './poll.ts';
import { sequenceSource } from './sequence.ts';
import type { ConnectionConfig } from './settings.ts';
import type { SourceConfig } from './source-settings.ts';

/** Opens no connection: the first request does. */
export function openHttpSource(connection: ConnectionConfig, settings: SourceConfig, context: OpenContext): Source {
  const fetcher = new Fetcher(connection, settings, context);
  const { ports } = context;
  const place = { fetcher, connection, settings, ports, name: placeName(connection, settings) };
  const { pages } = settings;
  if (pages !== undefined && pages.by !== 'none') {
    const told = 'parameterIn' in pages ? pages.parameterIn : undefined;
    const parameterIn = told ?? (settings.body === undefined ? 'query' : 'body');
    return pagedSource(place, { ...pages, parameterIn });
  }
  if (settings.sequence !== undefined) return sequenceSource(place, settings.sequence);
  return documentSource(place);
}
