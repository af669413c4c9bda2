/** The public API of the package `waybill`: re-exports only. */
export { openWaybill } from './app/open.ts';
export type {
  Diagnosis,
  Finding,
  FlowInfo,
  OpenOptions,
  PlanOptions,
  ReadableTrace,
  RunOptions,
  SettleAsk,
  Waybill,
} from './app/waybill.ts';
export type {
  Abilities,
  AbilityFacts,
  Connector,
  Found,
  OpenContext,
  Permit,
  Rate,
  ReadRange,
  SchemaHow,
  Sink,
  SinkSchema,
  Source,
} from './connectors/connector.ts';
export type { LaneSummary, Notice, Plan, PlannedLane, Progress, RunSummary, StopSignals } from './engine/engine.ts';
export { encodeRows, parseObject } from './formats/rows.ts';
export type { BatchRow, DoubtRow, LedgerReader, Moved, RecordRow, RunRow, Trace } from './ledger/ledger.ts';
export { type Batch, type Framing, LINES, type Limits, type Payload } from './model/batch.ts';
export type { Chunk, DataRecord, Format, Reject } from './model/chunk.ts';
export { columnsChunk, endChunk } from './model/chunk.ts';
export type { Column, ColumnKind, Columns, ColumnType } from './model/columns.ts';
export type { ErrorCode } from './model/error-codes.ts';
export { ERROR_CODES } from './model/error-codes.ts';
export { NotAppliedError, RefusedError, WaybillError } from './model/errors.ts';
export type { DoubtPolicy, Guarantee, Rung } from './model/guarantee.ts';
export { type BatchId, parseBatchId, parseRunId, type RunId, showBatch, showRun } from './model/ids.ts';
export type { Position } from './model/position.ts';
export type { Receipt } from './model/receipt.ts';
export type { Carrier, SchemaAction, SinkColumn } from './model/schema.ts';
export type { Balance, BatchState, RecordState, RunState } from './model/states.ts';
export { applied, OUTCOME, type Outcome, type Refusal, unknown, type Verdict } from './model/verdict.ts';
export type { Parameter, Parameters, Window, WindowKind } from './model/window.ts';
export { keyed } from './strategies/keyed.ts';
export { ledgeredAppend } from './strategies/ledgered-append.ts';
export type { Strategy } from './strategies/strategy.ts';
