import type * as Sdk from '@aws-sdk/client-s3';
import { WaybillError } from '../../model/errors.ts';

export interface S3Connection {
  /** Absent: that of Amazon for the region. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly bucket: string;
  readonly forcePathStyle: boolean;
  /** Resolved when the client is made; absent: as the environment of the process says. */
  credentials?(): { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string };
  readonly requestTimeoutMs: number;
}

const CONNECT_MS = 10_000;

export interface Client {
  readonly sdk: typeof Sdk;
  readonly client: Sdk.S3Client;
}

/** A client that asks once: each repeat is the engine's, and a fact in the ledger. Throws DRIVER_MISSING. */
export async function newClient(connection: S3Connection): Promise<Client> {
  const sdk = await loadDriver();
  const { endpoint, region, forcePathStyle, requestTimeoutMs } = connection;
  const client = new sdk.S3Client({
    region,
    forcePathStyle,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(connection.credentials === undefined ? {} : { credentials: connection.credentials() }),
    maxAttempts: 1,
    // Gateways that are not Amazon's refuse the trailing checksums that the client would send by itself.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: requestTimeoutMs,
      // Also between two pieces of an answer, which the other limit does not count.
      socketTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
    },
  });
  return { sdk, client };
}

async function loadDriver(): Promise<typeof Sdk> {
  try {
    return await import('@aws-sdk/client-s3');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new WaybillError('DRIVER_MISSING', 'the s3 connector needs the package @aws-sdk/client-s3', {
      hint: 'Install it beside Waybill: npm install @aws-sdk/client-s3',
      cause: error,
    });
  }
}
