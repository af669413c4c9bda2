import { csvFramer } from '../../formats/csv.ts';
import type { FramedChunk, Framer } from '../../formats/formats.ts';
import { jsonFramer } from '../../formats/json.ts';
import { ndjsonFramer } from '../../formats/ndjson.ts';
import type { Chunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Source } from '../connector.ts';

export interface StdinOptions {
  readonly stdin: NodeJS.ReadableStream;
  readonly format: 'ndjson' | 'csv' | 'json';
  readonly delimiter: string;
  readonly header: boolean | readonly string[];
}

/** Reads the standard input, once: what has gone through a pipe cannot be had again. */
export function stdinSource(options: StdinOptions): Source {
  let begun = false;
  return {
    emits: [options.format === 'csv' ? 'csv' : 'ndjson'],
    resumable: false,
    read: (_range, signal) => {
      if (begun) {
        throw new WaybillError('SOURCE_FAILED', 'the standard input has been read already, and can be read only once', {
          hint: 'Pipe the data in again and start anew; to be able to go on after a crash, put it into a file first.',
        });
      }
      begun = true;
      return chunks(options, signal);
    },
  };
}

async function* chunks(options: StdinOptions, signal: AbortSignal): AsyncGenerator<Chunk> {
  const framer = framerOf(options);
  // Waiting for input ends when the run is stopped: destroying the stream ends the iteration.
  const stop = (): void => {
    (options.stdin as Partial<{ destroy(): void }>).destroy?.();
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const piece of options.stdin) {
      signal.throwIfAborted();
      yield* withoutPlaces(framer.push(typeof piece === 'string' ? Buffer.from(piece) : piece));
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

function framerOf({ format, delimiter, header }: StdinOptions): Framer {
  switch (format) {
    case 'csv':
      return csvFramer({ delimiter, header });
    case 'json':
      return jsonFramer();
    default:
      return ndjsonFramer();
  }
}

function* withoutPlaces(framed: readonly FramedChunk[]): Generator<Chunk> {
  for (const { endOffset: _, ...chunk } of framed) yield chunk;
}
