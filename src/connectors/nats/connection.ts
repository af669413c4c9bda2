import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type * as JetStream from '@nats-io/jetstream';
import type * as KeyValue from '@nats-io/kv';
import type * as Transport from '@nats-io/transport-node';
import { WaybillError } from '../../model/errors.ts';

export interface NatsConnectionOptions {
  /** `host:port` of servers of one cluster; the first that answers is taken. */
  readonly servers: readonly string[];
  readonly user?: string;
  /** Resolved at the moment of connecting. */
  password?(): string;
  token?(): string;
  /** The text of a credentials file, with a JWT and a seed. */
  credentials?(): string;
  readonly tls: 'off' | 'verify';
  /** The text of a certificate authority's certificate, where the system does not know it. */
  ca?(): string;
}

export interface Drivers {
  readonly transport: typeof Transport;
  readonly jetstream: typeof JetStream;
  readonly kv: typeof KeyValue;
}

const CONNECT_MS = 15_000;

/**
 * Connects, once: a connection that breaks off ends for good, with an error for whatever was not answered. Rejects with
 * the driver's error when no server could be reached or none would have us.
 */
export async function connectTo(
  { transport }: Drivers,
  options: NatsConnectionOptions,
): Promise<Transport.NatsConnection> {
  const credentials = options.credentials?.();
  return await transport.connect({
    servers: [...options.servers],
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options.password === undefined ? {} : { pass: options.password() }),
    ...(options.token === undefined ? {} : { token: options.token() }),
    ...(credentials === undefined
      ? {}
      : { authenticator: transport.credsAuthenticator(new TextEncoder().encode(credentials)) }),
    tls: options.tls === 'off' ? null : verified(options),
    timeout: CONNECT_MS,
    reconnect: false,
    ignoreClusterUpdates: true,
    // A stack for each request would cost more than the request.
    noAsyncTraces: true,
    name: 'waybill',
  });
}

interface Verified {
  readonly ca?: string;
  checkServerIdentity(name: string, certificate: PeerCertificate): Error | undefined;
}

/**
 * Where a server is named by its address, the driver gives no name to be checked, and Node would be content with a
 * certificate for `localhost`. Then the certificate has to be for one of the addresses that were given.
 */
function verified({ servers, ca }: NatsConnectionOptions): Verified {
  const hosts = servers.map((server) => server.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''));
  const addresses = hosts.filter((host) => isIP(host) !== 0);
  const text = ca?.();
  return {
    ...(text === undefined ? {} : { ca: text }),
    checkServerIdentity(name, certificate) {
      if (hosts.includes(name) || addresses.length === 0) return checkServerIdentity(name, certificate);
      const faults = addresses.map((address) => checkServerIdentity(address, certificate));
      return faults.includes(undefined) ? undefined : faults[0];
    },
  };
}

/** Throws DRIVER_MISSING. */
export async function loadDrivers(): Promise<Drivers> {
  try {
    const [transport, jetstream, kv] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/jetstream'),
      import('@nats-io/kv'),
    ]);
    return { transport, jetstream, kv };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new WaybillError('DRIVER_MISSING', 'the nats connector needs packages of @nats-io', {
      hint: 'Install them beside Waybill: npm install @nats-io/transport-node @nats-io/jetstream @nats-io/kv',
      cause: error,
    });
  }
}

/** Which servers those are, for messages. */
export const showPlace = ({ servers }: NatsConnectionOptions): string => `NATS at ${servers.join(', ')}`;
