import { hideSecret } from '../../model/masking.ts';
import type { OpenContext } from '../connector.ts';

/** How long a secret that was read is used before it is read again, so that it can be changed without a restart. */
const FRESH_MS = 1000;

/** Reads secrets by reference; each is hidden from then on in all that is kept or shown. */
export class Secrets {
  readonly #context: Pick<OpenContext, 'secret' | 'ports'>;
  readonly #read = new Map<string, { readonly value: string; readonly atMs: number }>();

  constructor(context: Pick<OpenContext, 'secret' | 'ports'>) {
    this.#context = context;
  }

  /** The secret behind a reference. Throws SECRET_MISSING. */
  get(reference: string): string {
    const nowMs = this.#context.ports.monotonicMs();
    const known = this.#read.get(reference);
    if (known !== undefined && nowMs - known.atMs < FRESH_MS) return known.value;
    const value = this.#context.secret(reference);
    this.#read.set(reference, { value, atMs: nowMs });
    if (value !== known?.value) hideSecret(value);
    return value;
  }

  /** The value itself, or what it refers to. */
  textOrSecret(text: string): string {
    return /^(env|file):/.test(text) ? this.get(text) : text;
  }
}
