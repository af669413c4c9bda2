import { createHash } from 'node:crypto';
import { kernel } from './kernel.ts';

/** 32 bytes. For whole batches and configurations: what must hold against anybody. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}

export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** SipHash-1-3 under the ledger's seed: 8 bytes. For one thing; `digestSpans` for many. */
export function digest64(bytes: Uint8Array, seed: Uint8Array): Uint8Array {
  return kernel().hashSpans(bytes, Uint32Array.of(0, bytes.length), seed);
}

/** The same for each stretch of `bytes`; `spans` holds start and end of each. 8 bytes a stretch. */
export function digestSpans(bytes: Uint8Array, spans: Uint32Array, seed: Uint8Array): Uint8Array {
  return kernel().hashSpans(bytes, spans, seed);
}

/** SHA-256 of what comes piece by piece. */
export class RunningDigest {
  #hash = createHash('sha256');

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** 32 bytes; it begins anew afterwards. */
  finish(): Uint8Array {
    const digest = this.#hash.digest();
    this.#hash = createHash('sha256');
    return digest;
  }
}
