import type { ServerResponse } from 'node:http';
import { send } from './answers.ts';
import { at, type Behaviour } from './behaviour.ts';
import type { AppliedRecord } from './store.ts';

export interface Look {
  readonly path: string;
  readonly body: string;
  readonly behaviour: Behaviour;
  readonly held: readonly AppliedRecord[];
}

/**
 * `GET /records/ID`, `GET /records?ids=A,B`, `GET /records?batch=KEY` and `POST /lookup {ids: []}`: what the peer
 * holds and already shows. Lists answer `{results, next}`; `next` says that a page of 100 was not enough.
 */
export function findRecords(look: Look, response: ServerResponse): void {
  const url = new URL(look.path, 'http://peer');
  const { idAt, visibilityLagMs } = look.behaviour;
  const visible = look.held.filter((one) => one.atMs <= Date.now() - visibilityLagMs);
  const single = /^\/records\/([^/]+)$/.exec(url.pathname)?.[1];
  if (single !== undefined) {
    const found = visible.find((one) => String(at(one.record, idAt)) === decodeURIComponent(single));
    send(response, found === undefined ? { status: 404, body: {} } : { status: 200, body: found.record });
    return;
  }
  if (url.pathname !== '/records' && url.pathname !== '/lookup') {
    send(response, { status: 404, body: { error: 'no such place' } });
    return;
  }
  const results = visible.filter(askedFor(url, look)).map((one) => one.record);
  send(response, {
    status: 200,
    body: { results: results.slice(0, PAGE), next: results.length > PAGE ? 'page-2' : null },
  });
}

const PAGE = 100;

/** What is asked for is read once, and not again for every record: a peer may hold many. */
function askedFor(url: URL, look: Look): (one: AppliedRecord) => boolean {
  const batch = url.searchParams.get('batch');
  if (batch !== null) return (one) => one.batch === batch;
  const ids =
    url.pathname === '/lookup'
      ? (at(JSON.parse(look.body), 'ids') as unknown[])
      : (url.searchParams.get('ids') ?? '').split(',');
  const wanted = new Set(ids.map(String));
  return (one) => wanted.has(String(at(one.record, look.behaviour.idAt)));
}
