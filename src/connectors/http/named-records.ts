import { type Account, errorsIn, holds, type Reasons, reasonOf, type Sent } from './account.ts';
import { at, canonical, identityOf } from './paths.ts';
import type { ReceiptOf } from './receipt-config.ts';

/**
 * Replies that name records by an id, a natural key or the record itself. Several records of one batch may carry the
 * same name, so names are settled in groups: a group is decided only when the reply names it as often as it was sent,
 * all one way. A name that was never sent may stand for any record that the reply is silent about.
 */
interface Group {
  readonly indexes: number[];
  applied: number;
  readonly refusals: unknown[];
}

class Names {
  readonly #groups = new Map<string, Group>();
  strangers = 0;

  constructor(sent: Sent, nameOf: (record: unknown) => string | undefined) {
    for (let index = 0; index < sent.count; index++) {
      const name = nameOf(sent.record(index));
      if (name === undefined) continue;
      const group = this.#groups.get(name);
      if (group) group.indexes.push(index);
      else this.#groups.set(name, { indexes: [index], applied: 0, refusals: [] });
    }
  }

  /** The group of this name; a name that nobody carries is counted. */
  find(name: string | undefined): Group | undefined {
    const group = name === undefined ? undefined : this.#groups.get(name);
    if (group === undefined) this.strangers++;
    return group;
  }

  settle(account: Account, reasons: Reasons, silenceIsSuccess: boolean): void {
    let [muddled, silent] = [0, 0];
    for (const { indexes, applied, refusals } of this.#groups.values()) {
      const named = applied + refusals.length;
      if (named === 0) silent += indexes.length;
      else if (applied === indexes.length && refusals.length === 0) for (const index of indexes) account.apply(index);
      else if (refusals.length === indexes.length && applied === 0) {
        for (const [nth, index] of indexes.entries()) account.refuse(index, reasonOf(refusals[nth], reasons));
      } else muddled++;
    }
    if (this.strangers > 0) account.notes.push(`${this.strangers} entries name no record that was sent`);
    if (muddled > 0) account.notes.push(`${muddled} names come back more or less often than they were sent`);
    if (silent > 0 && !silenceIsSuccess) account.notes.push(`${silent} records are not named`);
    if (silenceIsSuccess && this.strangers + muddled === 0) account.applyTheRest();
  }
}

export function readClientIds(config: ReceiptOf<'client-id'>, json: unknown, sent: Sent, account: Account): void {
  // Where applied records are named, too, a missing list of errors hides nothing: whoever is not named stays unknown.
  const lenient = { ok: config.ok, optional: config.optional || config.results !== undefined };
  const errors = config.errors === undefined ? [] : errorsIn(lenient, config.errors, json, account);
  if (errors === undefined) return;
  const results = config.results === undefined ? [] : at(json, config.results);
  if (!Array.isArray(results)) {
    account.notes.push(`the reply has no list at ${config.results}`);
    return;
  }
  // Without errors in a reply of errors only, no record has to be parsed.
  if (config.results === undefined && errors.length === 0) {
    account.applyTheRest();
    return;
  }
  const names = new Names(sent, (record) => identityOf(at(record, config.recordId)));
  for (const result of results) {
    const group = names.find(identityOf(at(result, config.resultId ?? config.recordId)));
    const success = config.success === undefined ? true : holds(config.success, result);
    if (group === undefined || success === undefined) continue;
    if (!success) group.refusals.push(result);
    else {
      group.applied++;
      const id = config.id === undefined ? undefined : identityOf(at(result, config.id));
      if (id !== undefined) account.remoteIds.push(id);
    }
  }
  for (const error of errors) {
    const ids = at(error, config.errorId ?? config.recordId);
    // An error about no record in particular may be about any of them.
    for (const id of Array.isArray(ids) && ids.length > 0 ? ids : [ids])
      names.find(identityOf(id))?.refusals.push(error);
  }
  names.settle(account, config, config.results === undefined);
}

export function readEchoes(config: ReceiptOf<'echoed-record'>, json: unknown, sent: Sent, account: Account): void {
  const entries = errorsIn(config, config.path, json, account);
  if (entries === undefined) return;
  if (entries.length === 0) {
    account.applyTheRest();
    return;
  }
  const { recordKey } = config;
  const nameOfSent = (record: unknown): string | undefined =>
    recordKey === undefined ? canonical(record) : identityOf(at(record, recordKey));
  const names = new Names(sent, nameOfSent);
  for (const entry of entries) names.find(nameOfEcho(config, entry))?.refusals.push(entry);
  names.settle(account, config, true);
}

function nameOfEcho(config: ReceiptOf<'echoed-record'>, entry: unknown): string | undefined {
  if (config.key !== undefined) return identityOf(at(entry, config.key));
  const record = at(entry, config.record);
  if (record === undefined) return undefined;
  return config.recordKey === undefined ? canonical(record) : identityOf(at(record, config.recordKey));
}
