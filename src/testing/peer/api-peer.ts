import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { give, send } from './answers.ts';
import {
  type Answer,
  type Apply,
  at,
  type Behaviour,
  type Fault,
  FaultPlan,
  QUIET,
  type RejectRule,
} from './behaviour.ts';
import { PeerJobs } from './jobs.ts';
import { KeyStore } from './keys.ts';
import { findRecords } from './lookups.ts';
import { Gate } from './oauth.ts';
import { rejectsWhole, replyOf } from './shapes.ts';
import { type AppliedRecord, PeerStore, type ReceivedRequest, recordsOf } from './store.ts';

/**
 * An HTTP API that keeps everything it receives and fails on demand. Any POST, PUT or PATCH carries records, except
 * below `/_peer` (control), `/oauth/token`, `/lookup` and `/jobs`; GET below `/records` looks them up.
 */
export interface ApiPeer {
  /** `http://127.0.0.1:PORT`, without a slash at its end. */
  readonly url: string;
  /** Every request that carried records, in the order of arrival. */
  readonly received: readonly ReceivedRequest[];
  /** What the peer holds: every record that was applied, as often as it was. */
  records(): readonly unknown[];
  /** The same, with the request that each came in. */
  applied(): readonly AppliedRecord[];
  /** Changes the behaviour from the next request on; the counters of faults start anew. */
  set(behaviour: Partial<Behaviour>): void;
  readonly gate: Gate;
  readonly jobs: PeerJobs;
  /** Also ends connections that hang. */
  close(): Promise<void>;
}

export interface PeerOptions {
  readonly port?: number;
  /** A file that gets a line for every record before its request is answered. */
  readonly logFile?: string;
}

export async function openApiPeer(behaviour: Partial<Behaviour> = {}, options: PeerOptions = {}): Promise<ApiPeer> {
  const peer = new Peer(behaviour, options.logFile);
  return await peer.listen(options.port ?? 0);
}

class Peer implements ApiPeer {
  readonly gate = new Gate();
  readonly jobs = new PeerJobs();
  readonly #store: PeerStore;
  readonly #keys = new KeyStore();
  readonly #server: Server;
  #behaviour: Behaviour = QUIET;
  #plan = new FaultPlan([]);
  #arrived = 0;
  /** What is still to be applied, after its answer. */
  readonly #late = new Set<NodeJS.Timeout>();
  #failure: unknown;

  constructor(behaviour: Partial<Behaviour>, logFile: string | undefined) {
    this.#store = new PeerStore(logFile);
    this.set(behaviour);
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => this.#broke(error, response));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  get received(): readonly ReceivedRequest[] {
    return this.#store.received;
  }
  records(): readonly unknown[] {
    return this.applied().map((one) => one.record);
  }
  applied(): readonly AppliedRecord[] {
    return this.#store.held(this.#behaviour.upsertKey !== undefined);
  }

  set(behaviour: Partial<Behaviour>): void {
    this.#behaviour = { ...this.#behaviour, ...behaviour };
    if (behaviour.faults !== undefined) this.#plan = new FaultPlan(behaviour.faults);
  }

  async listen(port: number): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    return this;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
    for (const timer of this.#late) clearTimeout(timer);
    this.#store.close();
    // A fault of the peer itself must not pass for a fault that was asked for.
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    if (path.startsWith('/_peer/')) return await this.#control(path, request, response);
    if (path === '/oauth/token') {
      this.gate.give(this.#behaviour.auth, request.headers, await textOf(request), response);
      return;
    }
    const carriesRecords = request.method !== 'GET' && path !== '/lookup' && !/^\/jobs(\/[^/]+\/complete)?$/.test(path);
    if (carriesRecords) return await this.#take(path, request, response);
    const body = await textOf(request);
    if (!this.gate.admits(this.#behaviour.auth, request.headers)) {
      send(response, { status: 401, body: { error: 'unauthorized' } });
      return;
    }
    if (path.startsWith('/jobs')) this.#job(path, request.method ?? 'GET', response);
    else findRecords({ path, body, behaviour: this.#behaviour, held: this.applied() }, response);
  }

  async #take(path: string, message: IncomingMessage, response: ServerResponse): Promise<void> {
    const nth = ++this.#arrived;
    const behaviour = this.#behaviour;
    if (this.#plan.pick({ nth, path }) !== undefined) {
      response.socket?.destroy();
      return;
    }
    const body = await textOf(message);
    const headers = message.headers as Record<string, string>;
    const { recordsAt, recordIn } = behaviour;
    const records = recordsOf(body, headers['content-type'] ?? '', recordsAt, recordIn);
    const method = message.method ?? '';
    const request: ReceivedRequest = {
      nth,
      method,
      path,
      headers,
      body,
      records,
      atMs: Date.now(),
      applied: 0,
      answered: false,
    };
    this.#store.received.push(request);
    response.on('finish', () => {
      request.answered = true;
    });
    if (!this.gate.admits(behaviour.auth, headers)) {
      request.status = send(response, { status: 401, body: { error: 'unauthorized' } });
      return;
    }
    await this.#answer(request, response, this.#plan.pick({ nth, path, records }) ?? { answer: 'normal' });
  }

  async #answer(request: ReceivedRequest, response: ServerResponse, fault: Fault): Promise<void> {
    const behaviour = this.#behaviour;
    const rule = behaviour.idempotency;
    const key = rule === undefined || rule.ignored ? undefined : request.headers[rule.header];
    if (rule?.confirm !== undefined) response.setHeader(rule.confirm.name, rule.confirm.value);
    const known = rule === undefined || key === undefined ? undefined : this.#keys.begin(rule, key, request.body);
    if (known !== undefined) {
      request.status = send(response, known);
      return;
    }
    const delayMs = fault.delayMs ?? behaviour.delayMs;
    if (delayMs > 0) await pause(delayMs);
    const refused = this.#refusedOf(request.records);
    const whole = rejectsWhole(behaviour.shape) && refused.size > 0;
    this.#apply(request, whole ? 'none' : applyOf(fault), refused);
    const outcome = { records: request.records, refused, nth: request.nth };
    const status = give(response, fault.answer, behaviour.shape, outcome);
    if (status !== undefined) request.status = status;
    if (rule !== undefined && key !== undefined) {
      const { answer } = fault;
      const error = isGood(answer)
        ? undefined
        : { status: 500, body: undefined, ...(typeof answer === 'object' ? answer : {}) };
      this.#keys.end(rule, key, { honest: replyOf(behaviour.shape, outcome), error, applied: request.applied > 0 });
    }
    this.#fillJob(request, refused);
  }

  #apply(request: ReceivedRequest, apply: Apply, refused: ReadonlyMap<number, RejectRule>): void {
    const { upsertKey } = this.#behaviour;
    const good = request.records.filter((_, index) => !refused.has(index));
    const some = apply === 'all' ? good : apply === 'half' ? good.slice(0, Math.floor(good.length / 2)) : [];
    if (some.length > 0) this.#store.apply(request, some, upsertKey);
    if (typeof apply === 'object') {
      const timer = setTimeout(() => {
        this.#late.delete(timer);
        this.#store.apply(request, good, upsertKey);
      }, apply.laterMs);
      this.#late.add(timer);
    } else
      this.#store.leave(
        request,
        request.records.filter((record) => !some.includes(record)),
      );
  }

  #refusedOf(records: readonly unknown[]): ReadonlyMap<number, RejectRule> {
    const refused = new Map<number, RejectRule>();
    for (const [index, record] of records.entries()) {
      const rule = this.#behaviour.reject.find((one) => one.values.includes(at(record, one.path) as string));
      if (rule !== undefined) refused.set(index, rule);
    }
    return refused;
  }

  #fillJob(request: ReceivedRequest, refused: ReadonlyMap<number, RejectRule>): void {
    const id = /^\/jobs\/([^/]+)\/data$/.exec(request.path)?.[1];
    if (id !== undefined && request.applied + refused.size === request.records.length) {
      this.jobs.fill(id, request.records, refused, this.#behaviour);
    }
  }

  #job(path: string, method: string, response: ServerResponse): void {
    const [, , id = '', part] = path.split('/');
    if (id === '') {
      send(response, method === 'POST' ? { status: 202, body: this.jobs.create().body } : { status: 405, body: {} });
    } else if (part === 'complete') send(response, { status: this.jobs.complete(id) ? 202 : 404, body: {} });
    else if (part === 'errors') this.jobs.answerErrors(id, response);
    else this.jobs.answerState(id, this.#behaviour, response);
  }

  async #control(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await textOf(request);
    if (path === '/_peer/received') send(response, { status: 200, body: this.received });
    else if (path === '/_peer/records') send(response, { status: 200, body: this.applied() });
    else if (path === '/_peer/behaviour') {
      if (request.method !== 'GET') this.set(JSON.parse(body) as Partial<Behaviour>);
      send(response, { status: 200, body: this.#behaviour });
    } else send(response, { status: 404, body: { error: 'no such control' } });
  }

  #broke(error: unknown, response: ServerResponse): void {
    // The sender going away while its body is read is no fault of the peer.
    if (!(error instanceof Error && 'code' in error && error.code === 'ECONNRESET')) this.#failure ??= error;
    response.socket?.destroy();
  }
}

/** A request that is answered as usual is applied, unless the fault says otherwise; one that fails is not. */
function applyOf(fault: Fault): Apply {
  if (fault.apply !== undefined) return fault.apply;
  const { answer } = fault;
  return isGood(answer) ? 'all' : 'none';
}

const isGood = (answer: Answer): boolean => answer === 'normal' || (typeof answer === 'object' && answer.status < 300);

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
