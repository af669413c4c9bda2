import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../src/app/config.ts';
import { allConnectors } from '../src/app/connector-list.ts';
import { strategies } from '../src/strategies/all.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waybill-http-auth-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function load(auth: string, body = '{ q: 1 }') {
  const path = join(folder, 'waybill.yaml');
  await writeFile(
    path,
    `version: 1
connections:
  api: { type: http, url: https://api.example.com, auth: ${auth} }
flows:
  f:
    source: { connection: api, path: /items, body: ${body}, key: id }
    sink: { connection: files, path: out.ndjson }
`,
  );
  const settings = { cwd: folder, env: { KEY: 'k-123456' }, connectors: await allConnectors(), strategies };
  return await loadConfig(path, settings);
}

const REFUSED = 'a secret must not be written in the flow file';
const TOKEN_URL = 'tokenUrl: https://id.example.com/token';

describe('credentials of an HTTP connection in a flow file', () => {
  it.each([
    '{ bearer: "${KEY}" }',
    '{ basic: { username: me, password: "${KEY}" } }',
    '{ header: { name: X-Key, value: "${KEY}", prefix: "Key " } }',
    '{ query: { name: api_key, value: "${KEY}" } }',
    `{ oauth2: { ${TOKEN_URL}, clientId: me, clientSecret: "\${KEY}", scope: read, audience: all } }`,
    `{ oauth2: { ${TOKEN_URL}, clientId: me, clientSecret: "\${KEY}", credentials: body, refreshAhead: 30s } }`,
    `{ oauth2: { ${TOKEN_URL}, clientId: me, refreshToken: "\${KEY}" } }`,
    `{ oauth2: { ${TOKEN_URL}, assertion: { key: "\${KEY}", keyId: k1, issuer: me, subject: you, audience: it } } }`,
    `{ oauth2: { ${TOKEN_URL}, assertion: { key: "\${KEY}", issuer: me, lifetime: 60s, claims: { kind: org } } } }`,
  ])('stand there with all that says how, and with a reference for what is secret: %s', async (auth) => {
    const { findings, secrets } = await load(auth);
    expect(findings).toEqual([]);
    expect(secrets.map(({ reference }) => reference)).toEqual(['env:KEY']);
  });

  it.each([
    '{ bearer: abc }',
    '{ query: { name: api_key, value: abc } }',
    `{ oauth2: { ${TOKEN_URL}, clientId: me, refreshToken: abc } }`,
    `{ oauth2: { ${TOKEN_URL}, assertion: { key: abc, issuer: me } } }`,
    `{ oauth2: { ${TOKEN_URL}, assertion: { key: "\${KEY}", issuer: me, claims: { api_key: abc } } } }`,
  ])('are refused where they are written out: %s', async (auth) => {
    const { findings } = await load(auth);
    expect(findings[0]?.message).toContain(REFUSED);
  });

  it('may stand in the body of a source, as references', async () => {
    const { findings, secrets } = await load('{ bearer: "${KEY}" }', '{ api_key: "${KEY}" }');
    expect(findings).toEqual([]);
    expect(secrets).toHaveLength(2);
    const written = await load('{ bearer: "${KEY}" }', '{ api_key: abc }');
    expect(written.findings[0]?.message).toContain(REFUSED);
  });
});
