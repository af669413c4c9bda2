import { stringify } from 'yaml';
import type { MetadataBlock } from '../odf/blocks.ts';

/** A block as a document of its own, in the envelope in which manifests of Open Data Fabric are written. */
export const odfYaml = (block: MetadataBlock): string =>
  `---\n${stringify({ kind: 'MetadataBlock', version: 2, content: block })}`;
