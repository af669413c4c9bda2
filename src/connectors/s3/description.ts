import { describeRecords } from '../../objects/description.ts';
import { isPattern, placeholdersOf } from '../../objects/paths.ts';
import type { RecordFormat } from '../../objects/record-format.ts';
import type { SourceDescription } from '../connector.ts';
import type { S3Connection } from './connection.ts';

interface Read extends RecordFormat {
  readonly path: string;
  readonly manifest: boolean;
}

/**
 * The address of one object, whoever may read it. None where there is not one address: of a pattern, since no address
 * lists a bucket, of what a manifest lists, and where a run fills something in.
 */
export function describeS3Source(
  connection: Omit<S3Connection, 'requestTimeoutMs' | 'credentials'>,
  { path, manifest, ...settings }: Read,
): SourceDescription | undefined {
  if (manifest || isPattern(path) || placeholdersOf(path).length > 0) return undefined;
  const records = describeRecords(path, settings);
  const url = objectUrl(connection, path);
  return records === undefined || url === undefined ? undefined : { place: { kind: 'url', url }, ...records };
}

/** As the driver addresses it: the bucket is part of the server's name where that may be and nobody forbids it. */
function objectUrl(
  { endpoint, region, bucket, forcePathStyle }: Omit<S3Connection, 'requestTimeoutMs' | 'credentials'>,
  name: string,
): string | undefined {
  const url = new URL(endpoint ?? `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`);
  // It may open the place, and without it the address is another.
  if (`${url.username}${url.password}${url.search}` !== '') return undefined;
  const inPath = forcePathStyle || !isLabel(bucket) || isAddress(url.hostname);
  if (!inPath) url.hostname = `${bucket}.${url.hostname}`;
  const segments = [...(inPath ? [bucket] : []), ...name.split('/')].map(encoded);
  url.pathname = [url.pathname.replace(/\/$/, ''), ...segments].join('/');
  return url.href;
}

/** Whether a bucket can be one label of a server's name: with a dot in it no certificate would be right for it. */
const isLabel = (bucket: string): boolean => /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket);

const isAddress = (host: string): boolean => host.startsWith('[') || /^\d{1,3}(\.\d{1,3}){3}$/.test(host);

/** The driver encodes these as well, and takes part of them into the signature. */
const encoded = (segment: string): string =>
  encodeURIComponent(segment).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
