import type { Position } from '../../model/position.ts';

/** What an answer says of the version of the document that it brings. */
export interface Validators {
  /** As it was sent, quotes and `W/` included. */
  readonly etag?: string;
  /** ISO 8601 in UTC, which RFC 3339 is a kind of. */
  readonly lastModified?: string;
}

export const ETAG = 'odf/etag';
export const LAST_MODIFIED = 'odf/last-modified';
export const UNCACHEABLE = 'waybill/uncacheable';

const ETAG_CHARS = 2000;

/**
 * Whether an entity tag can be sent back. Some servers leave out the quotes, and take it back without them. `*` would
 * stand for any document, a comma without quotes for two, and what lies beyond ASCII does not survive the way.
 */
export function isEtag(text: string): boolean {
  if (text.length > ETAG_CHARS) return false;
  return /^(W\/)?"[\x21\x23-\x7e]*"$/.test(text) || (/^[\x21\x23-\x2b\x2d-\x7e]+$/.test(text) && text !== '*');
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

const IMF = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} (?:GMT|UTC)$/;
const RFC_850 = /^[A-Z][a-z]+day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/;
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/** `Sun, 06 Nov 1994 08:49:37 GMT` as RFC 3339. The two forms that RFC 9110 calls obsolete are read as well. */
export function fromHttpDate(text: string): string | undefined {
  const trimmed = text.trim();
  const dated = ASCTIME.test(trimmed) ? `${trimmed} GMT` : IMF.test(trimmed) || RFC_850.test(trimmed) ? trimmed : '';
  const atMs = Date.parse(dated);
  return Number.isNaN(atMs) ? undefined : new Date(atMs).toISOString().replace('.000Z', 'Z');
}

/** RFC 3339 as HTTP writes dates. Undefined for what is no such time. Parts of a second are dropped: HTTP has none. */
export function toHttpDate(text: string): string | undefined {
  const shape = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;
  // Finer parts than milliseconds are more than some engines parse.
  const atMs = shape.test(text) ? Date.parse(text.toUpperCase().replace(' ', 'T').replace(/\.\d+/, '')) : Number.NaN;
  if (Number.isNaN(atMs)) return undefined;
  const at = new Date(atMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const year = String(at.getUTCFullYear()).padStart(4, '0');
  const day = `${DAYS[at.getUTCDay()]}, ${two(at.getUTCDate())} ${MONTHS[at.getUTCMonth()]} ${year}`;
  return `${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} GMT`;
}

export function validatorsOf(answer: { header(name: string): string | undefined }): Validators {
  const etag = answer.header('etag')?.trim();
  const lastModified = fromHttpDate(answer.header('last-modified') ?? '');
  return {
    ...(etag !== undefined && isEtag(etag) ? { etag } : {}),
    ...(lastModified === undefined ? {} : { lastModified }),
  };
}

/** The entity tag where there is one, since it says more than a time; without both, what was read is all we know. */
export function positionOf(sourceName: string, { etag, lastModified }: Validators, digest: string): Position {
  if (etag !== undefined) return { sourceName, kind: ETAG, value: etag };
  if (lastModified !== undefined) return { sourceName, kind: LAST_MODIFIED, value: lastModified };
  return { sourceName, kind: UNCACHEABLE, value: `sha256:${digest}` };
}

/** The headers by which a server is asked for something newer than the position. */
export function conditionsOf(position: Pick<Position, 'kind' | 'value'> | undefined): Record<string, string> {
  if (position?.kind === ETAG) return { 'if-none-match': position.value };
  const date = position?.kind === LAST_MODIFIED ? toHttpDate(position.value) : undefined;
  return date === undefined ? {} : { 'if-modified-since': date };
}

/** Why a position of a document cannot be gone on from. */
export function refusesDocument({ kind, value }: Position): string | undefined {
  if (kind === UNCACHEABLE) return undefined;
  if (kind === ETAG) return isEtag(value) ? undefined : `${JSON.stringify(value)} is no ETag that can be sent`;
  if (kind === LAST_MODIFIED) {
    return toHttpDate(value) === undefined ? `${JSON.stringify(value)} is no time of RFC 3339` : undefined;
  }
  return `a document has no position of the kind ${kind}`;
}

/** Whether an answer brings what is already known, although nobody asked it to. Weak tags are compared as weak. */
export function isSame(position: Position | undefined, found: Validators): boolean {
  if (position?.kind === ETAG && found.etag !== undefined) return bare(found.etag) === bare(position.value);
  if (position?.kind !== LAST_MODIFIED || found.etag !== undefined || found.lastModified === undefined) return false;
  return Date.parse(found.lastModified) === Math.floor(Date.parse(position.value) / 1000) * 1000;
}

/** By how many seconds a document is older than the one that was read last; 0 when it is not. */
export function secondsBack(position: Position | undefined, found: Validators): number {
  if (position?.kind !== LAST_MODIFIED || found.lastModified === undefined) return 0;
  const back = Math.floor(Date.parse(position.value) / 1000) - Math.floor(Date.parse(found.lastModified) / 1000);
  return Number.isNaN(back) ? 0 : Math.max(0, back);
}

const bare = (etag: string): string => etag.replace(/^W\//, '');
