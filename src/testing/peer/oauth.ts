import type { IncomingMessage, ServerResponse } from 'node:http';
import { send } from './answers.ts';
import type { ExpectedAuth } from './behaviour.ts';

/** Checks credentials, and gives out tokens that end. */
export class Gate {
  readonly #tokens = new Map<string, number>();
  /** How often a token was asked for. */
  tokenRequests = 0;
  #next = 1;

  /** Whether a request shows what is asked of it. */
  admits(auth: ExpectedAuth | undefined, headers: IncomingMessage['headers']): boolean {
    if (auth === undefined) return true;
    if ('bearer' in auth) return headers.authorization === `Bearer ${auth.bearer}`;
    if ('basic' in auth) return headers.authorization === basic(auth.basic.username, auth.basic.password);
    if ('header' in auth) return headers[auth.header.name.toLowerCase()] === auth.header.value;
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
    return token !== undefined && (this.#tokens.get(token) ?? 0) > Date.now();
  }

  /** Ends every token that was given out, whatever was promised. */
  revoke(): void {
    this.#tokens.clear();
  }

  give(
    auth: ExpectedAuth | undefined,
    headers: IncomingMessage['headers'],
    body: string,
    response: ServerResponse,
  ): void {
    this.tokenRequests++;
    const form = new URLSearchParams(body);
    const wanted = auth !== undefined && 'oauth' in auth ? auth.oauth : undefined;
    const inForm = form.get('client_id') === wanted?.clientId && form.get('client_secret') === wanted?.clientSecret;
    // RFC 6749, 2.3.1: both parts are form-encoded before they are put together.
    const [id, secret] = wanted === undefined ? [] : [wanted.clientId, wanted.clientSecret].map(encodeURIComponent);
    const inHeader = headers.authorization === basic(id ?? '', secret ?? '');
    const scoped = wanted?.scope === undefined || form.get('scope') === wanted.scope;
    if (wanted === undefined || form.get('grant_type') !== 'client_credentials' || !(inForm || inHeader) || !scoped) {
      send(response, { status: 401, body: { error: 'invalid_client' } });
      return;
    }
    const token = `token-${this.#next++}-of-the-peer`;
    this.#tokens.set(token, Date.now() + wanted.lifetimeMs);
    send(response, {
      status: 200,
      body: { access_token: token, token_type: 'Bearer', expires_in: wanted.lifetimeMs / 1000 },
    });
  }
}

const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
