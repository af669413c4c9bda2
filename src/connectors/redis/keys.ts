import { Buffer } from 'node:buffer';
import { fieldTexts, type KeyedRecord, keyedRecords } from '../../formats/keyed-records.ts';
import { type Answer, APPLIED } from '../../model/answers.ts';
import type { Payload } from '../../model/batch.ts';
import { describeError } from '../../model/errors.ts';
import { answerOf, answerOfReply } from './outcome.ts';
import type { Session } from './session.ts';

export interface KeyOptions {
  /** Stands before the texts of the key columns. */
  readonly prefix: string;
  readonly key: readonly string[];
  /** `json`: the record as it is, a string of Redis. `fields`: a hash with a field for each field of the record. */
  readonly value: 'json' | 'fields';
  readonly expireSeconds?: number;
}

/** Commands that stand or fall together, for one key. */
interface Write {
  readonly commands: readonly (readonly (string | Buffer)[])[];
  readonly places: readonly number[];
}

/** Writes a batch key by key over one connection, all commands at once. Never rejects once the first has left. */
export async function putAll(session: Session, payload: Payload, options: KeyOptions): Promise<readonly Answer[]> {
  const { records, unfit } = keyedRecords(payload, options.key);
  const answers: Answer[] = Array.from({ length: payload.spans.length / 2 });
  for (const [at, reason] of unfit) answers[at] = { kind: 'refused', ...reason };
  const writes: Write[] = [];
  for (const record of records) {
    const write = writeOf(record, options);
    if (Array.isArray(write)) writes.push({ commands: write, places: record.places });
    else for (const at of record.places) answers[at] = write as Answer;
  }
  await Promise.all(
    writes.map(async ({ commands, places }) => {
      const answer = await outcome(
        commands.map((command) => session.ask(command)),
        session,
      );
      for (const at of places) answers[at] = answer;
    }),
  );
  return answers;
}

/** The commands for one record, or why it cannot be written. */
function writeOf(record: KeyedRecord, options: KeyOptions): Write['commands'] | Answer {
  const name = keyName(options.prefix, record.key);
  const expire = options.expireSeconds === undefined ? [] : [String(options.expireSeconds)];
  if (options.value === 'json') {
    const { buffer, byteOffset, byteLength } = record.bytes;
    const value = Buffer.from(buffer, byteOffset, byteLength);
    return [['SET', name, value, ...expire.flatMap((seconds) => ['EX', seconds])]];
  }
  const fields = fieldTexts(record.record);
  if (!Array.isArray(fields)) return { kind: 'refused', ...(fields as { code: string; message: string }) };
  // What an older version had and this one has not must go, and no reader may see the key without its fields.
  return [
    ['MULTI'],
    ['DEL', name],
    ['HSET', name, ...fields],
    ...expire.map((seconds) => ['EXPIRE', name, seconds]),
    ['EXEC'],
  ];
}

/** Different keys have different names: with several columns, what separates them does not stand in their texts. */
export function keyName(prefix: string, key: readonly string[]): string {
  if (key.length === 1) return prefix + key[0]!;
  return prefix + key.map((text) => text.replaceAll('%', '%25').replaceAll(':', '%3A')).join(':');
}

async function outcome(asked: readonly Promise<unknown>[], session: Session): Promise<Answer> {
  const replies = await Promise.allSettled(asked);
  const last = replies.at(-1)!;
  if (last.status === 'fulfilled') return replyOf(last.value);
  // A transaction that could not be queued says why at the command, and at its end only that it was discarded.
  const cause = replies.find((reply) => reply.status === 'rejected') as PromiseRejectedResult;
  if (/^EXECABORT/.test(describeError(last.reason))) return answerOf(cause.reason, session.gaveUp);
  const answer = answerOf(last.reason, session.gaveUp);
  // Where the beginning of a transaction was refused, what was to stand in it has been carried out by itself.
  return answer.kind === 'unknown' && cause !== last
    ? { ...answer, message: session.gaveUp ?? describeError(cause.reason) }
    : answer;
}

function replyOf(reply: unknown): Answer {
  // An error within a transaction comes after what stood before it was carried out.
  const failed = Array.isArray(reply) ? reply.find((one) => one instanceof Error) : undefined;
  if (failed === undefined) return APPLIED;
  const answer = answerOfReply((failed as Error).message);
  return { ...answer, kind: 'unknown' } as Answer;
}
