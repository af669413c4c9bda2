import type { JetStreamClient } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { recordBytes } from '../../formats/keyed-records.ts';
import type { Answer } from '../../model/answers.ts';
import type { Batch, Payload } from '../../model/batch.ts';
import { RefusedError } from '../../model/errors.ts';
import type { Drivers } from './connection.ts';
import { type Message, sendAll } from './messages.ts';
import type { Session } from './session.ts';

export interface StreamOptions {
  readonly stream: string;
  readonly subject: string;
  /** How long the stream at least has to recognise the id of a message. */
  readonly duplicateWindowMs: number;
}

const NANOSECONDS_A_MS = 1e6;

/**
 * Looks at the stream before anything is sent to it: a promise that counts on the stream's memory must not be given
 * when that memory is shorter.
 */
export async function openStream(
  connection: NatsConnection,
  { jetstream }: Drivers,
  { stream, duplicateWindowMs }: StreamOptions,
): Promise<JetStreamClient> {
  const manager = await jetstream.jetstreamManager(connection, { checkAPI: false });
  const { config } = await manager.streams.info(stream);
  if (config.no_ack) {
    // Each message would be stored and each record in doubt, for as long as an answer is waited for.
    throw new RefusedError(`the stream ${stream} acknowledges nothing that it stores`, {
      reason: 'no-ack',
      about: 'request',
      hint: `Let it acknowledge: nats stream edit ${stream} --ack`,
    });
  }
  const windowMs = Math.floor((config.duplicate_window ?? 0) / NANOSECONDS_A_MS);
  if (windowMs < duplicateWindowMs) {
    throw new RefusedError(`the stream ${stream} forgets the ids of messages after ${windowMs} ms`, {
      reason: 'duplicate-window',
      about: 'request',
      hint: `Give the stream a duplicate window of ${duplicateWindowMs} ms, or lower \`duplicateWindowSeconds\`.`,
    });
  }
  return jetstream.jetstream(connection);
}

/** Publishes a batch, a message a record, all at once. Never rejects once the first message has left. */
export async function publishAll(
  session: Session<JetStreamClient>,
  { batch, payload }: { readonly batch: Batch; readonly payload: Payload },
  { stream, subject, timeoutMs }: StreamOptions & { readonly timeoutMs: number },
): Promise<readonly Answer[]> {
  const messages = Array.from({ length: batch.records }, (_, at): Message => {
    const bytes = recordBytes(payload, at);
    const msgID = messageId(batch, at);
    return {
      bytes: bytes.length + headerBytes(msgID, stream),
      places: [at],
      send: () => session.opened.publish(subject, bytes, { msgID, timeout: timeoutMs, expect: { streamName: stream } }),
    };
  });
  return await sendAll(session, messages, Array.from({ length: batch.records }));
}

/** The same for a record of a frozen batch in every attempt: by it the stream knows a repeat. */
export const messageId = ({ idempotencyKey }: Batch, at: number): string => `${idempotencyKey}:${at}`;

/** What the server counts beside the record. */
const headerBytes = (msgID: string, stream: string): number =>
  Buffer.byteLength(`NATS/1.0\r\nNats-Msg-Id: ${msgID}\r\nNats-Expected-Stream: ${stream}\r\n\r\n`);
