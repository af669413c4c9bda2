import { hideSecret } from '../../model/masking.ts';
import type { AuthConfig } from './auth-config.ts';
import type { TokenSource } from './oauth.ts';
import type { Secrets } from './secrets.ts';

/** What a request carries to be an authorized one: a header, or a parameter of its query. */
export interface Credential {
  readonly place: 'header' | 'query';
  readonly name: string;
  readonly value: string;
}

/** What makes a request an authorized one. Asked for each request, so a changed secret is used at once. */
export interface Authorizer {
  /** Undefined: the API asks for nothing. Throws when a secret cannot be read or no token is given out. */
  credential(): Credential | undefined | Promise<Credential>;
  /** The API did not take `credential`. True: another one can be had, and is worth one more try. */
  renew(credential: Credential | undefined): boolean;
}

export function openAuthorizer(
  config: AuthConfig | undefined,
  secrets: Secrets,
  tokens: TokenSource | undefined,
): Authorizer {
  if (tokens !== undefined) {
    return {
      credential: async () => authorization(`Bearer ${await tokens.token()}`),
      renew: (credential) => tokens.discard(credential?.value.slice('Bearer '.length)),
    };
  }
  return { credential: () => fixed(config, secrets), renew: () => false };
}

const authorization = (value: string): Credential => ({ place: 'header', name: 'authorization', value });

function fixed(config: AuthConfig | undefined, secrets: Secrets): Credential | undefined {
  if (config === undefined || 'oauth2' in config) return undefined;
  if ('bearer' in config) return authorization(`Bearer ${secrets.get(config.bearer)}`);
  if ('query' in config) return { place: 'query', name: config.query.name, value: secrets.get(config.query.value) };
  if ('header' in config) {
    const { name, prefix, value } = config.header;
    return { place: 'header', name, value: prefix + secrets.get(value) };
  }
  const pair = `${secrets.textOrSecret(config.basic.username)}:${secrets.get(config.basic.password)}`;
  hideSecret(pair);
  return authorization(`Basic ${Buffer.from(pair).toString('base64')}`);
}

/** The headers that a credential is. */
export const headersOf = (credential: Credential | undefined): Readonly<Record<string, string>> =>
  credential?.place === 'header' ? { [credential.name]: credential.value } : {};

/** A path with its query, and the credential in it where it goes there: once, also where a link repeats it. */
export function authorizedPath(path: string, credential: Credential | undefined): string {
  if (credential?.place !== 'query') return path;
  const [bare = '', ...query] = path.split('?');
  const name = encodeURIComponent(credential.name);
  const others = query
    .join('?')
    .split('&')
    .filter((one) => one !== '' && one.split('=', 1)[0] !== name);
  return `${bare}?${[...others, `${name}=${encodeURIComponent(credential.value)}`].join('&')}`;
}
