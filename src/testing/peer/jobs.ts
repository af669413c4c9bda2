import type { ServerResponse } from 'node:http';
import { send } from './answers.ts';
import type { Behaviour, RejectRule } from './behaviour.ts';

interface PeerJob {
  readonly id: string;
  records: readonly unknown[];
  refused: ReadonlyMap<number, RejectRule>;
  /** Undefined: nothing to work on yet. */
  startedAtMs?: number;
}

/** Jobs that are made empty, filled, and worked through in their own time, with counts and a list of errors. */
export class PeerJobs {
  readonly #jobs = new Map<string, PeerJob>();

  get count(): number {
    return this.#jobs.size;
  }

  create(): { id: string; body: unknown } {
    const id = `job-${this.#jobs.size + 1}`;
    this.#jobs.set(id, { id, records: [], refused: new Map() });
    return { id, body: { data: { type: 'profile-bulk-import-job', id, attributes: { status: 'open' } } } };
  }

  /** False when there is no such job. */
  fill(
    id: string,
    records: readonly unknown[],
    refused: ReadonlyMap<number, RejectRule>,
    behaviour: Behaviour,
  ): boolean {
    const job = this.#jobs.get(id);
    if (job === undefined) return false;
    job.records = records;
    job.refused = refused;
    if (!behaviour.job.needsComplete) job.startedAtMs = Date.now();
    return true;
  }

  complete(id: string): boolean {
    const job = this.#jobs.get(id);
    if (job === undefined) return false;
    job.startedAtMs ??= Date.now();
    return true;
  }

  answerState(id: string, behaviour: Behaviour, response: ServerResponse): void {
    const job = this.#jobs.get(id);
    if (job === undefined) {
      send(response, { status: 404, body: { error: 'no such job' } });
      return;
    }
    const status = statusOf(job, behaviour);
    const attributes = {
      status,
      total_count: job.records.length,
      completed_count: job.records.length - job.refused.size,
      failed_count: job.refused.size,
    };
    send(response, { status: 200, body: { data: { type: 'profile-bulk-import-job', id, attributes } } });
  }

  answerErrors(id: string, response: ServerResponse): void {
    const job = this.#jobs.get(id);
    const data = [...(job?.refused ?? [])].map(([index, rule]) => ({
      attributes: { code: rule.code, detail: rule.message, index, original_payload: job?.records[index] },
    }));
    send(response, { status: job === undefined ? 404 : 200, body: { data } });
  }
}

function statusOf(job: PeerJob, behaviour: Behaviour): string {
  if (job.startedAtMs === undefined) return 'open';
  const { processMs, endsAs } = behaviour.job;
  return Date.now() - job.startedAtMs < processMs ? 'processing' : (endsAs ?? 'complete');
}
