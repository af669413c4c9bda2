import { parseJson } from '../../formats/rows.ts';
import type { Batch, Payload } from '../../model/batch.ts';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { OUTCOME, unknown, type Verdict } from '../../model/verdict.ts';
import type { Abilities, Permit } from '../connector.ts';
import type { Sent } from './account.ts';
import { batchHeaders } from './caller.ts';
import { sentOf } from './judge.ts';
import { listGoesOn } from './leads-on.ts';
import { nameOf, type Parts } from './parts.ts';
import { at, identityOf } from './paths.ts';
import { countAt } from './receipt.ts';
import type { Reply } from './reply.ts';
import type { JobConfig } from './settings.ts';
import { fill } from './template.ts';

type Step = JobConfig['upload'];

/**
 * Asynchronous jobs. Opening makes a job that holds nothing, so that losing its answer loses nothing; from then on
 * the handle is known, and what became of the data can always be asked. The state of a job is asked without its
 * records: those that this process sent are remembered until the job has ended, so that errors can be tied to them;
 * after a restart, errors that name records by their content leave the rest of the batch unknown.
 */
class Jobs {
  readonly #parts: Parts;
  readonly #config: JobConfig;
  readonly #sent = new Map<string, Payload>();

  constructor(parts: Parts, config: JobConfig) {
    this.#parts = parts;
    this.#config = config;
  }

  /** Whatever goes wrong here, nothing of the batch has left: an orphan that holds nothing is harmless. */
  async open(permit: Permit): Promise<string> {
    const { create } = this.#config;
    const name = stepName(create, 'POST');
    try {
      const reply = await this.#step(create, permit, undefined);
      const handle = identityOf(at(jsonOf(reply), create.handle));
      if (handle !== undefined) return handle;
    } catch (error) {
      if (error instanceof NotAppliedError || error instanceof RefusedError) throw error;
      throw new NotAppliedError(`${name} made no job: ${describeError(error)}`, { cause: error, sinkAway: true });
    }
    throw new NotAppliedError(`${name} gave no handle at ${create.handle}`);
  }

  async send(handle: string, permit: Permit): Promise<void> {
    await this.#step(this.#config.upload, permit, handle, (payload) => this.#sent.set(handle, payload));
    if (this.#config.complete !== undefined) await this.#step(this.#config.complete, permit, handle);
  }

  async state(handle: string, batch: Batch): Promise<Verdict | 'running' | 'empty'> {
    const { state } = this.#config;
    const reply = await this.#ask(state, handle);
    const status = identityOf(at(jsonOf(reply), state.status));
    if (status !== undefined && state.running.includes(status)) return 'running';
    if (status !== undefined && state.empty.includes(status)) return 'empty';
    const endedWell = status !== undefined && state.done.includes(status);
    if (status === undefined || (!endedWell && !state.failed.includes(status))) {
      throw unclear(`job ${handle} has ${status === undefined ? 'no status' : `the unknown status ${status}`}`);
    }
    const payload = this.#sent.get(handle);
    const sent = payload === undefined ? { count: batch.records, record: () => undefined } : sentOf(batch, payload);
    const verdict = await this.#outcome(handle, reply, sent);
    this.#sent.delete(handle);
    return endedWell ? verdict : this.#failed(verdict, handle, status);
  }

  /** The state's own receipt where it decides every record, else the list of errors, held against its counts. */
  async #outcome(handle: string, reply: Reply, sent: Sent): Promise<Verdict> {
    const { state, errors } = this.#config;
    const { judge } = this.#parts;
    const summary = state.receipt === undefined ? undefined : judge.read(reply, state.receipt, sent);
    if (summary !== undefined && (errors === undefined || !summary.outcomes.includes(OUTCOME.unknown))) {
      return withHandle(summary, handle);
    }
    if (errors === undefined) throw unclear(`job ${handle} has ended, and nothing tells what became of its records`);
    const listed = await this.#ask(errors, handle);
    const detailed = withHandle(judge.read(listed, errors.receipt, sent), handle);
    const cut = listGoesOn(listed, jsonOf(listed), errors.more);
    if (!cut && this.#agrees(jsonOf(reply), detailed)) return detailed;
    const why = cut ? 'its list of errors goes on' : 'its list of errors is not what its counts say';
    return unknown(sent.count, { ...detailed.receipt, summary: `job ${handle} has ended, but ${why}` });
  }

  /** Counts in the state must be those of the list of errors. */
  #agrees(state: unknown, verdict: Verdict): boolean {
    const { receipt } = this.#config.state;
    if (receipt?.shape !== 'counts') return true;
    const tell = (outcome: number): number => verdict.outcomes.reduce((sum, one) => sum + (one === outcome ? 1 : 0), 0);
    const refused = receipt.refused === undefined ? undefined : countAt(state, receipt.refused);
    return (
      countAt(state, receipt.applied) === tell(OUTCOME.applied) &&
      (refused ?? tell(OUTCOME.refused)) === tell(OUTCOME.refused)
    );
  }

  /** A job that failed may have worked through a part of its data. Only its figures, or atomicity, prove more. */
  #failed(verdict: Verdict, handle: string, status: string): Verdict {
    const summary = `job ${handle} ended as ${status}; ${verdict.receipt.summary}`;
    const decided = this.#config.state.receipt?.shape !== 'none' && !verdict.outcomes.includes(OUTCOME.unknown);
    if (decided) return { ...verdict, receipt: { ...verdict.receipt, summary } };
    if (this.#parts.settings.rejectsAtomically === true) {
      throw new RefusedError(`job ${handle} ended as ${status}`, {
        reason: status,
        receipt: { ...verdict.receipt, summary },
      });
    }
    return unknown(verdict.outcomes.length, { ...verdict.receipt, summary });
  }

  async #step(
    step: Step,
    permit: Permit,
    handle: string | undefined,
    sends?: (payload: Payload) => void,
  ): Promise<Reply> {
    const name = stepName(step, 'POST');
    const reply = await this.#parts.caller.call({
      method: step.method ?? 'POST',
      name,
      signal: permit.signal,
      headers: batchHeaders(permit),
      ...(sends === undefined ? { contentType: 'application/json' } : {}),
      compose: async () => {
        // Asked for also where no data leaves: nothing is begun after the deadline.
        const payload = await permit.payload();
        sends?.(payload);
        return { path: pathOf(step, handle), body: sends === undefined ? bodyOf(step) : payload.bytes };
      },
    });
    if (reply.status >= 200 && reply.status < 300) return reply;
    const { judge } = this.#parts;
    const kind = judge.classOf(reply.status);
    if (kind === 'refused') throw judge.refused(name, reply, undefined);
    if (kind === 'later') throw judge.notNow(name, reply);
    // A job without a handle has got no data, whatever its answer means.
    if (handle === undefined) throw judge.notNow(name, reply, 'no job was made');
    throw new WaybillError('SINK_FAILED', `${name} was answered with ${reply.status}`, {
      ids: { status: reply.status },
    });
  }

  async #ask(step: Step, handle: string): Promise<Reply> {
    const name = stepName(step, 'GET');
    const reply = await this.#parts.caller.call({
      method: step.method ?? 'GET',
      name,
      signal: new AbortController().signal,
      contentType: 'application/json',
      compose: async () => ({ path: pathOf(step, handle), body: bodyOf(step) }),
    });
    if (reply.status >= 200 && reply.status < 300) return reply;
    throw unclear(`${name} was answered with ${reply.status}`);
  }
}

export function openJob(parts: Parts, config: JobConfig): Abilities['job'] {
  const jobs = new Jobs(parts, config);
  return {
    open: (permit) => jobs.open(permit),
    send: (handle, permit) => jobs.send(handle, permit),
    state: (handle, batch) => jobs.state(handle, batch),
  };
}

const stepName = (step: Step, usual: string): string => nameOf(step.method ?? usual, step.path);

const pathOf = (step: Step, handle: string | undefined): string =>
  fill(step.path, handle === undefined ? {} : { handle });

const bodyOf = (step: Step): Uint8Array | null =>
  step.body === undefined ? null : Buffer.from(JSON.stringify(step.body));

function jsonOf(reply: Reply): unknown {
  try {
    return parseJson(reply.text() ?? '');
  } catch (error) {
    throw unclear('an answer about the job is not JSON', error);
  }
}

const withHandle = (verdict: Verdict, handle: string): Verdict => ({
  ...verdict,
  receipt: { ...verdict.receipt, reference: `job ${handle}` },
});

const unclear = (message: string, cause?: unknown): WaybillError =>
  new WaybillError('SINK_FAILED', message, cause === undefined ? {} : { cause });
