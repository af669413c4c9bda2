import { createHash } from 'node:crypto';
import type { Idempotency } from './behaviour.ts';
import type { Replied } from './shapes.ts';

interface Kept {
  readonly digest: string;
  readonly atMs: number;
  /** Undefined while the first request is still running. */
  reply?: Replied;
}

/** Remembers idempotency keys for a time, as the IETF draft has it: 409 while running, 422 for other content. */
export class KeyStore {
  readonly #kept = new Map<string, Kept>();

  /** The answer that the key calls for, or undefined when the request is to be carried out. */
  begin(rule: Idempotency, key: string, body: string): Replied | undefined {
    const digest = createHash('sha256').update(body).digest('hex');
    const kept = this.#kept.get(key);
    if (kept === undefined || Date.now() - kept.atMs > rule.horizonMs) {
      this.#kept.set(key, { digest, atMs: Date.now() });
      return undefined;
    }
    if (kept.digest !== digest) return { status: 422, body: { error: 'this key was used with other content' } };
    return kept.reply ?? { status: 409, body: { error: 'a request with this key is still running' } };
  }

  /**
   * `error`: the answer was one. Stored errors are repeated for good; others free the key, unless records were applied
   * under it: then a repeat is answered with what the request came to.
   */
  end(rule: Idempotency, key: string, ended: { honest: Replied; error: Replied | undefined; applied: boolean }): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    if (ended.error !== undefined && rule.storesErrors) kept.reply = ended.error;
    else if (ended.error === undefined || ended.applied) kept.reply = ended.honest;
    else this.#kept.delete(key);
  }
}
