import {
  type DatasetDetails,
  type Profile,
  STAGES,
  STATUSES,
  type StatusChange,
  type StatusMessage,
  type WrittenMessage,
} from './status.ts';

/** Ours on the left, the decision record's on the right; everything else is spelled alike. */
const ADR: Readonly<Record<string, string>> = {
  datasetId: 'dataSetId',
  datasetVersionId: 'dataSetVersionId',
  datasetType: 'dataSetType',
};
const SHIPPED: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(ADR).map(([ours, theirs]) => [theirs, ours]),
);
const ADR_DETAILS = 'dataSetDetails';

export function writeMessage(message: StatusMessage, profile: Profile): WrittenMessage {
  const { kind, ...fields } = message;
  if (profile === 'osdu') return { kind, properties: fields };
  return { kind: kind === 'datasetDetails' ? ADR_DETAILS : kind, properties: renamed(fields, ADR) };
}

/** Reads either spelling; undefined for what is no status message. */
export function readMessage(written: unknown): StatusMessage | undefined {
  if (!isMap(written) || !isMap(written.properties)) return undefined;
  const fields = renamed(written.properties, SHIPPED);
  if (typeof fields.correlationId !== 'string') return undefined;
  if (written.kind === 'datasetDetails' || written.kind === ADR_DETAILS) {
    if (typeof fields.recordCount !== 'number') return undefined;
    return { ...fields, kind: 'datasetDetails' } as unknown as DatasetDetails;
  }
  const known = STATUSES.includes(fields.status as never) && typeof fields.stage === 'string';
  return written.kind === 'status' && known ? ({ ...fields, kind: 'status' } as unknown as StatusChange) : undefined;
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const renamed = (fields: object, names: Readonly<Record<string, string>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [Object.hasOwn(names, name) ? names[name] : name, value]),
  );

/** How far along a stage is; for consumers that compare. Stages of other systems come first. */
export const stageRank = (stage: string): number => (STAGES as readonly string[]).indexOf(stage);
