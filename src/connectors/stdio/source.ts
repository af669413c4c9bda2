import { createHash } from 'node:crypto';
import { csvFramer } from '../../formats/csv.ts';
import type { FramedChunk, Framer } from '../../formats/formats.ts';
import { jsonFramer } from '../../formats/json.ts';
import { ndjsonFramer } from '../../formats/ndjson.ts';
import { type Chunk, endChunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';
import type { Look, Source } from '../connector.ts';

export interface StdinOptions {
  readonly stdin: NodeJS.ReadableStream;
  readonly format: 'ndjson' | 'csv' | 'json';
  readonly delimiter?: string | undefined;
  readonly header: boolean | readonly string[];
  /** A longer record is rejected instead of kept in memory. */
  readonly recordBytesMax: number;
}

/** What came through the pipe last. Nobody goes on from it: whatever is piped in is new. */
export const PIPE_POSITION = 'waybill/pipe';

/**
 * Reads the standard input, once: what has gone through a pipe cannot be had again. In a pull the end of the input is
 * its only end, so of an input that breaks off nothing is kept.
 */
export function stdinSource(options: StdinOptions): Source {
  let begun = false;
  return {
    emits: [options.format === 'csv' ? 'csv' : 'ndjson'],
    resumable: false,
    read: ({ pull }, signal) => {
      if (begun) {
        throw new WaybillError('SOURCE_FAILED', 'the standard input has been read already, and can be read only once', {
          hint: 'Pipe the data in again and start anew; to be able to go on after a crash, put it into a file first.',
        });
      }
      begun = true;
      const passed = new PassedBytes();
      return pull === undefined ? chunks(options, passed, signal) : pulled(options, passed, signal);
    },
    pulls: {
      refuses: ({ kind }) => (kind === PIPE_POSITION ? undefined : `a position of the kind ${kind} is none of a pipe`),
      look: async () => look(options.stdin),
    },
  };
}

/** A pull that was begun before may have taken it all. */
function look(stdin: NodeJS.ReadableStream): Look {
  const { readableEnded, destroyed } = stdin as Partial<{ readableEnded: boolean; destroyed: boolean }>;
  if (readableEnded !== true && destroyed !== true) return { kind: 'new' };
  return { kind: 'unchanged', why: 'the standard input has been read to its end' };
}

async function* pulled(options: StdinOptions, passed: PassedBytes, signal: AbortSignal): AsyncGenerator<Chunk> {
  let nextRow = 1;
  for await (const chunk of chunks(options, passed, signal)) {
    nextRow = chunk.firstRow + chunk.count + (chunk.rejects?.length ?? 0);
    yield chunk;
  }
  if (passed.bytes > 0) yield endChunk(passed.position(), { firstRow: nextRow });
}

/** So that the ledger says of each pull what it was. */
class PassedBytes {
  readonly #hash = createHash('sha256');
  bytes = 0;

  add(piece: Uint8Array): void {
    this.#hash.update(piece);
    this.bytes += piece.length;
  }

  position(): Position {
    const value = JSON.stringify({ bytes: this.bytes, sha256: this.#hash.digest('hex') });
    return { sourceName: 'stdin', kind: PIPE_POSITION, value };
  }
}

async function* chunks(options: StdinOptions, passed: PassedBytes, signal: AbortSignal): AsyncGenerator<Chunk> {
  const framer = framerOf(options);
  // Waiting for input ends when the run is stopped: destroying the stream ends the iteration.
  const stop = (): void => {
    (options.stdin as Partial<{ destroy(): void }>).destroy?.();
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const piece of options.stdin) {
      signal.throwIfAborted();
      const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
      passed.add(bytes);
      yield* withoutPlaces(framer.push(bytes));
    }
    signal.throwIfAborted();
    yield* withoutPlaces(framer.end());
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof WaybillError) throw error;
    throw new WaybillError('SOURCE_FAILED', 'reading the standard input failed', { cause: error });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function framerOf({ format, delimiter, header, recordBytesMax }: StdinOptions): Framer {
  switch (format) {
    case 'csv':
      return csvFramer({ delimiter, supposed: delimiter === undefined, header, recordBytesMax });
    case 'json':
      return jsonFramer({ recordBytesMax });
    default:
      return ndjsonFramer({ recordBytesMax });
  }
}

function* withoutPlaces(framed: readonly FramedChunk[]): Generator<Chunk> {
  for (const { endOffset: _, startOffset: _start, ...chunk } of framed) yield chunk;
}
