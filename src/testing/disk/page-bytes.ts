/** Bytes of one page of a SQLite file that belong to something. */
export interface UsedPage {
  /** 1-based, as SQLite counts. */
  readonly page: number;
  readonly kind: 'header' | 'index' | 'inner index' | 'inner table' | 'leaf' | 'other';
  /** Their places in the file. */
  readonly bytes: readonly number[];
}

const KINDS: Readonly<Record<number, UsedPage['kind']>> = {
  2: 'inner index',
  5: 'inner table',
  10: 'index',
  13: 'leaf',
};
const FILE_HEADER = 100;

/**
 * Finds what a flip can do harm to: of every page of a B-tree its header, its pointers and its cells, and not the room
 * between them, which nobody reads. After the file format that SQLite documents; for files without auto-vacuum.
 */
export function usedPages(file: Uint8Array): UsedPage[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const stored = view.getUint16(16);
  const size = stored === 1 ? 65_536 : stored;
  const pages: UsedPage[] = [{ page: 1, kind: 'header', bytes: Array.from({ length: FILE_HEADER }, (_, at) => at) }];
  for (let page = 1; page * size <= file.length; page++) {
    const start = (page - 1) * size;
    const head = start + (page === 1 ? FILE_HEADER : 0);
    const kind = KINDS[file[head] as number];
    const all = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, nth) => from + nth);
    if (kind === undefined) {
      const bytes = all(start, start + size).filter((at) => file[at] !== 0);
      if (bytes.length > 0) pages.push({ page, kind: 'other', bytes });
      continue;
    }
    const pointers = head + (kind.startsWith('inner') ? 12 : 8) + 2 * view.getUint16(head + 3);
    const content = start + (view.getUint16(head + 5) || 65_536);
    pages.push({ page, kind, bytes: [...all(head, pointers), ...all(Math.min(content, start + size), start + size)] });
  }
  return pages;
}
