import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';

export const SEQUENCE_POSITION = 'waybill/seq';

/** Where a reading of a stream stands. */
export interface Sequence {
  /** The sequence of the last message that was read; 0 for none. */
  readonly sequence: number;
  /** When the stream was made, which tells it from another one of its name. Unknown for one that a person has set. */
  readonly created?: string;
}

/** What there is of a stream. `first` and `last` are sequences; `first` is one beyond `last` when it is empty. */
export interface StreamFacts {
  readonly created: string;
  readonly first: number;
  readonly last: number;
  readonly messages: number;
  /** Sequences between `first` and `last` that hold nothing any more. */
  readonly deleted: number;
}

/** `{"stream":"ORDERS","seq":42,"created":"…"}`, so that a person sees at once what it is about. */
export const positionOf = (stream: string, { sequence, created }: Sequence): Position => ({
  sourceName: stream,
  kind: SEQUENCE_POSITION,
  value: JSON.stringify({ stream, seq: sequence, ...(created === undefined ? {} : { created }) }),
});

/** Understands a plain number as well. A text says why it cannot. */
export function sequenceOf({ kind, value }: Position, stream: string): Sequence | string {
  if (kind !== SEQUENCE_POSITION) return `a position of the kind ${kind} says nothing about a stream`;
  if (/^\d{1,15}$/.test(value.trim())) return { sequence: Number(value) };
  const read = parsed(value);
  if (read === undefined) return 'the position is neither a sequence nor `{"stream": …, "seq": …}`';
  const { seq, created } = read;
  if (read.stream !== undefined && read.stream !== stream) return 'the position belongs to another stream';
  if (!Number.isSafeInteger(seq) || (seq as number) < 0) return 'the position has no sequence that could be read';
  return { sequence: seq as number, ...(typeof created === 'string' ? { created } : {}) };
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

/** Throws SOURCE_REPLACED or SOURCE_TRIMMED where what should follow the position is not all there. */
export function expectGoesOn(stream: string, from: Sequence, facts: StreamFacts): void {
  const { sequence, created } = from;
  const ids = { stream, sequence };
  if (created !== undefined && created !== facts.created) {
    const when = `made at ${created}, and the one that is there now at ${facts.created}`;
    throw new WaybillError('SOURCE_REPLACED', `the stream ${stream} is another one: what was read was ${when}`, {
      ids,
    });
  }
  if (facts.last < sequence) {
    const ends = `the stream ${stream} ends at ${facts.last}, before the position ${sequence}`;
    throw new WaybillError('SOURCE_REPLACED', `${ends}: it was made anew, or brought back from a backup`, { ids });
  }
  expectNothingRemoved(stream, sequence, facts);
}

/** Throws SOURCE_TRIMMED when messages behind `sequence` were removed from the beginning of the stream. */
export function expectNothingRemoved(stream: string, sequence: number, facts: StreamFacts): void {
  if (facts.first <= sequence + 1) return;
  const lost = facts.first - 1;
  const range = lost === sequence + 1 ? `message ${lost}` : `messages ${sequence + 1} to ${lost}`;
  const value = positionOf(stream, { sequence: lost, created: facts.created }).value;
  throw new WaybillError('SOURCE_TRIMMED', `the stream ${stream} has removed ${range} before they were read`, {
    hint:
      `They are lost here. To go on behind them: waybill state FLOW set --value '${value}' ` +
      '(`waybill state FLOW show` tells where it stands). A longer `max_age`, or larger limits, keep messages longer.',
    ids: { stream, sequence, lost: `${sequence + 1}-${lost}` },
  });
}
