import type { Payload } from '../../model/batch.ts';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import type { Verdict } from '../../model/verdict.ts';
import type { Abilities, OpenContext, Permit, Rate, Sink } from '../connector.ts';
import { framingOf } from './body.ts';
import { batchHeaders, Caller } from './caller.ts';
import { openJob } from './job.ts';
import { Judge, sentOf } from './judge.ts';
import { asksForBatch, openLookup } from './lookup.ts';
import { classOf } from './outcome.ts';
import { nameOf, type Parts } from './parts.ts';
import { at, identityOf } from './paths.ts';
import type { ReceiptConfig } from './receipt-config.ts';
import type { Reply } from './reply.ts';
import { type ConnectionConfig, isSingle, rejectsAtomically, type SinkConfig } from './settings.ts';
import { fill, isSegment } from './template.ts';

/** Opens no connection: the first request does. */
export function openHttpSink(connection: ConnectionConfig, settings: SinkConfig, context: OpenContext): Sink {
  const atomic = rejectsAtomically(settings);
  const { batch, idempotencyKey, lookup, rate, statuses } = settings;
  const caller = new Caller(connection, settings, context, classOf(401, statuses, atomic) === 'refused');
  const wallMs = () => context.ports.wallMs();
  const judge = new Judge({ statuses, atomic, wallMs });
  return {
    accepts: [framingOf(settings.body)],
    limits: {
      recordsPerBatch: isSingle(settings) ? 1 : (batch.maxRecords ?? 100),
      bytesPerBatch: batch.maxBytes,
      inFlight: settings.inFlight,
    },
    can: abilities({ caller, judge, settings }),
    facts: {
      rejectsAtomically: atomic || statuses.refused.length > 0,
      ...(idempotencyKey
        ? { key: { horizonMs: idempotencyKey.horizon, storesErrors: idempotencyKey.storesErrors } }
        : {}),
      ...(typeof settings.upsert === 'object' ? { putKey: [settings.upsert.key] } : {}),
      ...(lookup ? { visibilityLagMs: lookup.visibilityLag, findsOthers: !asksForBatch(lookup) } : {}),
    },
    requestTimeoutMs: settings.requestTimeout,
    ...(rate ? { rate: present(rate) } : {}),
    close: async () => caller.close(),
  };
}

/** Each part of the settings that says what the API can do is an ability; without any, it only takes records. */
function abilities(parts: Parts): Partial<Abilities> {
  const { settings } = parts;
  const find = settings.lookup === undefined ? {} : { find: openLookup(parts, settings.lookup) };
  if (settings.job !== undefined) return { ...find, job: openJob(parts, settings.job) };
  const sender = new Sender(parts);
  const { upsert, idempotencyKey } = settings;
  if (typeof upsert === 'object') return { ...find, put: (permit) => sender.putOne(permit, upsert) };
  const send = (permit: Permit): Promise<Verdict> => sender.send(permit);
  return {
    ...find,
    append: send,
    ...(idempotencyKey === undefined ? {} : { appendOnce: send }),
    ...(upsert === undefined ? {} : { put: send }),
  };
}

/** Sends whole batches, one request each. */
class Sender {
  readonly #parts: Parts;
  readonly #receipt: ReceiptConfig;
  readonly #name: string;
  /** The API has said that it pays no heed to idempotency keys: a repeat would not be recognised. */
  #keyIgnored = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#receipt = parts.settings.receipt ?? { shape: 'none' };
    this.#name = nameOf(parts.settings.method, parts.settings.path);
  }

  async send(permit: Permit): Promise<Verdict> {
    const { settings, caller, judge } = this.#parts;
    const key = settings.idempotencyKey;
    if (this.#keyIgnored) throw keyIgnored(this.#name);
    let payload: Payload | undefined;
    const headers = batchHeaders(permit);
    if (key !== undefined) headers.push(key.header.toLowerCase(), permit.batch.idempotencyKey);
    const reply = await caller.call({
      method: settings.method,
      name: this.#name,
      signal: permit.signal,
      headers,
      compose: async () => {
        payload = await permit.payload();
        return { path: settings.path, body: payload.bytes };
      },
    });
    if (key !== undefined) this.#watchKey(reply, key);
    return judge.verdict(this.#name, reply, permit.batch, payload as Payload, this.#receipt);
  }

  /** One record under its key. The key stands in the path, so it is known only when the bytes are. */
  async putOne(permit: Permit, upsert: Extract<SinkConfig['upsert'], object>): Promise<Verdict> {
    const name = nameOf(upsert.method, upsert.path);
    let payload: Payload | undefined;
    const reply = await this.#parts.caller.call({
      method: upsert.method,
      name,
      signal: permit.signal,
      headers: batchHeaders(permit),
      compose: async () => {
        payload = await permit.payload();
        const key = identityOf(at(sentOf(permit.batch, payload).record(0), upsert.key));
        if (key === undefined) {
          throw new RefusedError(`the record has no key at ${upsert.key}`, { reason: 'no-key' });
        }
        if (!isSegment(key)) {
          throw new RefusedError(`the key at ${upsert.key} cannot stand in an address`, { reason: 'key-unfit' });
        }
        return { path: fill(upsert.path, { key }), body: payload.bytes };
      },
    });
    return this.#parts.judge.verdict(name, reply, permit.batch, payload as Payload, this.#receipt);
  }

  #watchKey(reply: Reply, key: NonNullable<SinkConfig['idempotencyKey']>): void {
    const { confirmHeader } = key;
    if (confirmHeader?.ignored !== undefined) {
      this.#keyIgnored = reply.header(confirmHeader.name.toLowerCase()) === confirmHeader.ignored;
    }
    if (reply.status !== key.inProgress || this.#parts.settings.statuses.already.includes(reply.status)) return;
    throw new WaybillError('SINK_FAILED', `${this.#name}: an earlier request of this batch is still running`, {
      ids: { status: reply.status },
    });
  }
}

function keyIgnored(name: string): NotAppliedError {
  return new NotAppliedError(`${name} was not sent: the API has answered that it ignores the idempotency key`, {
    sinkAway: true,
    hint: 'Remove idempotencyKey from the sink, so that the lane promises only what this API can keep.',
  });
}

function present(rate: NonNullable<SinkConfig['rate']>): Rate {
  return Object.fromEntries(Object.entries(rate).filter(([, value]) => value !== undefined));
}
