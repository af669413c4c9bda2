import type { Reject } from '../../model/chunk.ts';
import type { Columns } from '../../model/columns.ts';
import type { Framer } from '../formats.ts';
import { type Fault, kernel } from '../kernel.ts';
import { type FramerOptions, type LineFormat, LineFramer } from '../line-framer.ts';

/**
 * Cuts the text form of COPY into chunks of lines, as PostgreSQL writes it: fields with a tab between them, `\N` for
 * null, tabs and line ends of values spelled with a backslash. A line with another number of fields becomes a reject.
 * The line `\.` at the end may be there or not.
 */
export function copyTextFramer(columns: Columns, options: FramerOptions = {}): Framer {
  const fields = columns.length;
  const format: LineFormat = {
    shape: { format: 'pgcopy-text', columns: columns.map(({ name }) => name), types: columns },
    unmarked: true,
    frame: (bytes) => kernel().frameCopyText(bytes, fields),
    describe: (fault, detail) => describe(fault, detail, fields),
  };
  return new LineFramer(format, options);
}

function describe(fault: Fault, found: number, fields: number): Pick<Reject, 'code' | 'message'> {
  if (fault === 'nul') return { code: 'TEXT_INVALID', message: 'the row holds a NUL' };
  return { code: 'COPY_INVALID', message: `the row has ${found} fields, not ${fields}` };
}
