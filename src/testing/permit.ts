import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Permit } from '../connectors/connector.ts';
import { type Framing, LINES, type Payload } from '../model/batch.ts';
import type { Format } from '../model/chunk.ts';
import { NotAppliedError, WaybillError } from '../model/errors.ts';
import { asBatchId, asRunId } from '../model/ids.ts';
import type { Load } from '../model/load.ts';

export interface TestPermitOptions {
  /** Objects are written as JSON; texts stand for records that are encoded already. */
  readonly records: readonly (object | string)[];
  /** How the records stand in the batch; lines when absent. */
  readonly framing?: Framing;
  readonly columns?: readonly string[];
  /** How the records are encoded, for a sink that accepts several formats and would rather have another. */
  readonly format?: Format;
  /** Names of the records' keys; the content stands for it when absent. */
  readonly keys?: readonly string[];
  readonly ledger?: string;
  readonly flow?: string;
  readonly window?: string;
  readonly lane?: string;
  /** The number of the batch, and its place in the lane. */
  readonly batch?: number;
  readonly attempt?: number;
  /** What the fence counts the claims of; the lane stands for it when absent. */
  readonly shard?: string;
  readonly fence?: number;
  readonly idempotencyKey?: string;
  readonly correlationId?: string;
  /** What the batch is collected for. */
  readonly load?: Load;
  readonly signal?: AbortSignal;
  /** The deadline has passed: `payload` refuses. */
  readonly expired?: boolean;
}

/** A permit for tests of sinks: a real frozen batch without a ledger. The same options make the same batch. */
export function testPermit(options: TestPermitOptions): Permit {
  const payload = testPayload(options);
  const number = options.batch ?? 1;
  const digest = createHash('sha256').update(payload.bytes).digest('hex');
  return {
    batch: {
      id: asBatchId(number),
      run: asRunId(1),
      ledger: options.ledger ?? 'test-ledger',
      flow: options.flow ?? 'test-flow',
      window: options.window ?? 'all',
      lane: options.lane ?? 'test-lane',
      seq: number,
      records: options.records.length,
      bytes: payload.bytes.length,
      digest,
      idempotencyKey: options.idempotencyKey ?? `test-${number}-${digest.slice(0, 16)}`,
    },
    attempt: options.attempt ?? 1,
    shard: options.shard ?? options.lane ?? 'test-lane',
    fence: options.fence ?? 1,
    correlationId: options.correlationId ?? 'test-correlation',
    ...(options.load === undefined ? {} : { load: options.load }),
    signal: options.signal ?? new AbortController().signal,
    async payload() {
      if (options.expired !== true) return payload;
      const cause = new WaybillError('PERMIT_EXPIRED', `the deadline of batch b${number} has passed`);
      throw new NotAppliedError('the send came too late', { cause });
    },
  };
}

/** The bytes of such a batch, for looking them up without a permit. */
export function testPayload(options: TestPermitOptions): Payload {
  const framing = options.framing ?? LINES;
  const texts = options.records.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)));
  const spans = new Uint32Array(texts.length * 2);
  const keys = new Uint8Array(texts.length * 16);
  let end = Buffer.byteLength(framing.head);
  for (const [at, text] of texts.entries()) {
    if (at > 0) end += Buffer.byteLength(framing.separator);
    spans[at * 2] = end;
    end += Buffer.byteLength(text);
    spans[at * 2 + 1] = end;
    const name = options.keys?.[at] ?? text;
    keys.set(createHash('sha256').update(name).digest().subarray(0, 16), at * 16);
  }
  const bytes = new Uint8Array(Buffer.from(framing.head + texts.join(framing.separator) + framing.tail, 'utf8'));
  const { columns, format } = options;
  return {
    bytes,
    spans,
    keys,
    ...(columns === undefined ? {} : { columns }),
    ...(format === undefined ? {} : { format }),
  };
}
