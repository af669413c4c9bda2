import { z } from 'zod';
import { durationSchema } from '../../objects/quantities.ts';

/** Secrets stand in a flow file only as references; they are read when they are used, so they can change meanwhile. */
export const secretSchema = z
  .string()
  .regex(/^(env|file):.+$/s, 'a secret is given as env:NAME or file:PATH, never as itself')
  .meta({ secret: true, description: 'A reference to a secret: env:NAME or file:PATH.' });

/** The name of a header, as HTTP allows it. */
export const headerNameSchema = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'expected the name of a header');

/** Headers that are made for each request, or that carry secrets and so belong under `auth`. */
const RESERVED: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
  'keep-alive',
  'te',
  'accept-encoding',
  'idempotency-key',
  'x-correlation-id',
]);
const isReserved = (name: string): boolean =>
  RESERVED.has(name.toLowerCase()) || name.toLowerCase().startsWith('x-waybill-');

export const headersSchema = z
  .record(
    headerNameSchema.refine((name) => !isReserved(name), {
      message: 'this header is set by Waybill; secrets belong under auth',
    }),
    z.string().regex(/^[\t\x20-\x7e]*$/, 'a header holds printable ASCII'),
  )
  .describe('Headers that every request carries. Not for secrets.');

const assertionSchema = z
  .strictObject({
    key: secretSchema.meta({ description: 'A reference to the private key, in PEM: RSA, EC or Ed25519.' }),
    keyId: z.string().min(1).optional().describe('The id that the server knows the key by.'),
    issuer: z.string().min(1).describe('Who signs: an id of a client, or the address of a service account.'),
    subject: z.string().min(1).optional().describe('For whom; the issuer when absent.'),
    audience: z.string().min(1).optional().describe('Who is meant to read it; the token URL when absent.'),
    lifetime: durationSchema.default(300_000).describe('How long it holds.'),
    claims: z.record(z.string(), z.json()).optional().describe('Further claims.'),
  })
  .describe('A JWT that is signed here and exchanged for a token (RFC 7523).');
export type AssertionConfig = z.output<typeof assertionSchema>;

export const authSchema = z
  .union([
    z.strictObject({ bearer: secretSchema.describe('The token, as a reference.') }),
    z.strictObject({
      basic: z
        .strictObject({
          username: z.string().describe('The name, or a reference to it.'),
          password: secretSchema,
        })
        .describe('A name and a password.'),
    }),
    z.strictObject({
      header: z
        .strictObject({
          name: headerNameSchema.describe('The header that carries the secret.'),
          value: secretSchema,
          prefix: z.string().default('').describe('What stands before the secret: `Token `.'),
        })
        .describe('A header of its own.'),
    }),
    z.strictObject({
      query: z
        .strictObject({
          name: z
            .string()
            .regex(/^[A-Za-z0-9_.~-]+$/, 'the name of a parameter')
            .describe('The parameter that carries the secret.'),
          value: secretSchema,
        })
        .describe(
          'A parameter of the query, for APIs that know no other way: servers write addresses into their logs.',
        ),
    }),
    z.strictObject({
      oauth2: z
        .strictObject({
          tokenUrl: z
            .url({ protocol: /^https?$/ })
            .refine(isPlain, 'a URL carries no credentials')
            .describe('Where tokens are given out.'),
          clientId: z.string().min(1).optional().describe('The id of the client, or a reference to it.'),
          clientSecret: secretSchema.optional(),
          refreshToken: secretSchema.optional().meta({
            description:
              'A reference to a refresh token that somebody has agreed to; it has to stay good when it is used.',
          }),
          assertion: assertionSchema.optional(),
          scope: z.string().optional().describe('The scopes to ask for, separated by spaces.'),
          audience: z.string().optional().describe('The audience to ask for.'),
          credentials: z
            .enum(['basic', 'body'])
            .default('basic')
            .describe('How the client names itself to the token endpoint: in the header or in the form.'),
          refreshAhead: durationSchema.default(60_000).describe('How long before its end a token is replaced.'),
        })
        .superRefine(({ clientId, clientSecret, refreshToken, assertion }, context) => {
          const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
          if (refreshToken !== undefined && assertion !== undefined) {
            issue('assertion', 'a token is asked for by a refresh token or by an assertion, not by both');
          }
          if (clientSecret !== undefined && clientId === undefined) issue('clientId', 'a client secret needs its id');
          if (assertion !== undefined) return;
          if (clientId === undefined) issue('clientId', 'say as whom tokens are asked for');
          if (refreshToken === undefined && clientSecret === undefined) {
            issue(
              'clientSecret',
              'client credentials are an id and its secret; otherwise say refreshToken or assertion',
            );
          }
        })
        .describe('OAuth 2: client credentials, a refresh token or a signed assertion.'),
    }),
  ])
  .describe('How requests are authorized. Exactly one of bearer, basic, header, query and oauth2.');

export type AuthConfig = z.output<typeof authSchema>;

/** A URL without user, password or fragment, and without a query that could hold a secret. */
export function isPlain(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return url.username === '' && url.password === '' && url.hash === '' && url.search === '';
}
