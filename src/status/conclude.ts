import { stageRank } from './spelling.ts';
import type { DatasetDetails, Status, StatusChange, StatusMessage } from './status.ts';

/** What somebody who has only the messages can say about a correlation id. */
export interface Conclusion {
  /** Every data set has come to an end. */
  readonly finished: boolean;
  /** SUCCESS and FAILED only when finished; PARTIAL_SUCCESS also while something went wrong and the rest goes on. */
  readonly status: Status;
  /** Of the data set that is least far. */
  readonly stage: string;
  readonly reasons: readonly string[];
  readonly datasets: readonly DatasetConclusion[];
}

export interface DatasetConclusion {
  readonly datasetId: string;
  readonly finished: boolean;
  readonly status: Status;
  readonly stage: string;
  readonly reasons: readonly string[];
  readonly recordCount?: number;
  /** The counts of the last message about the whole do not add up to the record count. */
  readonly inconsistent: boolean;
}

const REASONS_MAX = 20;

/**
 * Decides from messages alone, in whatever order and however often they came: the ledger's sequence orders them, and
 * an id counts once. The same messages give the same answer whether they came by queue, store or log.
 */
export function conclude(messages: Iterable<StatusMessage>): Conclusion | undefined {
  const unique = new Map([...messages].map((message) => [message.messageId, message]));
  const byDataset = new Map<string, StatusMessage[]>();
  for (const message of unique.values()) {
    const of = byDataset.get(message.datasetId);
    if (of === undefined) byDataset.set(message.datasetId, [message]);
    else of.push(message);
  }
  const datasets = [...byDataset].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, of]) => concludeDataset(id, of));
  const slowest = [...datasets].sort(
    (a, b) => Number(a.finished) - Number(b.finished) || stageRank(a.stage) - stageRank(b.stage),
  )[0];
  if (slowest === undefined) return undefined;
  const finished = datasets.every((dataset) => dataset.finished);
  return {
    finished,
    status: together(
      datasets.map((dataset) => dataset.status),
      finished,
    ),
    stage: slowest.stage,
    reasons: datasets.flatMap((dataset) => dataset.reasons).slice(0, REASONS_MAX),
    datasets,
  };
}

function concludeDataset(datasetId: string, messages: readonly StatusMessage[]): DatasetConclusion {
  const ordered = [...messages].sort((a, b) => a.sequence - b.sequence || (a.messageId < b.messageId ? -1 : 1));
  const details = ordered.findLast((message): message is DatasetDetails => message.kind === 'datasetDetails');
  const changes = ordered.filter((message): message is StatusChange => message.kind === 'status');
  const whole = changes.filter((change) => change.recordId === null && change.batch === undefined);
  const last = whole.at(-1) ?? changes.at(-1);
  // A later message about the whole reopens what had ended: a retry, a new start.
  const end =
    last?.final === true && !changes.some((change) => change.sequence > last.sequence && change.batch !== undefined)
      ? last
      : undefined;
  const counted = end?.counts?.read;
  const inconsistent =
    end !== undefined &&
    details !== undefined &&
    counted !== undefined &&
    end.status !== 'SKIPPED' &&
    counted < details.recordCount;
  const failures = changes.filter((change) => change.status === 'FAILED' || change.message.startsWith('in doubt'));
  return {
    datasetId,
    finished: end !== undefined && !inconsistent,
    status: end === undefined ? 'IN_PROGRESS' : inconsistent ? 'PARTIAL_SUCCESS' : end.status,
    stage: last?.stage ?? 'EXTRACT',
    reasons:
      end?.status === 'SUCCESS'
        ? []
        : failures
            .slice(-REASONS_MAX)
            .map((change) => `${change.recordId ?? change.batch ?? datasetId}: ${change.message}`),
    inconsistent,
    ...(details === undefined ? {} : { recordCount: details.recordCount }),
  };
}

function together(statuses: readonly Status[], finished: boolean): Status {
  const [first] = statuses;
  if (first !== undefined && statuses.every((status) => status === first)) return first;
  if (!finished) return statuses.includes('FAILED') ? 'PARTIAL_SUCCESS' : 'IN_PROGRESS';
  return 'PARTIAL_SUCCESS';
}
