import { WaybillError } from '../../model/errors.ts';
import { ALL } from '../../model/window.ts';
import { discovered, needsFlow } from '../../objects/discovery.ts';
import { placeholdersOf } from '../../objects/paths.ts';
import type { Discovered, OpenContext } from '../connector.ts';
import { namesIn } from './body-template.ts';
import { placeName } from './place.ts';
import type { ConnectionConfig } from './settings.ts';
import { openHttpSource } from './source.ts';
import { SEQUENCE_VALUES, type SourceConfig } from './source-settings.ts';

/**
 * The columns of what a flow reads, by its first records: a document is fetched as a whole, of pages and numbers those
 * are asked for that come first, until one has a record.
 */
export async function discoverHttp(
  connection: ConnectionConfig,
  context: OpenContext,
  signal: AbortSignal,
  settings?: SourceConfig,
): Promise<readonly Discovered[]> {
  if (settings === undefined) throw needsFlow('http');
  const names = [...placeholdersOf(settings.path), ...namesIn(settings.body)];
  const filled = names.filter((name) => !SEQUENCE_VALUES.includes(name));
  if (filled.length > 0) {
    throw new WaybillError('USAGE', `{{ ${filled[0]} }} is filled in by each run, so nobody knows what is meant`, {
      hint: 'Write a value there for as long as you look at it.',
      ids: { path: settings.path },
    });
  }
  const source = openHttpSource(connection, settings, context);
  try {
    const chunks = source.read({ window: ALL, parameters: {} }, signal);
    return [await discovered(placeName(connection, settings), chunks)];
  } finally {
    await source.close?.();
  }
}
