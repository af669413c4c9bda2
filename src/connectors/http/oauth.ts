import { describeError, NotAppliedError } from '../../model/errors.ts';
import { hideSecret, mask } from '../../model/masking.ts';
import type { Ports } from '../../model/ports.ts';
import { signedAssertion } from './assertion.ts';
import type { AuthConfig } from './auth-config.ts';
import { at } from './paths.ts';
import type { Reply } from './reply.ts';
import type { Secrets } from './secrets.ts';
import type { Transport } from './transport.ts';

export type OAuthConfig = Extract<AuthConfig, { oauth2: unknown }>['oauth2'];

type TokenPorts = Pick<Ports, 'monotonicMs' | 'wallMs' | 'id'>;

interface Token {
  readonly value: string;
  /** By the monotonic clock. */
  readonly refreshAtMs: number;
  readonly endsAtMs: number;
}

/**
 * Access tokens by OAuth 2: client credentials (RFC 6749, 4.4), a refresh token (6) or a signed assertion (RFC 7523).
 * One request for a token at a time, whoever waits for it; a token is replaced ahead of its end, and an old one that
 * still holds is used when no new one can be had.
 */
export class TokenSource {
  readonly #config: OAuthConfig;
  readonly #secrets: Secrets;
  readonly #transport: Transport;
  readonly #ports: TokenPorts;
  readonly #timeoutMs: number;
  readonly #never = new AbortController();
  #token: Token | undefined;
  #asked: Promise<Token> | undefined;
  /** The refresh token that is good now, and the one behind the reference that led to it. */
  #refresh: { readonly of: string; readonly value: string } | undefined;

  constructor(
    config: OAuthConfig,
    parts: { secrets: Secrets; transport: Transport; ports: TokenPorts; timeoutMs: number },
  ) {
    this.#config = config;
    this.#secrets = parts.secrets;
    this.#transport = parts.transport;
    this.#ports = parts.ports;
    this.#timeoutMs = parts.timeoutMs;
  }

  /** Throws NotAppliedError: without a token nothing is sent. */
  async token(): Promise<string> {
    const nowMs = this.#ports.monotonicMs();
    const held = this.#token;
    if (held !== undefined && nowMs < held.refreshAtMs) return held.value;
    this.#asked ??= this.#ask().finally(() => {
      this.#asked = undefined;
    });
    try {
      this.#token = await this.#asked;
      return this.#token.value;
    } catch (error) {
      if (held !== undefined && held === this.#token && this.#ports.monotonicMs() < held.endsAtMs) return held.value;
      throw error;
    }
  }

  /** This token was not taken. Always worth another: it may have been withdrawn before its end. */
  discard(value: string | undefined): boolean {
    if (this.#token !== undefined && this.#token.value === value) this.#token = undefined;
    return true;
  }

  close(): void {
    this.#never.abort();
    this.#transport.close();
  }

  async #ask(): Promise<Token> {
    const askedAtMs = this.#ports.monotonicMs();
    const { host } = new URL(this.#config.tokenUrl);
    let reply: Reply;
    try {
      reply = await this.#transport.send({
        method: 'POST',
        name: `the request for a token of ${host}`,
        signal: this.#never.signal,
        timeoutMs: this.#timeoutMs,
        compose: async () => this.#compose(),
      });
    } catch (error) {
      throw this.#noToken(describeError(error), error);
    }
    if (reply.status !== 200) throw this.#noToken(`${host} answered ${reply.status}`, undefined, reply.status);
    const json = parseObject(reply.text());
    const value = at(json, 'access_token');
    if (typeof value !== 'string' || value === '') throw this.#noToken(`the answer of ${host} holds no access_token`);
    hideSecret(value);
    this.#keepRefresh(at(json, 'refresh_token'));
    const seconds = Number(at(json, 'expires_in'));
    const lifeMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : Number.POSITIVE_INFINITY;
    // A token that lives shorter than the lead would be asked for again with every request.
    const aheadMs = Math.min(this.#config.refreshAhead, lifeMs / 2);
    return { value, refreshAtMs: askedAtMs + lifeMs - aheadMs, endsAtMs: askedAtMs + lifeMs };
  }

  #compose(): { path: string; headers: string[]; body: Uint8Array } {
    const { tokenUrl, clientId, clientSecret, scope, audience, credentials } = this.#config;
    const id = clientId === undefined ? undefined : this.#secrets.textOrSecret(clientId);
    const secret = clientSecret === undefined ? undefined : this.#secrets.get(clientSecret);
    const form = new URLSearchParams(this.#grant());
    if (scope !== undefined) form.set('scope', scope);
    if (audience !== undefined) form.set('audience', audience);
    const headers = ['content-type', 'application/x-www-form-urlencoded', 'accept', 'application/json'];
    if (id !== undefined && (credentials === 'body' || secret === undefined)) {
      form.set('client_id', id);
      if (secret !== undefined) form.set('client_secret', secret);
    } else if (id !== undefined && secret !== undefined) {
      const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
      hideSecret(pair);
      headers.push('authorization', `Basic ${Buffer.from(pair).toString('base64')}`);
    }
    return { path: new URL(tokenUrl).pathname, headers, body: Buffer.from(form.toString()) };
  }

  /** What is asked by. Throws what reading a secret and signing throw. */
  #grant(): Record<string, string> {
    const { refreshToken, assertion } = this.#config;
    if (refreshToken !== undefined) {
      const of = this.#secrets.get(refreshToken);
      if (this.#refresh?.of !== of) this.#refresh = { of, value: of };
      return { grant_type: 'refresh_token', refresh_token: this.#refresh.value };
    }
    if (assertion === undefined) return { grant_type: 'client_credentials' };
    const signing = { config: this.#config, assertion, key: this.#secrets.get(assertion.key) };
    return { grant_type: JWT_BEARER, assertion: signedAssertion(signing, this.#ports) };
  }

  /** A server may give out another one with each token. It is good for this process; nothing keeps it for the next. */
  #keepRefresh(value: unknown): void {
    if (this.#refresh === undefined || typeof value !== 'string' || value === '') return;
    hideSecret(value);
    this.#refresh = { of: this.#refresh.of, value };
  }

  #noToken(why: string, cause?: unknown, status?: number): NotAppliedError {
    return new NotAppliedError(`no access token, so nothing was sent: ${mask(why)}`, {
      sinkAway: true,
      hint:
        this.#config.refreshToken === undefined
          ? 'Check the client id, its secret or key, and the token URL under `auth`.'
          : 'Check the token URL and the refresh token under `auth`: it may have run out, or be good for one use only.',
      ...(cause === undefined ? {} : { cause }),
      ...(status === undefined ? {} : { ids: { status } }),
    });
  }
}

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

function parseObject(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    // No token can be found in it; the caller says so.
    return undefined;
  }
}
