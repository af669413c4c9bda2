import type { SourceDescription } from '../connectors/connector.ts';
import { sha256 } from '../formats/digest.ts';
import type { Ledger, LedgerReader } from '../ledger/ledger.ts';
import { everyRow } from '../model/pages.ts';
import type { SliceRow } from '../model/slice.ts';
import { type MetadataBlock, type OdfFetch, type OdfSpelling, odfBlocks } from '../odf/blocks.ts';
import { odfSchema } from '../odf/schema.ts';
import type { FlowConfig } from './flow-config.ts';

/** The history of a flow as metadata blocks of Open Data Fabric; none where nothing was ever pulled. */
export function exportOdf(flow: FlowConfig, ledger: Ledger, spelling: OdfSpelling): AsyncIterable<MetadataBlock> {
  const about = {
    name: flow.name,
    description: flow.description,
    key: flow.source.key,
    history: flow.history,
    identity: sha256(Buffer.from(`${ledger.identity.id}\0${flow.name}`)),
    fetch: fetchOf(flow),
  };
  return odfBlocks(about, slicesOf(flow.name, ledger.read), spelling);
}

export const slicesOf = (flow: string, reader: LedgerReader): AsyncIterable<SliceRow> =>
  everyRow(
    (page) => reader.slices({ flow, ...page }),
    (row) => row.id,
  );

/** As its connector describes it; many sources have no place that ODF could fetch from. */
function fetchOf({ source }: FlowConfig): OdfFetch | undefined {
  const { connector, settings } = source.connection;
  const described = connector.source?.describe?.(settings, source.settings);
  if (described === undefined) return undefined;
  const { packed } = described;
  return {
    from: placeOf(described),
    ...(packed === undefined ? {} : { prepare: [unpackOf(packed)] }),
    read: readOf(described),
  };
}

function placeOf({ place }: SourceDescription): OdfFetch['from'] {
  if (place.kind === 'files') return { kind: 'FilesGlob', path: place.pattern, order: 'ByName' };
  const { url, headers = [] } = place;
  return { kind: 'Url', url, ...(headers.length === 0 ? {} : { headers }) };
}

const unpackOf = ({ kind, entries }: NonNullable<SourceDescription['packed']>) => ({
  kind: 'Decompress' as const,
  format: kind === 'gzip' ? ('Gzip' as const) : ('Zip' as const),
  ...(entries === undefined ? {} : { subPath: entries }),
});

const READERS = { csv: 'Csv', ndjson: 'NdJson', json: 'Json', parquet: 'Parquet' } as const;

function readOf({ format, csv, recordsAt }: SourceDescription): OdfFetch['read'] {
  const kind = READERS[format];
  if (recordsAt !== undefined) return { kind, subPath: recordsAt };
  if (csv === undefined) return { kind };
  const { columns, ...signs } = csv;
  // A quote inside of quotes is doubled; ODF's default is a backslash before it.
  return { kind, ...signs, escape: csv.quote, ...(columns === undefined ? {} : { schema: odfSchema(columns) }) };
}
