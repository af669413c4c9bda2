import type { Columns } from '../model/columns.ts';
import type { HistorySettings } from '../model/history.ts';
import type { SliceRow } from '../model/slice.ts';
import { odfSchema } from './schema.ts';

/** What is told of a flow besides its slices. */
export interface OdfFlow {
  readonly name: string;
  readonly description: string | undefined;
  readonly key: readonly string[] | null;
  readonly history: HistorySettings | undefined;
  /** 32 bytes that name the dataset: the same for the same flow of the same ledger. */
  readonly identity: Uint8Array;
  /** Where the source is fetched from, in ODF's words; undefined where ODF has no word for it. */
  readonly fetch: OdfFetch | undefined;
}

/** A URL or a pattern of files, and how their bytes are read: ODF's `FetchStep`, `PrepStep` and `ReadStep`. */
export interface OdfFetch {
  readonly from:
    | {
        readonly kind: 'Url';
        readonly url: string;
        readonly headers?: readonly { readonly name: string; readonly value: string }[];
      }
    | { readonly kind: 'FilesGlob'; readonly path: string; readonly order: 'ByName' };
  readonly prepare?: readonly { readonly kind: 'Decompress'; readonly format: 'Gzip' | 'Zip'; subPath?: string }[];
  readonly read: Readonly<Record<string, unknown>> & { readonly kind: 'Csv' | 'NdJson' | 'Json' | 'Parquet' };
}

/**
 * `v0.39.0`: as the schemas are spelled today. `rfc-009`: as RFC-009 spelled what an `AddData` holds; its other blocks
 * are those of today.
 */
export const ODF_SPELLINGS = ['v0.39.0', 'rfc-009'] as const;
export type OdfSpelling = (typeof ODF_SPELLINGS)[number];

export interface MetadataBlock {
  readonly systemTime: string;
  readonly sequenceNumber: number;
  readonly event: { readonly kind: string } & Readonly<Record<string, unknown>>;
}

/**
 * The history of a flow as Open Data Fabric's metadata blocks, oldest first. There are no hashes of blocks, which are
 * hashes of FlatBuffers, and no logical hashes of data: both hashes of a slice are SHA-256 of its records, and say so.
 */
export async function* odfBlocks(
  flow: OdfFlow,
  slices: AsyncIterable<SliceRow>,
  spelling: OdfSpelling,
): AsyncGenerator<MetadataBlock> {
  let sequenceNumber = 0;
  const block = (systemTimeMs: number, event: MetadataBlock['event']): MetadataBlock => ({
    systemTime: isoTime(systemTimeMs),
    sequenceNumber: sequenceNumber++,
    event,
  });
  let last: number | undefined;
  for await (const slice of slices) {
    if (sequenceNumber === 0) for (const event of opening(flow)) yield block(slice.systemTimeMs, event);
    if (slice.columns !== undefined) yield block(slice.systemTimeMs, schemaOf(slice.columns));
    yield block(slice.systemTimeMs, spelling === 'rfc-009' ? ofRfc009(slice) : addData(slice, last));
    if (slice.records > 0) last = slice.offset + slice.records - 1;
  }
}

function opening(flow: OdfFlow): readonly MetadataBlock['event'][] {
  const { description, history } = flow;
  return [
    { kind: 'Seed', datasetId: `did:odf:fed01${hex(flow.identity)}`, datasetKind: 'Root' },
    { kind: 'SetInfo', description: description ?? `What the flow ${flow.name} has pulled` },
    ...(history === undefined ? [] : [vocabulary(history)]),
    ...(flow.fetch === undefined ? [] : [pollingSource(flow, flow.fetch)]),
  ];
}

function vocabulary({ columns, eventTime }: HistorySettings): MetadataBlock['event'] {
  return {
    kind: 'SetVocab',
    offsetColumn: columns.offset,
    operationTypeColumn: columns.operation,
    systemTimeColumn: columns.systemTime,
    eventTimeColumn: eventTime ?? columns.eventTime,
  };
}

function pollingSource({ history, key }: OdfFlow, { from, ...steps }: OdfFetch): MetadataBlock['event'] {
  return { kind: 'SetPollingSource', fetch: from, ...steps, merge: mergeOf(history, key ?? []) };
}

function mergeOf(history: HistorySettings | undefined, primaryKey: readonly string[]): Record<string, unknown> {
  switch (history?.merge) {
    case 'ledger':
      return { kind: 'Ledger', primaryKey };
    case 'snapshot':
      return { kind: 'Snapshot', primaryKey };
    case 'changelog-stream':
      return { kind: 'ChangelogStream', primaryKey };
    case 'upsert-stream':
      return { kind: 'UpsertStream', primaryKey };
    default:
      return { kind: 'Append' };
  }
}

const schemaOf = (columns: Columns): MetadataBlock['event'] => ({ kind: 'SetDataSchema', schema: odfSchema(columns) });

function addData(slice: SliceRow, last: number | undefined): MetadataBlock['event'] {
  const { watermark, position } = slice;
  return {
    kind: 'AddData',
    ...(last === undefined ? {} : { prevOffset: last }),
    ...(slice.records === 0 ? {} : { newData: dataSlice(slice) }),
    ...(watermark === undefined ? {} : { newWatermark: watermark }),
    newSourceState: { sourceName: position.sourceName, kind: position.kind, value: position.value },
  };
}

function ofRfc009(slice: SliceRow): MetadataBlock['event'] {
  const { watermark, position } = slice;
  const { offsetInterval, ...data } = dataSlice(slice);
  return {
    kind: 'AddData',
    ...(slice.records === 0 ? {} : { outputData: { ...data, interval: offsetInterval } }),
    ...(watermark === undefined ? {} : { outputWatermark: watermark }),
    sourceState: { kind: position.kind, source: position.sourceName, value: position.value },
  };
}

function dataSlice({ offset, records, bytes, digest }: SliceRow): Record<string, unknown> {
  const hash = `f1220${hex(digest)}`;
  return {
    logicalHash: hash,
    physicalHash: hash,
    offsetInterval: { start: offset, end: offset + records - 1 },
    size: bytes,
  };
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
