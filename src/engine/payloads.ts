import { sha256 } from '../formats/digest.ts';
import type { BatchRow, Child } from '../ledger/ledger.ts';
import { isRanges, pick, type Staged, type Staging } from '../ledger/staging.ts';
import { assert } from '../model/assert.ts';
import { type Framing, framingOf, type Payload } from '../model/batch.ts';
import { WaybillError } from '../model/errors.ts';
import { showBatch } from '../model/ids.ts';
import type { Remake } from './remake.ts';

/** Brings back the frozen bytes of batches, and makes children of them. */
export class Payloads {
  readonly #staging: Staging;
  readonly #accepts: readonly Framing[];
  readonly #remake: Remake;

  /** `accepts`: what the sink of the lane takes. `remake`: for batches whose bytes lie with their source. */
  constructor(staging: Staging, accepts: readonly Framing[], remake: Remake) {
    this.#staging = staging;
    this.#accepts = accepts;
    this.#remake = remake;
  }

  /**
   * The bytes that were sealed. Staging proves that they are whole; a batch that was sent before, or that is made of
   * another one's records, is compared with its digest as well: two attempts must carry the same bytes. `signal`: for
   * what has to be read from the source again.
   */
  async load(batch: BatchRow, signal: AbortSignal = new AbortController().signal): Promise<Payload> {
    const staged = await this.#staged(batch, signal);
    // Refused here already: a sink would take the bytes of another format for its own.
    framingOf(staged, this.#accepts);
    const payload = batch.picks === undefined ? staged : pick(staged, batch.picks, framingOf(staged, this.#accepts));
    const rechecked = batch.picks !== undefined || batch.attempts > 0;
    const isOther = batch.picks === undefined && staged.digest !== batch.digest;
    if (isOther || payload.spans.length !== batch.records * 2 || (rechecked && digestOf(payload) !== batch.digest)) {
      throw new WaybillError(
        'STAGING_CORRUPT',
        `the staged bytes of ${showBatch(batch.id)} are not those that were sealed`,
        {
          ids: { batch: showBatch(batch.id), segment: batch.staged.segment },
        },
      );
    }
    return payload;
  }

  /** False: they are lost, and no other try will bring them back. */
  async has(batch: BatchRow, signal?: AbortSignal): Promise<boolean> {
    try {
      await this.load(batch, signal);
      return true;
    } catch (error) {
      if (isBytesLost(error)) return false;
      throw error;
    }
  }

  /** The bytes of this batch, and of all that was made of its records, are not asked for any more. */
  letGo({ staged }: Pick<BatchRow, 'staged'>): void {
    this.#staging.letGo?.(staged);
  }

  /** Staging knows places; people know batches. */
  async #staged(batch: BatchRow, signal: AbortSignal): Promise<Staged> {
    try {
      const staged = await this.#staging.read(batch.staged);
      return isRanges(staged) ? await this.#remake(staged, signal) : staged;
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      const id = showBatch(batch.id);
      const { code, hint, ids } = error;
      throw new WaybillError(code, `${id}: ${error.message}`, { hint, cause: error, ids: { batch: id, ...ids } });
    }
  }

  /** `picks`: places in this batch, rising. */
  child(payload: Payload, picks: readonly number[], reason: string): Child {
    assert(picks.length > 0, 'child.has-records');
    const { bytes } = pick(payload, picks, framingOf(payload, this.#accepts));
    return { picks, bytes: bytes.length, digest: sha256(bytes), reason };
  }

  /** Two children, each with half of the records. */
  halves(payload: Payload, reason: string): readonly Child[] {
    const all = Array.from({ length: payload.spans.length / 2 }, (_, index) => index);
    const middle = Math.ceil(all.length / 2);
    return [this.child(payload, all.slice(0, middle), reason), this.child(payload, all.slice(middle), reason)];
  }
}

const BYTES_LOST: ReadonlySet<string> = new Set(['STAGING_CORRUPT', 'RANGE_LOST', 'BYTES_NOT_KEPT']);

/** About one batch alone, and nothing is to be hoped for from another try. */
export const isBytesLost = (error: unknown): error is WaybillError =>
  error instanceof WaybillError && BYTES_LOST.has(error.code);

const digestOf = (payload: Payload): string => Buffer.from(sha256(payload.bytes)).toString('hex');
