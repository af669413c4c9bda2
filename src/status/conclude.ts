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
const FAILURES_KEPT = 1000;

/**
 * Decides from messages alone, in whatever order and however often they came: the ledger's sequence orders them, and
 * an id counts once. The same messages give the same answer whether they came by queue, store or log.
 */
export function conclude(messages: Iterable<StatusMessage>): Conclusion | undefined {
  const seen = new Map<string, DatasetView>();
  for (const message of messages) {
    let view = seen.get(message.datasetId);
    if (view === undefined) {
      view = new DatasetView(message.datasetId);
      seen.set(message.datasetId, view);
    }
    view.add(message);
  }
  const datasets = [...seen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, view]) => view.conclude());
  const order = (a: DatasetConclusion, b: DatasetConclusion): number =>
    Number(a.finished) - Number(b.finished) || stageRank(a.stage) - stageRank(b.stage);
  const slowest = [...datasets].sort(order)[0];
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

type Placed = Pick<StatusMessage, 'sequence' | 'messageId'>;

const isLater = (a: Placed, b: Placed | undefined): boolean =>
  b === undefined || a.sequence > b.sequence || (a.sequence === b.sequence && a.messageId > b.messageId);

/** One data set as its messages tell of it. Keeps only the latest of each kind: there may be millions. */
class DatasetView {
  readonly #datasetId: string;
  #details: DatasetDetails | undefined;
  /** The latest about the data set as a whole, about any batch or record, and of all. */
  #whole: StatusChange | undefined;
  #part: StatusChange | undefined;
  #failures: StatusChange[] = [];

  constructor(datasetId: string) {
    this.#datasetId = datasetId;
  }

  /** A message that comes again replaces itself. */
  add(message: StatusMessage): void {
    if (message.kind === 'datasetDetails') {
      if (isLater(message, this.#details)) this.#details = message;
      return;
    }
    if (message.recordId !== null || message.batch !== undefined) {
      if (isLater(message, this.#part)) this.#part = message;
    } else if (isLater(message, this.#whole)) this.#whole = message;
    if (message.status !== 'FAILED' && !message.message.startsWith('in doubt')) return;
    this.#failures.push(message);
    if (this.#failures.length >= FAILURES_KEPT) this.#failures = this.#latestFailures();
  }

  #latestFailures(): StatusChange[] {
    const unique = new Map(this.#failures.map((failure) => [failure.messageId, failure]));
    return [...unique.values()].sort((a, b) => (isLater(a, b) ? 1 : -1)).slice(-REASONS_MAX);
  }

  conclude(): DatasetConclusion {
    const last = this.#whole ?? this.#part;
    // Work on a batch after the end opens it again: a retry, a settled doubt, a new start.
    const goesOn = this.#part !== undefined && last !== undefined && this.#part.sequence > last.sequence;
    const end = last?.final === true && !goesOn ? last : undefined;
    const announced = this.#details?.recordCount;
    const counted = end?.status === 'SKIPPED' ? undefined : end?.counts?.read;
    const inconsistent = announced !== undefined && counted !== undefined && counted < announced;
    const ended = inconsistent ? 'PARTIAL_SUCCESS' : end?.status;
    return {
      datasetId: this.#datasetId,
      finished: end !== undefined && !inconsistent,
      status: ended ?? 'IN_PROGRESS',
      stage: last?.stage ?? 'EXTRACT',
      reasons: end?.status === 'SUCCESS' ? [] : this.#latestFailures().map((failure) => this.#reason(failure)),
      inconsistent,
      ...(announced === undefined ? {} : { recordCount: announced }),
    };
  }

  #reason(failure: StatusChange): string {
    return `${failure.recordId ?? failure.batch ?? this.#datasetId}: ${failure.message}`;
  }
}

function together(statuses: readonly Status[], finished: boolean): Status {
  const [first] = statuses;
  if (first !== undefined && statuses.every((status) => status === first)) return first;
  if (!finished) return statuses.includes('FAILED') ? 'PARTIAL_SUCCESS' : 'IN_PROGRESS';
  return 'PARTIAL_SUCCESS';
}
