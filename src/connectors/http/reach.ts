import { isIP } from 'node:net';
import { encodeJson } from '../../formats/encode.ts';
import { WaybillError } from '../../model/errors.ts';
import { neverMeant, notPublic } from './addresses.ts';
import type { AddressGuard } from './connections.ts';

/** `refuse`, `same-origin`, `public`, or the hosts that are meant. */
export type Redirects = 'refuse' | 'same-origin' | 'public' | readonly string[];

/** What an API is asked: an address, and what stands in the body where it is asked by POST. */
export interface Question {
  readonly url: URL;
  readonly body?: unknown;
}

/** An address that may be asked, and how. */
export interface Stop {
  readonly url: URL;
  /** JSON. It is asked by POST where there is one, and by GET where there is none. */
  readonly body?: string;
  /** Whether the credentials and headers of the connection are sent there. */
  readonly trusted: boolean;
  readonly guard?: AddressGuard;
}

/** What tells a stop from all others. */
export const markOf = ({ url, body = '' }: Stop): string => `${url.href} ${body}`;

/** RFC 9110, 15.4: after the others a client may ask by GET, and most do. */
const KEEPS_BODY: ReadonlySet<number> = new Set([307, 308]);

/**
 * Where a source may be led by what a server says, in redirects and in links to the next page. The connection names a
 * host, and that one is believed; any other gets neither credentials nor headers of the connection, now or later on
 * the same way, and is judged by the address that its name leads to at the moment of connecting.
 */
export class Reach {
  readonly #home: string;
  readonly #redirects: Redirects;

  constructor(home: string, redirects: Redirects) {
    this.#home = home;
    this.#redirects = redirects;
  }

  /** A stop that the flow file itself names. */
  start({ url, body }: Question): Stop {
    return { url, trusted: true, ...(body === undefined ? {} : { body: encodeJson(body) }) };
  }

  /** Throws SOURCE_REDIRECTED when the flow does not let it lead there. */
  redirected(from: Stop, location: string | undefined, status: number): Stop {
    const to = this.#parsed(from, location, 'a redirect');
    if (this.#redirects === 'refuse') throw refused(`a redirect to ${to.origin} is not followed`);
    if (from.body === undefined) return this.#stop(from, to, 'a redirect');
    // What is asked stands in the body: it is not for others, and without it the question is another one.
    if (to.origin !== this.#home) throw refused(`a redirect of a POST to ${to.origin} is not followed`);
    if (!KEEPS_BODY.has(status)) throw refused(`a redirect by ${status} would turn a POST into a GET`);
    return { ...this.#stop(from, to, 'a redirect'), body: from.body };
  }

  /** The same for a link within what was read, asked by GET: one to the same origin is always followed. */
  linked(from: Stop, link: string): Stop {
    return this.#stop(from, this.#parsed(from, link, 'a link'), 'a link');
  }

  #parsed(from: Stop, location: string | undefined, what: string): URL {
    if (location === undefined || !URL.canParse(location, from.url.href)) throw refused(`${what} leads to no address`);
    const to = new URL(location, from.url);
    if (to.protocol !== 'http:' && to.protocol !== 'https:') throw refused(`${what} leads to ${to.protocol}`);
    if (to.username !== '' || to.password !== '') throw refused(`${what} to ${to.host} carries credentials`);
    if (from.url.protocol === 'https:' && to.protocol === 'http:') {
      throw refused(`${what} to ${to.origin} leads from https to http`);
    }
    to.hash = '';
    return to;
  }

  #stop(from: Stop, to: URL, what: string): Stop {
    if (to.origin === this.#home) return { url: to, trusted: from.trusted };
    const redirects = this.#redirects;
    if (redirects === 'public') return { url: to, trusted: false, guard: notPublic };
    const named = Array.isArray(redirects) && (redirects.includes(to.hostname) || redirects.includes(to.host));
    if (!named) throw refused(`${what} to ${to.origin} leads away from ${this.#home}`);
    // An address is meant as it stands there; a name is in the hands of its owner.
    const literal = isIP(to.hostname.replace(/^\[|\]$/g, '')) !== 0;
    return { url: to, trusted: false, ...(literal ? {} : { guard: neverMeant }) };
  }
}

const refused = (message: string): WaybillError => new WaybillError('SOURCE_REDIRECTED', message);
