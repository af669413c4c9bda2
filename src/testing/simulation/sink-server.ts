import type { Found } from '../../connectors/connector.ts';
import type { Batch } from '../../model/batch.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import type { Rung } from '../../model/guarantee.ts';
import { OUTCOME, type Refusal, type Verdict } from '../../model/verdict.ts';
import type { LoadScenario } from './load-scenario.ts';
import { type AddRequest, LoadServer } from './load-server.ts';
import { SHARED_KEY, type SinkEffect, type SinkRequest } from './sink-request.ts';
import type { World } from './world.ts';

export interface SinkFacts {
  readonly rung: Rung;
  readonly visibilityLagMs: number;
  readonly keyHorizonMs: number;
  readonly rejectsAtomically: boolean;
  /** The fence is looked at on every request. */
  readonly fences: boolean;
  readonly load?: LoadScenario | undefined;
  /** Kept under a key that records of other keys share. */
  readonly shared?: true | undefined;
}

interface Job {
  readonly batch: number;
  polls: number;
  answer: Verdict | undefined;
}

/**
 * The sink as it really is, whoever asks. It takes what reaches it and keeps every effect, and recognises a repeat
 * only as far as its class says: an idempotency key within its horizon, a marker, a position, a job's handle, a key.
 */
export class SinkServer {
  readonly effects: SinkEffect[] = [];
  /** For a sink that replaces: what it holds under each key. */
  readonly held = new Map<string, SinkEffect>();
  readonly fences = new Map<string, number>();
  readonly jobs = new Map<string, Job>();
  /** What it collects and shows as a whole, if that is what it is for. */
  readonly loads: LoadServer | undefined;
  downUntilMs = 0;
  readonly #facts: SinkFacts;
  readonly #world: World;
  readonly #answers = new Map<string, { digest: string; firstAtMs: number; verdict: Verdict }>();
  readonly #markers = new Map<string, string>();
  /** By idempotency key: the last attempt that is let in no more. */
  readonly #shutOut = new Map<string, number>();
  readonly #refusedForNow = new Set<string>();

  constructor(world: World, facts: SinkFacts) {
    this.#world = world;
    this.#facts = facts;
    const { load } = facts;
    if (load !== undefined) this.loads = new LoadServer(world, load, (request, index) => this.#take(request, index));
  }

  get isDown(): boolean {
    return this.#world.nowMs < this.downUntilMs;
  }

  /** The key under which this sink keeps a record. */
  heldUnder({ key, text }: { readonly key: string; readonly text: string }): string {
    if (this.#facts.shared !== true) return key;
    return String((JSON.parse(text) as Record<string, unknown>)[SHARED_KEY]);
  }

  /** Applies a request as a whole and answers; throws RefusedError. `already`: the marker was there. */
  handle(request: SinkRequest): Verdict | 'already' {
    this.#turnAwayFenced(request);
    switch (request.ability) {
      case 'appendAt':
        return this.#appendAt(request);
      case 'appendOnce':
        return this.#appendOnce(request);
      case 'commitOnce':
        return this.#commitOnce(request);
      case 'job.send':
        return this.#sendJob(request);
      case 'load.add':
        return this.loads!.add(request as AddRequest);
      default:
        return this.#apply(request);
    }
  }

  /** Dies in the middle: the first `count` records are in, and nobody is told. */
  handleInPart(request: SinkRequest, count: number): void {
    this.#turnAwayFenced(request);
    if (request.ability === 'load.add') return void this.loads!.add(request as AddRequest, count);
    const refused = new Set(this.#refusals(request).map(({ index }) => index));
    for (let index = 0; index < count; index++) if (!refused.has(index)) this.#take(request, index);
  }

  openJob(batch: number): string {
    const handle = `job-${this.jobs.size + 1}`;
    this.jobs.set(handle, { batch, polls: 0, answer: undefined });
    return handle;
  }

  jobState(handle: string): Verdict | 'running' | 'empty' {
    const job = this.jobs.get(handle);
    if (job?.answer === undefined) return 'empty';
    return job.polls-- > 0 ? 'running' : job.answer;
  }

  /** Equal records of a batch are told apart by how many of them there are. */
  find(batch: Batch, keys: readonly string[], texts: readonly string[]): Found {
    const seen = new Map<string, number>();
    for (const { request, key, text, visibleAtMs } of this.effects) {
      if (request.batch.idempotencyKey !== batch.idempotencyKey || visibleAtMs > this.#world.nowMs) continue;
      seen.set(`${key} ${text}`, (seen.get(`${key} ${text}`) ?? 0) + 1);
    }
    let found = 0;
    const records = keys.map((key, at) => {
      const left = seen.get(`${key} ${texts[at]}`) ?? 0;
      seen.set(`${key} ${texts[at]}`, left - 1);
      if (left > 0) found++;
      return left > 0 ? ('applied' as const) : ('absent' as const);
    });
    return { records, evidence: `${found} of ${batch.records} records were found` };
  }

  /** As a database that waits for what it has begun: what is not there when it is asked for will not come any more. */
  marked({ idempotencyKey }: Batch, attempt: number): boolean {
    const there = this.#markers.has(idempotencyKey);
    if (!there) this.#shutOut.set(idempotencyKey, Math.max(attempt, this.#shutOut.get(idempotencyKey) ?? 0));
    this.#world.mark(there ? 'a marker was found by a look' : 'a look found no marker');
    return there;
  }

  raiseFence(shard: string, fence: number): void {
    this.fences.set(shard, Math.max(fence, this.fences.get(shard) ?? 0));
  }

  get tail(): string {
    return String(this.effects.length);
  }

  #turnAwayFenced(request: SinkRequest): void {
    const raised = this.fences.get(request.shard);
    if (!this.#facts.fences || raised === undefined || request.fence >= raised) return;
    this.#world.mark('an older fence was turned away by the sink');
    throw new RefusedError(`fence ${request.fence} is older than ${raised}`, { reason: 'fenced' });
  }

  #appendAt(request: SinkRequest): Verdict {
    const at = Number(request.target);
    if (this.effects.length === at) return this.#apply(request);
    const taken = this.#taken(request);
    const there = this.effects.slice(at, at + taken.length);
    if (taken.length === 0 || there.length < taken.length || there.some(({ text }, nth) => text !== taken[nth])) {
      throw new RefusedError(`the sink stands at ${this.tail}, not at ${at}`, { reason: 'position' });
    }
    this.#world.mark('a repeat was recognised by its position');
    return this.#verdict(request, String(at + taken.length));
  }

  #appendOnce(request: SinkRequest): Verdict {
    const { idempotencyKey, digest } = request.batch;
    const known = this.#answers.get(idempotencyKey);
    if (known !== undefined && this.#world.nowMs - known.firstAtMs < this.#facts.keyHorizonMs) {
      if (known.digest !== digest) throw new RefusedError('this key was used for other content', { reason: 'key' });
      this.#world.mark('a repeat was recognised by its key');
      return known.verdict;
    }
    const verdict = this.#apply(request);
    this.#answers.set(idempotencyKey, { digest, firstAtMs: this.#world.nowMs, verdict });
    return verdict;
  }

  #commitOnce(request: SinkRequest): Verdict | 'already' {
    const { idempotencyKey, digest } = request.batch;
    const marker = this.#markers.get(idempotencyKey);
    if (marker !== undefined && marker !== digest) throw new RefusedError('other content', { reason: 'marker' });
    if (marker !== undefined) {
      this.#world.mark('a repeat was recognised by its marker');
      return 'already';
    }
    if ((this.#shutOut.get(idempotencyKey) ?? 0) >= request.attempt) {
      this.#world.mark('a send was shut out by a look for its marker');
      throw new NotAppliedError('it was asked for this attempt');
    }
    const verdict = this.#apply(request);
    this.#markers.set(idempotencyKey, digest);
    return verdict;
  }

  #sendJob(request: SinkRequest): Verdict {
    const job = this.jobs.get(request.target);
    if (job === undefined) throw new RefusedError(`there is no job ${request.target}`, { reason: 'job-unknown' });
    if (job.answer !== undefined) return job.answer;
    job.answer = this.#apply(request);
    job.polls = this.#world.tape.draw(3);
    return job.answer;
  }

  #apply(request: SinkRequest): Verdict {
    const refusals = this.#refusals(request);
    const permanent = refusals.find((one) => !one.retryable);
    // A marker says that the whole batch is there, so a sink with markers cannot take a part of one.
    if (permanent !== undefined && (this.#facts.rejectsAtomically || this.#facts.rung === 'marker')) {
      throw new RefusedError('a record was refused, and the batch with it', { reason: permanent.code });
    }
    const refused = new Set(refusals.map(({ index }) => index));
    request.texts.forEach((_, index) => {
      if (!refused.has(index)) this.#take(request, index);
    });
    const verdict = verdictOf(request, refusals, this.tail);
    for (const { index, retryable } of refusals) if (retryable) this.#refusedForNow.add(request.texts[index]!);
    return verdict;
  }

  #verdict(request: SinkRequest, position: string): Verdict {
    return verdictOf(request, this.#refusals(request), position);
  }

  #taken(request: SinkRequest): readonly string[] {
    const refused = new Set(this.#refusals(request).map(({ index }) => index));
    return request.texts.filter((_, index) => !refused.has(index));
  }

  /** A record that says so is refused: for good, or the first time. */
  #refusals(request: SinkRequest): readonly Refusal[] {
    return request.texts.flatMap((text, index): Refusal[] => {
      if (text.includes('"bad"')) return [{ index, code: 'E_BAD', message: 'it is bad', retryable: false }];
      const later = text.includes('"later"') && this.#facts.rung !== 'marker' && this.#facts.rung !== 'position';
      if (!later || this.#refusedForNow.has(text)) return [];
      return [{ index, code: 'E_LATER', message: 'not now', retryable: true }];
    });
  }

  #take(request: SinkRequest, index: number): SinkEffect {
    const { nowMs, tape, swarm, faulty } = this.#world;
    const lags = faulty && swarm['look-lags'] !== undefined && tape.chance(swarm['look-lags']);
    const effect: SinkEffect = {
      atMs: nowMs,
      visibleAtMs: nowMs + (lags ? tape.between(1, Math.max(1, this.#facts.visibilityLagMs)) : 0),
      request,
      index,
      key: request.keys[index]!,
      text: request.texts[index]!,
    };
    this.effects.push(effect);
    this.held.set(this.heldUnder(effect), effect);
    return effect;
  }
}

function verdictOf(request: SinkRequest, refusals: readonly Refusal[], position: string): Verdict {
  const outcomes = new Uint8Array(request.texts.length).fill(OUTCOME.applied);
  for (const { index } of refusals) outcomes[index] = OUTCOME.refused;
  const count = request.texts.length - refusals.length;
  return { outcomes, refusals, receipt: { summary: `${count} of ${request.texts.length} applied`, position } };
}
