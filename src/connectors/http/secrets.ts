import type { OpenContext } from '../connector.ts';

/** How long a secret that was read is used before it is read again, so that it can be changed without a restart. */
const FRESH_MS = 1000;
/** Shorter values would be found in ordinary text, and hiding them would only spoil it. */
const HIDDEN_CHARS = 4;

/**
 * Reads secrets by reference, and hides every one that it has read in text that is kept or shown: APIs repeat what
 * they were sent, the credentials included. A secret is hidden in the spellings that it travels in.
 */
export class Secrets {
  readonly #context: Pick<OpenContext, 'secret' | 'ports'>;
  readonly #read = new Map<string, { readonly value: string; readonly atMs: number }>();
  readonly #spellings = new Set<string>();

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
    if (value !== known?.value) this.hide(value);
    return value;
  }

  /** The value itself, or what it refers to. */
  textOrSecret(text: string): string {
    return /^(env|file):/.test(text) ? this.get(text) : text;
  }

  hide(value: string): void {
    if (value.length < HIDDEN_CHARS) return;
    const base64 = Buffer.from(value).toString('base64');
    const quoted = JSON.stringify(value).slice(1, -1);
    for (const spelling of [value, quoted, encodeURIComponent(value), base64, base64.replace(/=+$/, '')]) {
      this.#spellings.add(spelling);
      this.#spellings.add(spelling.replaceAll('+', '-').replaceAll('/', '_'));
    }
  }

  redact(text: string): string {
    let clean = text;
    // The longest first: a short one may be part of a longer one.
    for (const spelling of [...this.#spellings].sort((a, b) => b.length - a.length)) {
      clean = clean.replaceAll(spelling, '***');
    }
    return clean;
  }
}
