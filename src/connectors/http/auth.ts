import { hideSecret } from '../../model/masking.ts';
import type { AuthConfig } from './auth-config.ts';
import type { TokenSource } from './oauth.ts';
import type { Secrets } from './secrets.ts';

/** A header's name and value. */
export type AuthHeader = readonly [string, string];

/** What makes a request an authorized one. Asked for each request, so a changed secret is used at once. */
export interface Authorizer {
  /** Undefined: the API asks for nothing. Throws when a secret cannot be read or no token is given out. */
  header(): AuthHeader | undefined | Promise<AuthHeader>;
  /** The API did not take `header`. True: another one can be had, and is worth one more try. */
  renew(header: AuthHeader | undefined): boolean;
}

export function openAuthorizer(
  config: AuthConfig | undefined,
  secrets: Secrets,
  tokens: TokenSource | undefined,
): Authorizer {
  if (tokens !== undefined) {
    return {
      header: async () => ['authorization', `Bearer ${await tokens.token()}`],
      renew: (header) => tokens.discard(header?.[1].slice('Bearer '.length)),
    };
  }
  return { header: () => staticHeader(config, secrets), renew: () => false };
}

function staticHeader(config: AuthConfig | undefined, secrets: Secrets): AuthHeader | undefined {
  if (config === undefined || 'oauth2' in config) return undefined;
  if ('bearer' in config) return ['authorization', `Bearer ${secrets.get(config.bearer)}`];
  if ('header' in config) return [config.header.name, config.header.prefix + secrets.get(config.header.value)];
  const pair = `${secrets.textOrSecret(config.basic.username)}:${secrets.get(config.basic.password)}`;
  hideSecret(pair);
  return ['authorization', `Basic ${Buffer.from(pair).toString('base64')}`];
}
