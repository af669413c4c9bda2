import { describeRecords } from '../../objects/description.ts';
import type { SourceDescription } from '../connector.ts';
import { addressBelow } from './fetcher.ts';
import type { ConnectionConfig } from './settings.ts';
import type { SourceConfig } from './source-settings.ts';

/**
 * Headers that only say what is asked for and by whom. Any other may carry a secret, whatever the flow file was told
 * about it, and a description is made to be handed on.
 */
const TOLD = /^(accept|accept-charset|accept-language|user-agent|prefer|([a-z0-9-]+-)?version)$/i;

/** A parameter of a query that may open the place: with it the address cannot be handed on, without it is another. */
const OPENS = /key|auth|sig|secret|token|pass|pwd|cred|session|jwt|sas|code|cookie/i;

/**
 * The address of a document. None where there is not one address: of pages and sequences, of what is asked by POST,
 * where a run fills something in, where the query may hold a secret; and none of a document that is one record, which
 * no other reader knows.
 */
export function describeHttpSource(
  connection: ConnectionConfig,
  { path, body, pages, sequence, single, entries, headers, ...settings }: SourceConfig,
): SourceDescription | undefined {
  const isOneAddress = pages === undefined && sequence === undefined && body === undefined && !path.includes('{{');
  if (!isOneAddress || single) return undefined;
  const url = addressBelow(new URL(connection.url), path);
  if ([...url.searchParams.keys()].some((name) => OPENS.test(name))) return undefined;
  const zipped = /\.zip$/i.test(url.pathname);
  const records = describeRecords(zipped ? (entries ?? '') : url.pathname, settings);
  if (records === undefined) return undefined;
  const told = Object.entries({ ...connection.headers, ...headers }).filter(([name]) => TOLD.test(name));
  return {
    place: {
      kind: 'url',
      url: url.href,
      ...(told.length === 0 ? {} : { headers: told.map(([name, value]) => ({ name, value })) }),
    },
    ...records,
    ...(zipped ? { packed: { kind: 'zip', ...(entries === undefined ? {} : { entries }) } } : {}),
  };
}
