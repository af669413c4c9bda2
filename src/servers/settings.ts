import { z } from 'zod';

/** A secret by reference: where it is, never what it is. */
export const reference = (what: string) =>
  z
    .string()
    .regex(/^(env|file):./, `name where the ${what} is, \`env:NAME\` or \`file:PATH\`, not the ${what}`)
    .optional();

/** Who asks, for servers that want to know. */
export const userSettings = {
  user: z.string().min(1).optional(),
  password: reference('password').describe('Where the password is: `env:NAME` or `file:PATH`.'),
};

/** `local`: how the sentence goes on that says when there is no TLS by itself. */
export const tlsSettings = (local = 'the server is local') => ({
  tls: z
    .enum(['verify', 'off'])
    .optional()
    .describe(`\`verify\` checks the certificate and the name of the server. Off when absent and ${local}.`),
  caFile: z
    .string()
    .min(1)
    .optional()
    .describe('Certificate of the authority that signed the certificate of the server.'),
});

/** The whole address of a server, instead of its parts. `shape`: how it is written, with secrets or without. */
export const urlSetting = (shape: string) =>
  z
    .string()
    .min(1)
    .meta({ secret: true })
    .optional()
    .describe(`The whole address, ${shape}; by reference where it is secret.`);

export const hostSettings = (host: string) => ({
  host: z.string().min(1).optional().describe(host),
  port: z.int().min(1).max(65535).optional(),
});

const PARTS = ['host', 'port', 'socket', 'database', 'user', 'password'];

/** Whether any part of an address is given that could also stand in its `url`. */
export const inParts = (given: Readonly<Record<string, unknown>>): boolean =>
  PARTS.some((part) => given[part] !== undefined);

/** For `refine`: what a connection to a database needs where it has no `url`, and what is said where it is missing. */
export const urlOrDatabase = [
  (given: Readonly<Record<string, unknown>>): boolean =>
    given.url === undefined ? given.database !== undefined && given.user !== undefined : !inParts(given),
  'give either `url`, or `database` and `user` (and `host`, `port`, `password`)',
] as const;

const name = z.string().min(1);

/** `items`, `sales.items`, or both names by themselves where they hold dots. */
export const tableSetting = z.union([name, z.array(name).min(1).max(2)]);

/** The schema and the name of a table, or its name alone. */
export function tableName(table: z.output<typeof tableSetting>): readonly string[] {
  if (typeof table !== 'string') return table;
  const dot = table.indexOf('.');
  return dot === -1 ? [table] : [table.slice(0, dot), table.slice(dot + 1)];
}
