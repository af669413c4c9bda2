import { DEPTH_MAX } from './encode.ts';
import type { GrowingFramer } from './formats.ts';
import { type Fault, kernel } from './kernel.ts';
import { type FramerOptions, type LineFormat, LineFramer } from './line-framer.ts';

/**
 * Cuts newline-delimited JSON into chunks. Every line is checked in full: one that is not a JSON object becomes a
 * reject with its row and line, and the rest goes on. Blank lines are skipped and count as lines, not as rows.
 */
export function ndjsonFramer(options: FramerOptions = {}): GrowingFramer {
  return new LineFramer(NDJSON, options);
}

/** The kernel's own limit; the encoder has the same. */
export const TOO_DEEP = `the value is nested deeper than ${DEPTH_MAX} levels`;

/** What the kernel found wrong with a line, without a word of its content. */
export function describeLine(fault: Fault, detail: number): { code: string; message: string } {
  const place = `byte ${detail + 1} of the line`;
  switch (fault) {
    case 'not-object':
      return { code: 'JSON_INVALID', message: 'the value is not a JSON object' };
    case 'after-object':
      return { code: 'JSON_INVALID', message: `something follows the JSON value, at ${place}` };
    case 'too-deep':
      return { code: 'JSON_INVALID', message: TOO_DEEP };
    default:
      return { code: 'JSON_INVALID', message: `not well-formed JSON, at ${place}` };
  }
}

const NDJSON: LineFormat = {
  shape: { format: 'ndjson' },
  frame: (bytes) => kernel().frameLines(bytes),
  describe: describeLine,
};
