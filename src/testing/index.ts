/**
 * `waybill/testing`: what every connector, ledger and strategy has to do, as lists of cases that any test runner can
 * run, and what such tests need. Re-exports only.
 */
export { type MemorySink, type MemorySinkOptions, memorySink } from '../connectors/memory/sink.ts';
export { type MemoryRows, type MemorySourceOptions, memorySource } from '../connectors/memory/source.ts';
export { MemoryTable } from '../connectors/memory/store.ts';
export { type TestPermitOptions, testPayload, testPermit } from './permit.ts';
export { type Card, type CardRow, cardTable, sinkCard, sourceCard } from './suites/card.ts';
export { type LedgerBench, type LedgerSubject, ledgerSuite } from './suites/ledger-suite.ts';
export type { LoadAbility, LoadFixture, LoadRecord, LoadSubject } from './suites/load-subject.ts';
export { loadSuite } from './suites/load-suite.ts';
export {
  type Ability,
  LOSSES,
  type Losing,
  type Loss,
  type SinkFixture,
  type SinkSubject,
} from './suites/sink-subject.ts';
export { sinkSuite } from './suites/sink-suite.ts';
export { readAll, textsOf } from './suites/source-reading.ts';
export {
  type PullFacts,
  SOURCE_ABILITIES,
  type SourceAbility,
  type SourceFixture,
  type SourceSubject,
} from './suites/source-subject.ts';
export { sourceSuite } from './suites/source-suite.ts';
export {
  CORRECTED,
  DAYS_WITH_DELETIONS,
  eachLoadOnce,
  eachOnce,
  type Load,
  lastOfEachKey,
  lastOfEachWindow,
  mergedInTime,
  mergedInTurn,
  mergedInTwoSteps,
  mergedWithDeletions,
  newestLoad,
  type StrategyModel,
  type StrategyPlace,
  type StrategySubject,
  THREE_DAYS,
} from './suites/strategy-subject.ts';
export { strategySuite } from './suites/strategy-suite.ts';
export { type CaseResult, type Runner, register, runSuite, type Suite, type SuiteCase } from './suites/suite.ts';
export { VirtualPorts } from './virtual-ports.ts';
