import type { Columns } from '../../../model/columns.ts';
import type { RunId } from '../../../model/ids.ts';
import type { HistoryRow, LookRow, SliceRow } from '../../../model/slice.ts';
import type { Cell } from '../../row-digest.ts';
import { LOOK_KIND, toCode, toWord } from '../codes.ts';
import { type Store, table } from '../store.ts';

export const SLICE = table('slice', 20, {
  keys: ['id'],
  fixed: ['flow', 'source', 'run', 'generation', 'first', 'records', 'bytes', 'digest', 'part', 'kind', 'value'],
  rest: ['watermark', 'late', 'system_time', 'columns'],
});
export const LOOK = table('look', 21, { keys: ['flow', 'source'], rest: ['kind', 'why', 'at', 'in_vain'] });
export const HISTORY_ROW = table('history', 22, { keys: ['flow', 'key'], rest: ['row'] });

export const encodeSlice = (slice: SliceRow): Cell[] => [
  slice.id,
  slice.flow,
  slice.position.sourceName,
  slice.run,
  slice.generation,
  slice.offset,
  slice.records,
  slice.bytes,
  slice.digest,
  slice.part ?? null,
  slice.position.kind,
  slice.position.value,
  slice.watermark ?? null,
  slice.late,
  slice.systemTimeMs,
  slice.columns === undefined ? null : JSON.stringify(slice.columns),
];

export const decodeSlice = (c: readonly Cell[]): SliceRow => ({
  id: c[0] as number,
  flow: c[1] as string,
  run: c[3] as RunId,
  generation: c[4] as number,
  offset: c[5] as number,
  records: c[6] as number,
  bytes: c[7] as number,
  digest: c[8] as Uint8Array,
  ...(c[9] === null ? {} : { part: c[9] as string }),
  position: { sourceName: c[2] as string, kind: c[10] as string, value: c[11] as string },
  ...(c[12] === null ? {} : { watermark: c[12] as string }),
  late: c[13] as number,
  systemTimeMs: c[14] as number,
  ...(c[15] === null ? {} : { columns: JSON.parse(c[15] as string) as Columns }),
});

export const encodeLook = (flow: string, look: LookRow): Cell[] => [
  flow,
  look.sourceName,
  toCode(LOOK_KIND, look.kind),
  look.why,
  look.atMs,
  look.inVain,
];

export const decodeLook = (store: Store, c: readonly Cell[]): LookRow => ({
  sourceName: c[1] as string,
  kind: toWord(LOOK_KIND, c[2] as Cell, store.place),
  why: c[3] as string,
  atMs: c[4] as number,
  inVain: c[5] as number,
});

export const decodeHistory = (c: readonly Cell[]): HistoryRow => ({ key: c[1] as Uint8Array, row: c[2] as Uint8Array });
