import { plainText } from './format-values.ts';

/** A value in a table; `style` colours it after it was cut and padded, so that colour never counts as width. */
export type Cell = string | number | undefined | { readonly text: string; readonly style: (text: string) => string };

export interface Column {
  readonly head: string;
  readonly align?: 'left' | 'right';
  /** A column that may be cut when the table is too wide, and the least width it keeps. The widest is cut first. */
  readonly shrinkTo?: number;
}

const GAP = '  ';

/**
 * Lines of a table. When it is wider than `width` columns, those that may shrink are cut with `…`; a table of columns
 * that may not is left too wide, for the terminal to wrap, rather than have a number or an id lose its end. A column
 * in which no row has a value is left out.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions,
): string[] {
  const cells = rows.map((row) => columns.map((_, at) => toCell(row[at])));
  const used = columns.map((_, at) => cells.some((row) => row[at]!.text !== ''));
  const widths = columns.map((column, at) =>
    used[at] ? Math.max(displayWidth(column.head), ...cells.map((row) => displayWidth(row[at]!.text))) : 0,
  );
  shrink(columns, widths, options.width);
  const line = (texts: readonly string[]) =>
    texts
      .filter((_, at) => used[at])
      .join(GAP)
      .trimEnd();
  const head = line(columns.map((column, at) => options.headStyle(padTo(column.head, widths[at]!, column.align))));
  return [head, ...cells.map((row) => line(row.map((cell, at) => paint(cell, widths[at]!, columns[at]!))))];
}

export interface TableOptions {
  readonly width: number;
  headStyle(text: string): string;
}

function toCell(cell: Cell): { text: string; style: (text: string) => string } {
  if (cell === undefined) return { text: '', style: identity };
  if (typeof cell === 'object') return { text: plainText(cell.text), style: cell.style };
  return { text: plainText(String(cell)), style: identity };
}

const identity = (text: string): string => text;

/** Takes columns away from the widest column that may shrink until the table fits or nothing more can be taken. */
function shrink(columns: readonly Column[], widths: number[], limit: number): void {
  const total = () => widths.reduce((sum, width) => sum + width + (width > 0 ? GAP.length : 0), -GAP.length);
  for (let over = total() - limit; over > 0; over = total() - limit) {
    let widest = -1;
    for (const [at, column] of columns.entries()) {
      if (column.shrinkTo === undefined || widths[at]! <= column.shrinkTo) continue;
      if (widest === -1 || widths[at]! > widths[widest]!) widest = at;
    }
    if (widest === -1) return;
    const spare = widths[widest]! - columns[widest]!.shrinkTo!;
    widths[widest]! -= Math.max(1, Math.min(over, Math.ceil(spare / 4)));
  }
}

function paint(cell: { text: string; style: (text: string) => string }, width: number, column: Column): string {
  const text = cutText(cell.text, width);
  const space = ' '.repeat(width - displayWidth(text));
  return column.align === 'right' ? space + cell.style(text) : cell.style(text) + space;
}

function padTo(text: string, width: number, align: Column['align'] = 'left'): string {
  const cut = cutText(text, width);
  const space = ' '.repeat(width - displayWidth(cut));
  return align === 'right' ? space + cut : cut + space;
}

/** At most `width` columns of a text; a cut one ends in `…`. */
export function cutText(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width <= 0) return '';
  let kept = '';
  let used = 0;
  for (const character of text) {
    const wide = characterWidth(character);
    if (used + wide > width - 1) break;
    kept += character;
    used += wide;
  }
  return `${kept}…`;
}

/** Columns that a text takes on a terminal. Colour codes must not be in it. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

// East Asian wide characters and emoji take two columns; the ranges are those that terminals agree on.
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
];
/** Marks that stand over or join their neighbours. */
const NO_WIDTH = /\p{Mn}|\p{Me}|\p{Cf}/u;

function characterWidth(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x300) return 1;
  if (NO_WIDTH.test(character)) return 0;
  return WIDE.some(([from, to]) => code >= from && code <= to) ? 2 : 1;
}

/** Breaks a text into lines of at most `width` columns at its spaces; a word that is longer stands alone, whole. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    if (line !== '' && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, line];
}
