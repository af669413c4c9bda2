import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { describeError, WaybillError } from '../../model/errors.ts';
import type { Ports } from '../../model/ports.ts';
import type { AssertionConfig } from './auth-config.ts';

interface Signing {
  readonly config: { readonly tokenUrl: string; readonly scope?: string | undefined };
  readonly assertion: AssertionConfig;
  /** PEM. */
  readonly key: string;
}

/** A JWT for one request of a token (RFC 7519 and 7523). Throws CONFIG_INVALID for a key that cannot sign. */
export function signedAssertion({ config, assertion, key }: Signing, ports: Pick<Ports, 'wallMs' | 'id'>): string {
  const { issuer, subject = issuer, audience = config.tokenUrl, keyId, lifetime, claims } = assertion;
  const now = Math.floor(ports.wallMs() / 1000);
  const privateKey = keyOf(key);
  const { alg, hash } = algorithmOf(privateKey);
  const header = { alg, typ: 'JWT', ...(keyId === undefined ? {} : { kid: keyId }) };
  const scope = config.scope === undefined ? {} : { scope: config.scope };
  const times = { iat: now, exp: now + Math.ceil(lifetime / 1000), jti: ports.id() };
  const payload = { iss: issuer, sub: subject, aud: audience, ...scope, ...times, ...claims };
  const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign(hash, Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

function keyOf(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw noKey(describeError(error));
  }
}

/** By what the key is: RFC 7518 and 8037. */
function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject) {
  const curve = asymmetricKeyDetails?.namedCurve ?? '';
  if (asymmetricKeyType === 'rsa') return { alg: 'RS256', hash: 'sha256' };
  if (curve === 'prime256v1') return { alg: 'ES256', hash: 'sha256' };
  if (curve === 'secp384r1') return { alg: 'ES384', hash: 'sha384' };
  if (asymmetricKeyType === 'ed25519') return { alg: 'EdDSA', hash: null };
  throw noKey(`it is of the kind ${asymmetricKeyType} ${curve}`.trim());
}

const noKey = (why: string): WaybillError =>
  new WaybillError('CONFIG_INVALID', `no assertion can be signed with \`auth.oauth2.assertion.key\`: ${why}`, {
    hint: 'Refer to a private key in PEM without a password: RSA, EC (P-256 or P-384) or Ed25519.',
  });
