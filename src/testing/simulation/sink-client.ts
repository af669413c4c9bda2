import type { Abilities, LoadAbilities, Permit, Sink } from '../../connectors/connector.ts';
import { LINES, type Payload } from '../../model/batch.ts';
import { NotAppliedError, WaybillError } from '../../model/errors.ts';
import type { Rung } from '../../model/guarantee.ts';
import { OUTCOME, type Verdict } from '../../model/verdict.ts';
import { abilitiesFor, loadAbilities, loadOf, type StepWitness } from './load-client.ts';

import type { Line, Network } from './network.ts';
import type { SimProcess } from './process.ts';
import type { Scenario } from './scenario.ts';
import { surelyUp } from './sink-faults.ts';
import { SHARED_KEY, type SinkRequest } from './sink-request.ts';
import type { SinkServer } from './sink-server.ts';

/** Told of every send at the moment at which its bytes leave. */
export type SendWitness = (process: SimProcess, request: SinkRequest) => void;

/** Which methods a sink of each class has. */
const ABILITIES: Readonly<Record<Rung, readonly (keyof Abilities)[]>> = {
  none: ['append'],
  look: ['append', 'find'],
  'fence-then-look': ['append', 'find', 'fence'],
  key: ['appendOnce'],
  marker: ['commitOnce', 'marked'],
  position: ['appendAt'],
  job: ['job'],
  put: ['put'],
};

/** Classes whose promise rests on a request being applied in time or not at all. */
const TIMELY: ReadonlySet<Rung> = new Set(['look', 'key', 'put', 'job']);

const LOOKS: ReadonlySet<string> = new Set(['find', 'marked']);

export interface SinkParts {
  readonly scenario: Scenario;
  readonly server: SinkServer;
  readonly network: Network;
  readonly witness: SendWitness;
  readonly asked: StepWitness;
}

/** A connector to the simulated sink, as one process holds it: it has no timer, retry or memory of its own. */
export function simSink(process: SimProcess, parts: SinkParts): Sink {
  const { scenario } = parts;
  const client = new SinkClient(process, parts);
  const all: Abilities & LoadAbilities = {
    ...loadAbilities(process, parts, (permit) => client.send('load.add', permit)),
    append: (permit) => client.send('append', permit) as Promise<Verdict>,
    appendAt: (permit, expected) => client.send('appendAt', permit, expected) as Promise<Verdict>,
    appendOnce: (permit) => client.send('appendOnce', permit) as Promise<Verdict>,
    commitOnce: (permit) => client.send('commitOnce', permit),
    marked: ({ batch, attempt, signal }) =>
      client.ask('marked', batch.id, () => parts.server.marked(batch, attempt), signal),
    put: (permit) => client.send('put', permit) as Promise<Verdict>,
    job: {
      open: async (permit) => {
        const batch = permit.batch.id;
        return await client.ask('job.open', batch, () => parts.server.openJob(batch), permit.signal);
      },
      send: async (handle, permit) => void (await client.send('job.send', permit, handle)),
      state: (handle, batch) => client.ask('job.state', batch.id, () => parts.server.jobState(handle)),
    },
    find: (batch, payload) =>
      client.ask('find', batch.id, () => parts.server.find(batch, hexKeys(payload), textsOf(payload))),
    fence: (shard, fence) => client.ask('fence', 0, () => parts.server.raiseFence(shard, fence)),
  };
  const { rung, load } = scenario;
  const can = load === undefined ? ABILITIES[rung] : abilitiesFor(load);
  return {
    accepts: [LINES],
    limits: { recordsPerBatch: scenario.recordsPerBatch, inFlight: scenario.inFlight },
    can: Object.fromEntries(can.map((name) => [name, all[name]])),
    facts: {
      ...(rung === 'key' && { key: { horizonMs: scenario.keyHorizonMs, storesErrors: false } }),
      ...(rung === 'look' || rung === 'fence-then-look' ? { visibilityLagMs: scenario.visibilityLagMs } : {}),
      ...(rung === 'position' && { tail: () => client.ask('tail', 0, () => parts.server.tail) }),
      ...((scenario.rejectsAtomically || rung === 'marker') && { rejectsAtomically: true }),
      ...(scenario.shared === true && { putKey: [SHARED_KEY] }),
      ...(load !== undefined && { loadRung: load.addedBy }),
      ...(load?.strategy === 'stateful-merger' && load.past === 'versions' && { seenByHalves: true }),
    },
    requestTimeoutMs: scenario.requestTimeoutMs,
  };
}

class SinkClient {
  readonly #process: SimProcess;
  readonly #parts: SinkParts;

  constructor(process: SimProcess, parts: SinkParts) {
    this.#process = process;
    this.#parts = parts;
  }

  async ask<T>(name: string, batch: number, work: () => T, signal?: AbortSignal): Promise<T> {
    const { network, scenario, server } = this.#parts;
    const timeoutMs = scenario.requestTimeoutMs;
    const line: Line = {
      kind: 'ask',
      timeoutMs,
      arrivesWithinMs: timeoutMs,
      ...(signal === undefined ? {} : { signal }),
    };
    return await network.call(this.#process, name, batch, line, () => {
      const { world } = this.#process;
      if (server.isDown) throw new NotAppliedError('the sink is down', { sinkAway: true });
      if (LOOKS.has(name) && world.fault('look-fails')) throw new WaybillError('SINK_FAILED', '500 for a question');
      return work();
    });
  }

  /** From the permit to the wire nothing may come between: the bytes leave in the same step in which they are had. */
  async send(ability: SinkRequest['ability'], permit: Permit, target = ''): Promise<Verdict | 'already'> {
    const { scenario, network } = this.#parts;
    if (permit.signal.aborted) throw new NotAppliedError('given up before it began');
    const payload = await permit.payload();
    if (!this.#process.alive) return await new Promise(() => undefined);
    const base = requestOf(ability, permit, payload, target, this.#process);
    const request: SinkRequest = ability === 'load.add' ? { ...base, load: loadOf(permit) } : base;
    const timeoutMs = scenario.requestTimeoutMs;
    const arrivesWithinMs = TIMELY.has(scenario.rung) ? timeoutMs : timeoutMs * 8;
    const line: Line = { kind: 'send', timeoutMs, arrivesWithinMs, signal: permit.signal };
    this.#parts.witness(this.#process, request);
    return await network.call(this.#process, ability, request.batch.id, line, () => this.#serve(request));
  }

  /** The sink's side of a send, with all that can go wrong there. */
  #serve(request: SinkRequest): Verdict | 'already' {
    const { server } = this.#parts;
    const { world } = this.#process;
    surelyUp(server, world);
    if (world.fault('half-applied')) {
      server.handleInPart(request, world.tape.draw(request.texts.length + 1));
      throw new WaybillError('SINK_FAILED', '500: died in the middle');
    }
    const verdict = server.handle(request);
    if (world.fault('error-after-apply')) throw new WaybillError('SINK_FAILED', '500: after the effect');
    if (verdict === 'already') return verdict;
    return this.#told(verdict);
  }

  /** What the sink says of what it did: less than it knows, at times. */
  #told(verdict: Verdict): Verdict {
    const { world } = this.#process;
    if (world.fault('answer-garbled')) return { ...verdict, outcomes: verdict.outcomes.subarray(1) };
    if (!world.fault('answer-partly-unknown')) return verdict;
    const outcomes = verdict.outcomes.map((outcome) =>
      outcome === OUTCOME.applied && world.tape.draw(2) === 1 ? OUTCOME.unknown : outcome,
    );
    return { ...verdict, outcomes };
  }
}

function requestOf(
  ability: SinkRequest['ability'],
  permit: Permit,
  payload: Payload,
  target: string,
  process: SimProcess,
): SinkRequest {
  return {
    ability,
    batch: permit.batch,
    attempt: permit.attempt,
    shard: permit.shard,
    fence: permit.fence,
    sender: process.name,
    sentAtMs: process.world.nowMs,
    texts: textsOf(payload),
    keys: hexKeys(payload),
    target,
  };
}

export function textsOf({ bytes, spans }: Payload): readonly string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: spans.length / 2 }, (_, at) => buffer.toString('utf8', spans[at * 2], spans[at * 2 + 1]));
}

export function hexKeys({ keys }: Pick<Payload, 'keys'>): readonly string[] {
  const hex = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength).toString('hex');
  return Array.from({ length: keys.length / 16 }, (_, at) => hex.slice(at * 32, at * 32 + 32));
}
