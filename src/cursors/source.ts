import type { ReadRange, Source } from '../connectors/connector.ts';
import type { CursorSource } from './cursor.ts';
import { cursorParts, readByCursor, remainingByCursor } from './pull.ts';

/** How a table or a query is read as a whole, from its beginning to its end. */
export interface WholeReading extends Pick<Source, 'emits' | 'read'> {
  /** How many records that would bring; absent where nobody wants them counted first. */
  readonly count?: (range: ReadRange, signal: AbortSignal) => Promise<number>;
}

/** A table or a query: in a pull what lies behind a position, if it has a cursor; else the whole of it. */
export function sourceOf(cursor: CursorSource | undefined, whole: WholeReading): Source {
  const { emits, count } = whole;
  const byCursor = (range: ReadRange): CursorSource | undefined => (range.pull === undefined ? undefined : cursor);
  return {
    emits,
    // Outside of a pull, too, it has no positions: rows without a value in the cursor's columns belong to a window.
    resumable: cursor !== undefined,
    read: (range, signal) => {
      const by = byCursor(range);
      return by === undefined ? whole.read(range, signal) : readByCursor(by, range, signal);
    },
    ...(count === undefined
      ? {}
      : {
          remaining: async (range, signal) => {
            const by = byCursor(range);
            return { records: await (by === undefined ? count(range, signal) : remainingByCursor(by, range, signal)) };
          },
        }),
    ...(cursor === undefined ? {} : cursorParts(cursor)),
  };
}
