import { OUTCOME, type Refusal } from '../../model/verdict.ts';
import { at, canonical } from './paths.ts';
import type { Condition } from './receipt-config.ts';
import { tellsOfFailure } from './telling-names.ts';

/** Longest message of one refusal that is kept. */
const MESSAGE_CHARS = 500;

/** What was sent, as far as a receipt needs it. `record` parses one record; called only where ids are matched. */
export interface Sent {
  readonly count: number;
  record(index: number): unknown;
}

/** What a reply has accounted for so far. Every record starts as unknown, and stays so unless the reply says more. */
export class Account {
  readonly outcomes: Uint8Array;
  readonly #refusals = new Map<number, Refusal>();
  /** Why something stays unknown, without the content of records. */
  readonly notes: string[] = [];
  /** The sink's own ids of applied records. */
  readonly remoteIds: string[] = [];

  constructor(count: number) {
    this.outcomes = new Uint8Array(count).fill(OUTCOME.unknown);
  }

  get count(): number {
    return this.outcomes.length;
  }

  apply(index: number): void {
    this.outcomes[index] = OUTCOME.applied;
  }

  refuse(index: number, refusal: Omit<Refusal, 'index'>): void {
    this.outcomes[index] = OUTCOME.refused;
    this.#refusals.set(index, { index, ...refusal });
  }

  /** The reply names this record in a way that does not decide it. */
  forget(index: number): void {
    this.outcomes[index] = OUTCOME.unknown;
    this.#refusals.delete(index);
  }

  /** The reply contradicts itself: none of it is believed. */
  distrust(note: string): this {
    this.outcomes.fill(OUTCOME.unknown);
    this.#refusals.clear();
    this.remoteIds.length = 0;
    this.notes.push(note);
    return this;
  }

  /** Every record that nothing was said of was applied: only where the shape says so and the reply is sound. */
  applyTheRest(): void {
    for (let index = 0; index < this.count; index++) {
      if (this.outcomes[index] === OUTCOME.unknown) this.apply(index);
    }
  }

  tell(outcome: number): number {
    let found = 0;
    for (const one of this.outcomes) if (one === outcome) found++;
    return found;
  }

  get refusals(): readonly Refusal[] {
    return [...this.#refusals.values()].sort((a, b) => a.index - b.index);
  }
}

export interface Reasons {
  readonly code?: string | undefined;
  readonly error?: string | undefined;
  readonly retryable?: { readonly codes: readonly string[] } | undefined;
}

/** The sink's own words for one refusal. */
export function reasonOf(entry: unknown, reasons: Reasons): Omit<Refusal, 'index'> {
  const code = words(reasons.code === undefined ? undefined : at(entry, reasons.code)) ?? 'refused';
  const message = words(reasons.error === undefined ? undefined : at(entry, reasons.error)) ?? '';
  return { code: code.slice(0, 100), message, retryable: reasons.retryable?.codes.includes(code) ?? false };
}

function words(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  return (typeof value === 'string' ? value : canonical(value)).slice(0, MESSAGE_CHARS);
}

/** Undefined: the reply does not hold what the condition asks about, so it says neither yes nor no. */
export function holds(condition: Condition, value: unknown): boolean | undefined {
  if (typeof condition === 'string') {
    const found = at(value, condition);
    return typeof found === 'boolean' ? found : undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const found = at(value, condition.path) ?? undefined;
  if ('absent' in condition) return found === undefined;
  if ('present' in condition) return found !== undefined;
  if (found === undefined) return undefined;
  if ('between' in condition) {
    return typeof found === 'number' ? found >= condition.between[0] && found <= condition.between[1] : undefined;
  }
  const wanted = Array.isArray(condition.is) ? condition.is : [condition.is];
  return wanted.some((one) => canonical(one) === canonical(found));
}

/** The list of errors, or undefined when its absence leaves everything open; the reason is noted. */
export function errorsIn(
  config: { readonly optional: boolean; readonly ok?: Condition | undefined },
  path: string,
  json: unknown,
  account: Account,
): readonly unknown[] | undefined {
  if (config.ok !== undefined && holds(config.ok, json) !== true) {
    account.notes.push('the reply as a whole does not say success');
    return undefined;
  }
  const list = at(json, path) ?? undefined;
  if (Array.isArray(list)) return list;
  if (list === undefined && typeof json === 'object' && json !== null && config.optional) {
    const failure = tellsOfFailure(json);
    if (failure === undefined) return [];
    account.notes.push(`the reply has no list at ${path}, but tells of failures at ${failure}`);
    return undefined;
  }
  account.notes.push(`the reply has no list at ${path === '' ? 'its root' : path}`);
  return undefined;
}
