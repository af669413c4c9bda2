import { parseJson } from '../../formats/rows.ts';
import type { Batch, Payload } from '../../model/batch.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Found } from '../connector.ts';
import { holds } from './account.ts';
import { sentOf } from './judge.ts';
import { listGoesOn } from './leads-on.ts';
import { nameOf, type Parts } from './parts.ts';
import { at, identityOf } from './paths.ts';
import type { LookupConfig } from './settings.ts';
import { countsMoreThan, tellsOfFailure } from './telling-names.ts';
import { fill, holdsName, isSegment } from './template.ts';

type Finding = Found['records'][number];

/** What one answer showed: how often each id was found, and whether there may be more to see. */
interface Seen {
  readonly times: Map<string, number>;
  /** All ids of the batch. */
  readonly sent: Set<string>;
  complete: boolean;
}

/**
 * Asks the API which records of a batch it holds. A record is absent only when a complete answer that covers its id
 * does not name it; records with one id are decided together, and one without an id stays unknown.
 */
export function openLookup(parts: Parts, config: LookupConfig): (batch: Batch, payload: Payload) => Promise<Found> {
  return async (batch, payload) => {
    const sent = sentOf(batch, payload);
    const ids: (string | undefined)[] = [];
    const seen: Seen = { times: new Map(), sent: new Set(), complete: true };
    for (let index = 0; index < sent.count; index++) {
      const id = identityOf(at(sent.record(index), config.recordId));
      if (id !== undefined) seen.sent.add(id);
      // What cannot be asked for must not keep the others from being found.
      ids.push(id !== undefined && (config.method === 'POST' || isSegment(id)) ? id : undefined);
    }
    const distinct = [...new Set(ids.filter((id) => id !== undefined))];
    for (const group of groupsOf(distinct, config)) await ask(parts, config, batch, group, seen);
    const records = decide(ids, seen);
    const count = (finding: Finding): number => records.filter((one) => one === finding).length;
    const cut = seen.complete ? '' : ', the answer was not complete';
    const figures = `${count('applied')} found, ${count('absent')} absent, ${count('unknown')} unclear${cut}`;
    return { records, evidence: `${nameOf(config.method, config.path)}: ${figures}` };
  };
}

/** Only an address that names the batch tells its records from others with the same ids. */
export const asksForBatch = (config: LookupConfig): boolean => holdsName(config.path, 'batch.idempotencyKey');

/** Which ids go into which request; one request without ids where the API is asked by the batch alone. */
function groupsOf(ids: readonly string[], config: LookupConfig): readonly (readonly string[])[] {
  if (holdsName(config.path, 'id')) return ids.map((id) => [id]);
  if (config.method === 'GET' && !holdsName(config.path, 'ids')) return [[]];
  const groups: string[][] = [];
  for (let from = 0; from < ids.length; from += config.idsPerRequest) {
    groups.push(ids.slice(from, from + config.idsPerRequest));
  }
  return groups;
}

async function ask(
  parts: Parts,
  config: LookupConfig,
  batch: Batch,
  ids: readonly string[],
  seen: Seen,
): Promise<void> {
  const name = nameOf(config.method, config.path);
  const reply = await parts.caller.call({
    method: config.method,
    name,
    // A look sends nothing that could be applied: the time-out of the request is all that bounds it.
    signal: new AbortController().signal,
    headers: ['x-waybill-batch', batch.idempotencyKey],
    contentType: 'application/json',
    compose: async () => ({
      path: fill(config.path, {
        'batch.idempotencyKey': batch.idempotencyKey,
        ...(ids.length > 0 ? { ids: ids.join(',') } : {}),
        ...(ids[0] === undefined ? {} : { id: ids[0] }),
      }),
      body: config.method === 'POST' ? Buffer.from(JSON.stringify({ [config.idsField]: ids })) : null,
    }),
  });
  const single = holdsName(config.path, 'id') ? ids[0] : undefined;
  // Only where one thing is asked for is 404 an answer; elsewhere the address may simply be wrong.
  if (reply.status === 404 && single !== undefined) return;
  if (reply.status < 200 || reply.status > 299) throw unanswered(name, `answered ${reply.status}`);
  const json = parse(reply.text(), name);
  if (single !== undefined && config.resultId === undefined) {
    if (config.match === undefined) expectNamed(name, json, single);
    if (config.match === undefined || holds(config.match, json) === true) note(seen, single);
    return;
  }
  const results = at(json, config.results);
  if (!Array.isArray(results)) throw unanswered(name, `answered without a list at ${config.results}`);
  for (const result of results) {
    const id = identityOf(at(result, config.resultId ?? config.recordId));
    // What cannot be told apart may be any of those that seem to be absent.
    if (id === undefined || (asksForSome(config) && !seen.sent.has(id))) seen.complete = false;
    if (id === undefined || (config.match !== undefined && holds(config.match, result) !== true)) continue;
    note(seen, id);
  }
  const failed = tellsOfFailure(json) !== undefined;
  if (failed || countsMoreThan(results.length, json) || listGoesOn(reply, json, config.more)) seen.complete = false;
}

/** Whether an answer may hold nothing but records of the batch. */
const asksForSome = (config: LookupConfig): boolean =>
  config.method === 'POST' || ['id', 'ids', 'batch.idempotencyKey'].some((hole) => holdsName(config.path, hole));

/** An answer of 200 may say that there is nothing. Throws where it does not hold the id that was asked for. */
function expectNamed(name: string, json: unknown, id: string): void {
  if (!holdsValue(json, id)) throw unanswered(name, 'answered without the id that was asked for');
}

function holdsValue(json: unknown, id: string): boolean {
  if (identityOf(json) === id) return true;
  return typeof json === 'object' && json !== null && Object.values(json).some((held) => holdsValue(held, id));
}

function note(seen: Seen, id: string): void {
  seen.times.set(id, (seen.times.get(id) ?? 0) + 1);
}

function decide(ids: readonly (string | undefined)[], seen: Seen): Finding[] {
  const sentTimes = new Map<string, number>();
  for (const id of ids) if (id !== undefined) sentTimes.set(id, (sentTimes.get(id) ?? 0) + 1);
  return ids.map((id) => {
    if (id === undefined) return 'unknown';
    const found = seen.times.get(id) ?? 0;
    if (found === 0) return seen.complete ? 'absent' : 'unknown';
    // Fewer than were sent under this id: some of them are there, and nothing tells which.
    return found >= (sentTimes.get(id) ?? 1) ? 'applied' : 'unknown';
  });
}

function parse(text: string | undefined, name: string): unknown {
  try {
    return parseJson(text ?? '');
  } catch (error) {
    throw unanswered(name, 'answered with something that is not JSON', error);
  }
}

const unanswered = (name: string, why: string, cause?: unknown): WaybillError =>
  new WaybillError('SINK_FAILED', `${name} ${why}: nothing was found out`, cause === undefined ? {} : { cause });
