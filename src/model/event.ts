import type { BatchId, RunId } from './ids.ts';

export interface EventRow {
  readonly seq: number;
  readonly run: RunId;
  readonly batch?: BatchId;
  readonly atMs: number;
  readonly kind: EventKind;
  readonly detail: Readonly<Record<string, unknown>>;
}
export const EVENT_KINDS = [
  'run-opened',
  'generation-started',
  'sealed',
  'generation-closed',
  'generation-abandoned',
  'intended',
  'answered',
  'settled',
  'retried',
  'paused',
  'resumed',
  'cancelled',
  'concluded',
  'failed',
  'lease-broken',
  'position-set',
  'load-moved',
  'schema-kept',
  'columns-left-out',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** Kinds that can be asked for by themselves: of each run there are few, and a run may have millions of others. */
export const COLUMNS_EVENTS = ['schema-kept', 'columns-left-out'] as const satisfies readonly EventKind[];
export type ColumnsEvent = (typeof COLUMNS_EVENTS)[number];
