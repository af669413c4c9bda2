import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Connector, Sink } from '../src/connectors/connector.ts';
import { nats } from '../src/connectors/nats/config.ts';
import { redis } from '../src/connectors/redis/config.ts';
import { openContext } from '../src/testing/peer/open-context.ts';
import { testPermit } from '../src/testing/permit.ts';
import { thrownBy } from './postgres-place.ts';
import { missingProgram, startServer, type TestServer } from './server.ts';

const missing = missingProgram('redis-server') ?? missingProgram('nats-server') ?? missingProgram('openssl');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

const folder = mkdtempSync(join(tmpdir(), 'waybill-tls-'));
const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
const servers: Record<string, TestServer> = {};
beforeAll(async () => {
  if (missing !== undefined) return;
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-keyout', key, '-out', cert, ...subject],
  ]);
  expect(made.status, String(made.stderr)).toBe(0);
  const files = [
    '--tls-cert-file',
    cert,
    '--tls-key-file',
    key,
    '--tls-ca-cert-file',
    cert,
    '--tls-auth-clients',
    'no',
  ];
  servers.redis = await startServer('redis-server', (port, dir) => [
    ...['--bind', '127.0.0.1', '--port', '0', '--tls-port', String(port), '--dir', dir, '--save', ''],
    ...files,
  ]);
  servers.nats = await startServer('nats-server', (port, dir) => [
    ...['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', dir],
    ...['--tls', '--tlscert', cert, '--tlskey', key],
  ]);
});
afterAll(async () => {
  for (const server of Object.values(servers)) await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const open = (type: 'redis' | 'nats', host: string, more: object): Sink => {
  const { port } = servers[type]!;
  const place = type === 'redis' ? { host, port } : { servers: [`${host}:${port}`] };
  const settings = type === 'redis' ? { key: ['id'] } : { bucket: 'members', key: ['id'], create: {} };
  const connector = (type === 'redis' ? redis : nats) as Connector;
  const connection = connector.connection.parse({ ...place, ...more });
  return connector.sink!.open(connection, connector.sink!.settings.parse(settings), openContext({}, folder));
};

describe.each(['redis', 'nats'] as const)('a connection with TLS to %s', (type) => {
  const send = async (host: string, more: object): Promise<unknown> => {
    const sink = open(type, host, more);
    try {
      return await sink.can.put!(testPermit({ records: [{ id: 1 }] }));
    } finally {
      await sink.close!();
    }
  };

  it('is made when certificate and name are those of the server', async () => {
    expect(await send('localhost', { tls: 'verify', caFile: 'cert.pem' })).toMatchObject({ refusals: [] });
  });

  it.each([
    ['nobody vouches for the certificate', 'localhost', { tls: 'verify' }],
    ['the certificate is for another name', '127.0.0.1', { tls: 'verify', caFile: 'cert.pem' }],
    ['this side is told to speak without', 'localhost', { tls: 'off' }],
  ] as const)('is not made, and nothing is sent, when %s', async (_, host, more) => {
    expect(await thrownBy(send(host, more))).toMatchObject({ code: 'NOT_APPLIED' });
  });
});
