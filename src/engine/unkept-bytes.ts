import type { BatchRow } from '../ledger/ledger.ts';
import type { Payloads } from './payloads.ts';

type Sent = Pick<BatchRow, 'id' | 'root' | 'staged'>;

/**
 * Lets go of the bytes of batches that nobody will ask for again: those of a batch that came from the source, once it
 * and all that was made of its records are through. What lies in staging as well does not mind.
 */
export class UnkeptBytes {
  readonly #payloads: Pick<Payloads, 'letGo'>;
  /** By the batch that came from the source: how many of its family are not through. Absent: that batch alone. */
  readonly #open = new Map<BatchRow['id'], number>();

  constructor(payloads: Pick<Payloads, 'letGo'>) {
    this.#payloads = payloads;
  }

  /** This one will not be sent again in this start; so many batches were made of it that will. */
  through(batch: Sent, children = 0): void {
    const root = batch.root ?? batch.id;
    const open = (this.#open.get(root) ?? 1) - 1 + children;
    if (open > 0) {
      this.#open.set(root, open);
      return;
    }
    this.#open.delete(root);
    this.#payloads.letGo(batch);
  }
}
