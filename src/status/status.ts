/**
 * Status messages: what another system needs to know about a transfer, in the form `{ kind, properties }` that OSDU
 * defined for statuses of data sets. They are made from the ledger's events and never the other way round: a status
 * is a copy, the ledger is the truth. Every message can be given again at any time, with the same id.
 *
 * A data set is one window of one flow; its version is the generation. Of records only those have messages of their
 * own that were not simply delivered. No message holds a record's content or what a sink said about it in its own
 * words, since that may quote the record.
 */
export const STATUSES = ['SUBMITTED', 'IN_PROGRESS', 'SUCCESS', 'FAILED', 'SKIPPED', 'PARTIAL_SUCCESS'] as const;
export type Status = (typeof STATUSES)[number];

export const STAGES = ['EXTRACT', 'SEAL', 'DELIVER', 'SETTLE', 'PUBLISH'] as const;
export type Stage = (typeof STAGES)[number];

/** What every message carries beside the fields of its kind. */
export interface MessageCommon {
  /** The same however often the message is given: for consumers that count each one once. */
  readonly messageId: string;
  /** The ledger's own order: it decides which of two messages is newer, since clocks may jump. */
  readonly sequence: number;
  readonly correlationId: string;
  readonly datasetId: string;
  readonly run: string;
  readonly flow: string;
  readonly window: string;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
}

/** What a data set is: given once its number of records is known. */
export interface DatasetDetails extends MessageCommon {
  readonly kind: 'datasetDetails';
  readonly datasetVersionId: string;
  readonly datasetType: 'FILE';
  readonly recordCount: number;
}

export interface StatusChange extends MessageCommon {
  readonly kind: 'status';
  /** Null where the message is about the data set or about a batch. */
  readonly recordId: string | null;
  readonly recordIdVersion: string | null;
  readonly stage: Stage;
  readonly status: Status;
  readonly message: string;
  /** 0: no error; otherwise like an HTTP status. */
  readonly errorCode: number;
  readonly lane?: string;
  readonly batch?: string;
  /** The data set as a whole has come to an end with this message. */
  readonly final?: true;
  /** How many records are where; on messages about the whole data set. */
  readonly counts?: Readonly<Record<string, number>>;
}

export type StatusMessage = DatasetDetails | StatusChange;

/** How names are spelled: `osdu` as the services that were shipped, `adr` as the decision record before them. */
export const PROFILES = ['osdu', 'adr'] as const;
export type Profile = (typeof PROFILES)[number];

/** A message as it is written. */
export interface WrittenMessage {
  readonly kind: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

/**
 * Passes messages on. Called with the messages of some events, in order; what was passed on before may come again
 * after a crash. Rejects when they were not taken: they are given again later, and the flow goes on meanwhile.
 */
export interface Emitter {
  /** Stable: the ledger remembers under this name how far the emitter has come. */
  readonly name: string;
  emit(messages: readonly StatusMessage[]): Promise<void>;
  close(): Promise<void>;
}
