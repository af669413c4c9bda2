import { parseJson } from '../../formats/rows.ts';
import { assertNever } from '../../model/assert.ts';
import { OUTCOME } from '../../model/verdict.ts';
import { Account, errorsIn, holds, reasonOf, type Sent } from './account.ts';
import { readClientIds, readEchoes } from './named-records.ts';
import { at, identityOf } from './paths.ts';
import type { ReceiptConfig, ReceiptOf } from './receipt-config.ts';
import { tellsOfFailure } from './telling-names.ts';

/** A reply of success. `text` is undefined when its body cannot be read as text. */
export interface ReceiptText {
  readonly text: string | undefined;
}

/**
 * Reads what became of each record out of a reply of success, by the shape that the flow file declares. Pure. Never
 * throws: what cannot be read, does not add up or names a record that was not sent leaves records unknown.
 */
export function readReceipt(config: ReceiptConfig, reply: ReceiptText, sent: Sent): Account {
  const account = new Account(sent.count);
  if (config.shape === 'none') {
    account.applyTheRest();
    return account;
  }
  const json = parse(reply.text);
  if (config.shape === 'all-or-nothing' && !config.ok && !config.applied) return wholeByStatus(json, sent, account);
  if (json === undefined) return account.distrust(whyUnread(reply.text));
  read(config, json, sent, account);
  return 'check' in config && config.check ? checked(account, json, config.check) : account;
}

function read(config: ReceiptConfig, json: unknown, sent: Sent, account: Account): void {
  switch (config.shape) {
    case 'position':
      readPositions(config, json, account);
      break;
    case 'client-id':
      readClientIds(config, json, sent, account);
      break;
    case 'index-in-array':
      readIndexes(config, json, account);
      break;
    case 'echoed-record':
      readEchoes(config, json, sent, account);
      break;
    case 'counts':
      readCounts(config, json, account);
      break;
    case 'all-or-nothing':
      readWhole(config, json, account);
      break;
    case 'none':
      account.applyTheRest();
      break;
    default:
      assertNever(config);
  }
}

function whyUnread(text: string | undefined): string {
  if (text === undefined) return 'the reply is no text, or packed in a way that cannot be unpacked';
  return text.trim() === '' ? 'the reply is empty' : 'the reply is not JSON';
}

function parse(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return parseJson(text);
  } catch {
    // A reply that is not JSON is an answer of its own: the caller leaves every record unknown.
    return undefined;
  }
}

function readPositions(config: ReceiptOf<'position'>, json: unknown, account: Account): void {
  const found = at(json, config.path);
  // An API that takes one record a request answers with its one result, not with a list of one.
  const alone = account.count === 1 && typeof found === 'object' && found !== null && !Array.isArray(found);
  const results: unknown = alone ? [found] : found;
  if (!Array.isArray(results) || results.length !== account.count) {
    const got = Array.isArray(results) ? `${results.length} results` : 'no list of results';
    account.distrust(`the reply has ${got} for ${account.count} records`);
    return;
  }
  results.forEach((result, index) => {
    const success = holds(config.success, result);
    if (success === false) account.refuse(index, reasonOf(result, config));
    if (success !== true) return;
    account.apply(index);
    const id = config.id === undefined ? undefined : identityOf(at(result, config.id));
    if (id !== undefined) account.remoteIds.push(id);
  });
  const unclear = account.tell(OUTCOME.unknown);
  if (unclear > 0) account.notes.push(`${unclear} results say neither success nor failure`);
}

function readIndexes(config: ReceiptOf<'index-in-array'>, json: unknown, account: Account): void {
  const errors = errorsIn(config, config.errors, json, account);
  if (errors === undefined) return;
  const seen = new Map<number, number>();
  let strange = 0;
  for (const error of errors) {
    const place = countAt(error, config.index);
    const index = place === undefined ? -1 : place - config.first;
    const known = index >= 0 && index < account.count;
    const ours = config.arrayName === undefined || at(error, config.array ?? 'array') === config.arrayName;
    if (!known || !ours) strange++;
    else {
      seen.set(index, (seen.get(index) ?? 0) + 1);
      account.refuse(index, reasonOf(error, config));
    }
  }
  const repeated = [...seen].filter(([, times]) => times > 1 && !config.severalPerRecord);
  for (const [index] of repeated) account.forget(index);
  // An error that cannot be tied to a record may be about any of them.
  if (strange + repeated.length === 0) account.applyTheRest();
  else account.notes.push(`${strange + repeated.length} errors cannot be tied to one record each`);
}

function readCounts(config: ReceiptOf<'counts'>, json: unknown, account: Account): void {
  const appliedCount = countAt(json, config.applied);
  const refusedCount = config.refused === undefined ? undefined : countAt(json, config.refused);
  const total = config.total === undefined ? undefined : countAt(json, config.total);
  if (appliedCount === undefined || (config.refused !== undefined && refusedCount === undefined)) {
    account.distrust('the reply lacks its counts');
    return;
  }
  const sum = appliedCount + (refusedCount ?? account.count - appliedCount);
  if (sum !== account.count || (config.total !== undefined && total !== account.count)) {
    account.distrust(`the reply counts ${appliedCount} applied of ${account.count}, which does not add up`);
  } else if (appliedCount === account.count) account.applyTheRest();
  else if (refusedCount === account.count) {
    for (let index = 0; index < account.count; index++) account.refuse(index, reasonOf(json, {}));
  } else account.notes.push(`${appliedCount} of ${account.count} applied, and the reply does not say which`);
}

/** The status says it all, unless the reply speaks against it. */
function wholeByStatus(json: unknown, sent: Sent, account: Account): Account {
  const failure = tellsOfFailure(json, sent.count === 1 ? sent.record(0) : undefined);
  if (failure === undefined) account.applyTheRest();
  else account.notes.push(`the reply tells of failures at ${failure}`);
  return account;
}

function readWhole(config: ReceiptOf<'all-or-nothing'>, json: unknown, account: Account): void {
  const ok = config.ok === undefined ? true : holds(config.ok, json);
  if (ok === undefined) account.notes.push('the reply says neither success nor failure');
  else if (!ok) for (let index = 0; index < account.count; index++) account.refuse(index, reasonOf(json, config));
  else if (config.applied !== undefined && countAt(json, config.applied) !== account.count) {
    account.notes.push('the reply does not count every record as applied');
  } else account.applyTheRest();
}

function checked(
  account: Account,
  json: unknown,
  paths: { applied?: string | undefined; refused?: string | undefined },
): Account {
  const pairs = [
    ['applied', paths.applied, OUTCOME.applied],
    ['refused', paths.refused, OUTCOME.refused],
  ] as const;
  for (const [what, path, outcome] of pairs) {
    if (path === undefined || at(json, path) === undefined) continue;
    const said = countAt(json, path);
    if (said !== account.tell(outcome))
      return account.distrust(`the reply's count of ${what} records is not that of its lists`);
  }
  return account;
}

/** A count as a whole number, also where the sink spells it as text. */
export function countAt(json: unknown, path: string): number | undefined {
  const value = at(json, path);
  const number = typeof value === 'string' && /^[0-9]{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 ? number : undefined;
}
