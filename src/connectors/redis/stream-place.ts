import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';

export const SEQUENCE_POSITION = 'waybill/seq';

/** Where a reading of a stream stands. */
export interface StreamPlace {
  /** The id of the last entry that was read. */
  readonly id: string;
  /** How many entries had ever been added up to that one. Unknown for what a person has set, and before Redis 7. */
  readonly added?: number;
}

/** What the server says of a stream, in one step. */
export interface StreamFacts {
  readonly length: number;
  /** The id of the first entry that is there; undefined for none. */
  readonly first: string | undefined;
  /** The largest id that was ever given. */
  readonly last: string;
  /** How many entries were ever added; undefined before Redis 7. */
  readonly added: number | undefined;
}

export const START_ID = '0-0';

export const positionOf = (stream: string, { id, added }: StreamPlace): Position => ({
  sourceName: stream,
  kind: SEQUENCE_POSITION,
  value: JSON.stringify({ stream, id, ...(added === undefined ? {} : { added }) }),
});

/** Understands a plain id as well. A text says why it cannot. */
export function placeOf({ kind, value }: Position, stream: string): StreamPlace | string {
  if (kind !== SEQUENCE_POSITION) return `a position of the kind ${kind} says nothing about a stream`;
  const plain = fullId(value.trim());
  if (plain !== undefined) return { id: plain };
  const read = parsed(value);
  if (read === undefined) return 'the position is neither an id nor `{"stream": …, "id": …}`';
  if (read.stream !== undefined && read.stream !== stream) return 'the position belongs to another stream';
  const id = typeof read.id === 'string' ? fullId(read.id) : undefined;
  if (id === undefined) return 'the position has no id that could be read';
  const { added } = read;
  return { id, ...(Number.isSafeInteger(added) && (added as number) >= 0 ? { added: added as number } : {}) };
}

const U64_MAX = 2n ** 64n - 1n;

/** An id in both its parts; undefined for what is none. */
function fullId(text: string): string | undefined {
  const [, time = '', nth = '0'] = /^(\d{1,20})(?:-(\d{1,20}))?$/.exec(text) ?? [];
  if (time === '' || BigInt(time) > U64_MAX || BigInt(nth) > U64_MAX) return undefined;
  return `${BigInt(time)}-${BigInt(nth)}`;
}

function parsed(value: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const read: unknown = JSON.parse(value);
    return typeof read === 'object' && read !== null ? (read as Record<string, unknown>) : undefined;
  } catch {
    // A person may have written anything; the caller says so.
    return undefined;
  }
}

/** Whether one id comes after another. */
export function isAfter(id: string, other: string): boolean {
  const [time, nth] = id.split('-').map(BigInt) as [bigint, bigint];
  const [otherTime, otherNth] = other.split('-').map(BigInt) as [bigint, bigint];
  return time === otherTime ? nth > otherNth : time > otherTime;
}

/** Whether nothing that was read is there any more, so that something behind it may have gone the same way. */
export const isBare = (from: StreamPlace, { first }: StreamFacts): boolean =>
  first === undefined || isAfter(first, from.id);

/**
 * Throws SOURCE_REPLACED or SOURCE_TRIMMED where what should follow the place is not all there. A stream is trimmed
 * from its beginning: as long as an entry up to the place is there, nothing behind it was. When none is there, all that
 * there is lies behind it, and must be as much as was added since.
 */
export function expectGoesOn(stream: string, from: StreamPlace, facts: StreamFacts): void {
  const ids = { stream, id: from.id };
  if (isAfter(from.id, facts.last)) {
    const ends = `the stream ${stream} ends at ${facts.last}, before the position ${from.id}`;
    throw new WaybillError('SOURCE_REPLACED', `${ends}: it was made anew, or brought back from a backup`, { ids });
  }
  if (facts.added === undefined || from.added === undefined) return;
  if (facts.added < from.added) {
    const counts = `${facts.added} entries were ever added to it, and ${from.added} were when it was last read`;
    throw new WaybillError('SOURCE_REPLACED', `the stream ${stream} is another one: ${counts}`, { ids });
  }
  const lost = facts.added - from.added - facts.length;
  if (lost <= 0 || !isBare(from, facts)) return;
  const what = lost === 1 ? '1 entry' : `${lost} entries`;
  const until = facts.first === undefined ? `up to ${facts.last}` : `and before ${facts.first}`;
  const { value } = positionOf(stream, { id: from.id, added: facts.added - facts.length });
  const message = `${what} of the stream ${stream} behind ${from.id} ${until} were removed before they were read`;
  throw new WaybillError('SOURCE_TRIMMED', message, {
    hint:
      `They are lost here. To go on behind them: waybill state FLOW set --value '${value}' ` +
      '(`waybill state FLOW show` tells where it stands). A larger MAXLEN, or a lower MINID, keeps entries longer.',
    ids: { ...ids, lost },
  });
}
