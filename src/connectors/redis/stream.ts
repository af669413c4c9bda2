import { Buffer } from 'node:buffer';
import { fieldTexts, recordBytes, recordOf, type Unfit } from '../../formats/keyed-records.ts';
import { type Answer, errorOfAll } from '../../model/answers.ts';
import { assert } from '../../model/assert.ts';
import type { Batch, Payload } from '../../model/batch.ts';
import { RefusedError, type WaybillError } from '../../model/errors.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import { answerOf, answerOfReply } from './outcome.ts';
import type { Session } from './session.ts';

export interface StreamOptions {
  readonly stream: string;
  /** `json`: the record as it is, in the field `data`. `fields`: a field for each field of the record. */
  readonly value: 'json' | 'fields';
  /** Markers are removed by the server after so many days; kept for good when absent. */
  readonly markerDays?: number;
}

/**
 * The entries of a batch and its marker, in one step of the server: nothing else runs meanwhile, and the server's log
 * and its replicas get all of it or nothing. Redis does not undo what a script did before an error, so the script does:
 * whatever fails after the first entry takes the entries back. Two commands that change nothing come first: adding to
 * a stream under the marker's name, which is not there and is not to be made, since the server looks only at the first
 * write of a script whether its memory is full; and removing an entry that is not there, so that a user who may not
 * take entries back, or a key that is no stream, is met before there is one.
 *
 * KEYS: the stream, the marker. ARGV: the digest, seconds until the marker expires or 0, and for each record how many
 * texts follow and the texts.
 */
const COMMIT = `
local held = redis.call('GET', KEYS[2])
if held then return {held == ARGV[1] and 'already' or 'other'} end
redis.call('XADD', KEYS[2], 'NOMKSTREAM', '*', 'data', '')
redis.call('XDEL', KEYS[1], '0-0')
local ids = {}
local function undo(reply)
  for _, id in ipairs(ids) do redis.call('XDEL', KEYS[1], id) end
  return {'refused', reply.err}
end
local at = 3
while at <= #ARGV do
  local texts = tonumber(ARGV[at])
  local id = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, at + 1, at + texts))
  if type(id) == 'table' and id.err then return undo(id) end
  ids[#ids + 1] = id
  at = at + texts + 1
end
local marked
if ARGV[2] == '0' then marked = redis.pcall('SET', KEYS[2], ARGV[1])
else marked = redis.pcall('SET', KEYS[2], ARGV[1], 'EX', ARGV[2]) end
if marked.err then return undo(marked) end
return {'done', ids[1], ids[#ids]}
`;

/** More texts than this at once do not fit on the stack of the server's Lua. */
const TEXTS_MAX = 4000;
const SECONDS_A_DAY = 86_400;

/** In one hash slot with the stream, as one script may only touch keys of one. */
export const markerName = (stream: string, { idempotencyKey }: Batch): string =>
  `waybill:{${stream}}:${idempotencyKey}`;

/** The command that appends a batch with its marker. Throws RefusedError for a record that is no entry. */
export function commitCommand(batch: Batch, payload: Payload, options: StreamOptions): readonly (string | Buffer)[] {
  const { stream, markerDays = 0, value } = options;
  const command: (string | Buffer)[] = ['EVAL', COMMIT, '2', stream, markerName(stream, batch)];
  command.push(batch.digest, String(markerDays * SECONDS_A_DAY));
  for (let at = 0; at < batch.records; at++) {
    const entry = entryOf(payload, at, value);
    command.push(String(entry.length), ...entry);
  }
  return command;
}

/** What became of the batch, or the error that says it. Never rejects: from here on an error proves nothing. */
export async function commit(
  session: Session,
  batch: Batch,
  command: readonly (string | Buffer)[],
): Promise<Verdict | 'already' | WaybillError> {
  try {
    return resultOf(await session.ask(command), batch);
  } catch (error) {
    return ofStream(answerOf(error, session.gaveUp));
  }
}

function resultOf(reply: unknown, batch: Batch): Verdict | 'already' | WaybillError {
  const [said, first, last] = Array.isArray(reply) ? (reply as readonly (string | undefined)[]) : [];
  if (said === 'done') {
    return applied(batch.records, {
      summary: `${batch.records} entries and their marker in one step`,
      reference: batch.records === 1 ? `${first}` : `${first} to ${last}`,
    });
  }
  if (said === 'already') return 'already';
  if (said === 'other') return new RefusedError('the marker of this batch has another digest', { reason: 'marker' });
  const answer = answerOfReply(first ?? 'the script gave no answer that it could give');
  // The script says that it has taken back what it did, so this proves that nothing was applied.
  return ofStream(said === 'refused' && answer.kind === 'unknown' ? { ...answer, kind: 'request' } : answer);
}

/** What the server refuses is about the stream, never about a record: those were looked at before. */
function ofStream(answer: Answer): WaybillError {
  assert(answer.kind !== 'applied', 'redis.an-error-is-no-success');
  return errorOfAll(answer.kind === 'refused' ? { ...answer, kind: 'request' } : answer, 'appended');
}

/** The texts of one entry: names and values in turn. */
function entryOf(payload: Payload, at: number, value: StreamOptions['value']): readonly (string | Buffer)[] {
  const bytes = recordBytes(payload, at);
  if (value === 'json') return ['data', Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)];
  const texts = fieldTexts(recordOf(bytes));
  if (!Array.isArray(texts)) throw unfit(texts as Unfit, at);
  if (texts.length <= TEXTS_MAX) return texts as string[];
  throw unfit({ code: 'too-many-fields', message: `the record has more than ${TEXTS_MAX / 2} fields` }, at);
}

const unfit = ({ code, message }: Unfit, at: number): RefusedError =>
  new RefusedError(`record ${at + 1} of the batch: ${message}`, { reason: code });
