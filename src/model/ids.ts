/**
 * Identifiers. Inside, a run and a batch are small whole numbers given by the ledger, so that an index over
 * millions of records stays small; outside they are written `r12` and `b345`.
 */
export type RunId = number & { readonly __brand: 'RunId' };
export type BatchId = number & { readonly __brand: 'BatchId' };

export const asRunId = (value: number): RunId => value as RunId;
/** No run: events of it belong to flows, and tell what persons have done to them. */
export const NO_RUN = asRunId(0);
export const asBatchId = (value: number): BatchId => value as BatchId;

export const showRun = (id: RunId): string => `r${id}`;
export const showBatch = (id: BatchId): string => `b${id}`;

/** Reads `r12` or `12`; undefined when the text is neither. */
export const parseRunId = (text: string): RunId | undefined => parse(text, 'r') as RunId | undefined;
/** Reads `b345` or `345`; undefined when the text is neither. */
export const parseBatchId = (text: string): BatchId | undefined => parse(text, 'b') as BatchId | undefined;

function parse(text: string, letter: string): number | undefined {
  const digits = text.startsWith(letter) ? text.slice(1) : text;
  return /^[1-9][0-9]{0,14}$/.test(digits) ? Number(digits) : undefined;
}
