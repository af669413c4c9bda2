import type { Connector } from '../connectors/connector.ts';
import type { Mapping } from '../formats/formats.ts';
import type { HistorySettings } from '../model/history.ts';
import type { LoadSettings } from '../model/load.ts';
import type { SchemaSettings } from '../model/schema.ts';
import type { WindowKind } from '../model/window.ts';
import type { SecretUse } from './settings-reader.ts';
import type { ParameterMaker } from './templates.ts';
import type { Finding } from './waybill.ts';

/** A flow file that was read and checked. What is wrong stands in `findings`; a flow with a fault is missing. */
export interface Config {
  /** Absolute. */
  readonly file: string;
  /** Relative paths in the flow file are meant from here. */
  readonly folder: string;
  readonly flows: ReadonlyMap<string, FlowConfig>;
  /** Those without a fault. */
  readonly connections: ReadonlyMap<string, ConnectionConfig>;
  /** Every name under `flows:`, also of those that are missing above. */
  readonly flowNames: readonly string[];
  /** Absolute paths. */
  /** A whole path, or an address. */
  readonly ledger: string;
  readonly stagingFolder: string | undefined;
  readonly status: StatusConfig;
  readonly findings: readonly Finding[];
  readonly secrets: readonly SecretUse[];
}

export interface StatusConfig {
  readonly log?: string | true;
  readonly store?: string;
  readonly profile: 'osdu' | 'adr';
}

export interface ConnectionConfig {
  readonly name: string;
  readonly connector: Connector;
  /** As the connector's schema made it; secrets are references. */
  readonly settings: unknown;
  /** As it stands in the file; part of the digest of every flow that uses it. */
  readonly raw: unknown;
}

export interface SourceConfig {
  /** What the ledger calls it. */
  readonly name: string;
  readonly connection: ConnectionConfig;
  readonly settings: unknown;
  readonly key: readonly string[] | null;
  readonly exclude: readonly string[];
  readonly onReject: 'skip' | 'stop';
  readonly onDuplicate: 'report' | 'drop' | 'fail';
  readonly params: Readonly<Record<string, ParameterMaker>>;
}

export interface LaneConfig {
  readonly name: string;
  readonly connection: ConnectionConfig;
  readonly settings: unknown;
  readonly strategy: string;
  readonly load: LoadSettings;
  readonly mapping: Mapping | undefined;
  readonly schema: SchemaSettings | undefined;
  readonly onDoubt: 'hold' | 'resend' | 'skip';
  readonly onChanged: 'hold' | 'append' | 'ignore' | 'fail';
  readonly limits: {
    readonly maxRecords?: number | undefined;
    readonly maxBytes?: number | undefined;
    readonly inFlight?: number | undefined;
    readonly intendAhead?: number | undefined;
  };
  readonly rate:
    | {
        readonly requests?: number | undefined;
        readonly records?: number | undefined;
        readonly bytes?: number | undefined;
        readonly burst?: number | undefined;
      }
    | undefined;
  readonly retry: RetryConfig;
}

/** Milliseconds. */
export interface RetryConfig {
  readonly attempts: number;
  readonly firstDelay: number;
  readonly maxDelay: number;
  readonly maxAge: number;
}

export interface FlowConfig {
  readonly name: string;
  readonly description: string | undefined;
  readonly source: SourceConfig;
  readonly lanes: readonly LaneConfig[];
  readonly window: WindowKind;
  /** How what a pull brings becomes history; undefined: records stay as they are. */
  readonly history: HistorySettings | undefined;
  readonly timezone: string;
  readonly schedule: string | undefined;
  /** Name of the first window to catch up from. */
  readonly start: string | undefined;
  readonly deliver: 'after-read' | 'while-reading';
  /** What staging keeps of a batch: its bytes, where its source has them, or neither. */
  readonly staging: 'copy' | 'range' | 'none';
  readonly leaseMs: number;
  /** SHA-256 of the flow and its connections as they stand in the file: secrets count by reference. */
  readonly digest: string;
}

/** The connectors there are, each loaded when a flow file names it. */
export interface ConnectorList {
  readonly types: readonly string[];
  load(type: string): Promise<Connector | undefined>;
}
