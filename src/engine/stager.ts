import { sha256 } from '../formats/digest.ts';
import type { SealedBatch } from '../ledger/ledger.ts';
import type { Staging, StagingWriter } from '../ledger/staging.ts';
import type { RunId } from '../model/ids.ts';
import type { Job } from './engine.ts';
import type { Decided } from './intake.ts';

/** Brings packed batches of one extraction to staging: one writer for each lane, made when the lane has something. */
export class Stager {
  readonly #job: Job;
  readonly #staging: Staging;
  readonly #run: RunId;
  readonly #writers = new Map<string, StagingWriter>();

  constructor(job: Job, staging: Staging, run: RunId) {
    this.#job = job;
    this.#staging = staging;
    this.#run = run;
  }

  /** Where the bytes lie now; they are durable after `sync`. */
  async stage(decided: Decided): Promise<SealedBatch[]> {
    const lane = decided.counts.lane;
    const sealed: SealedBatch[] = [];
    for (const batch of decided.batches) {
      const digest = sha256(batch.bytes);
      const about = {
        flow: this.#job.flow,
        window: this.#job.window.name,
        lane,
        digest: Buffer.from(digest).toString('hex'),
      };
      const kept = this.#job.keep === 'none' ? { ranges: [] } : {};
      const staged = await this.#writer(lane).append({ ...batch, ...kept, about });
      const { records, keys, bytes, leftOut } = batch;
      const also = leftOut === undefined ? {} : { leftOut: [...leftOut] };
      sealed.push({ lane, records, bytes: bytes.length, digest, keys, staged, ...also });
    }
    return sealed;
  }

  async sync(): Promise<void> {
    for (const writer of this.#writers.values()) await writer.sync();
  }

  async close(): Promise<void> {
    for (const writer of this.#writers.values()) await writer.close();
  }

  #writer(lane: string): StagingWriter {
    let writer = this.#writers.get(lane);
    if (writer === undefined) {
      writer = this.#staging.writer(this.#run, lane);
      this.#writers.set(lane, writer);
    }
    return writer;
  }
}
