import { NotAppliedError, WaybillError } from '../../model/errors.ts';
import type { SimProcess } from './process.ts';
import type { World } from './world.ts';

/** How a network may treat the requests of one kind. */
export interface Line {
  readonly timeoutMs: number;
  /** A request that left is at the sink by then, or never. */
  readonly arrivesWithinMs: number;
  /** Aborted: the caller hangs up, whatever becomes of the request. */
  readonly signal?: AbortSignal;
  /** Only sends suffer what a send may suffer; a question that fails is asked again. */
  readonly kind: 'send' | 'ask';
}

const lost = (why: string): WaybillError => new WaybillError('SINK_FAILED', why);

/**
 * One request and its answer, each on a way of its own. Once it has left, a request belongs to the network: the death
 * of whoever sent it does not stop it. The caller hears the answer, an error, or nothing until its time is over; what
 * it hears first counts.
 */
export class Network {
  readonly #world: World;
  /** Requests that have left and have not arrived, with the latest moment at which they can. */
  readonly underway = new Set<{ readonly batch: number }>();

  constructor(world: World) {
    this.#world = world;
  }

  /** `work` is what the sink does with the request; it may be done once, never, or twice. */
  call<T>(process: SimProcess, name: string, batch: number, line: Line, work: () => T): Promise<T> {
    const world = this.#world;
    if (!process.passes(`before ${name}`)) return new Promise(() => undefined);
    process.open.effects++;
    const call = new Call<T>(process, name, line);
    if (world.fault('connect-refused')) {
      world.at(world.tape.between(1, 20), process, `${name} refused`, () => {
        call.reject(new NotAppliedError('connect ECONNREFUSED', { sinkAway: true }));
      });
      return call.promise;
    }
    this.#leave(call, name, batch, line, work);
    return call.promise;
  }

  #leave<T>(call: Call<T>, name: string, batch: number, line: Line, work: () => T): void {
    const world = this.#world;
    const sends = line.kind === 'send';
    if (sends && world.fault('request-reset')) call.breaksAfter(world.tape.between(1, line.timeoutMs));
    if (world.fault('request-lost')) return;
    const late = world.fault('request-late');
    const way = late ? world.tape.between(1, line.arrivesWithinMs) : world.tape.between(1, 30);
    this.#arrive(call, `${name} arrives`, batch, Math.min(way, line.arrivesWithinMs), work);
    if (sends && world.fault('duplicate-delivery')) {
      const second = Math.min(way + world.tape.between(0, 200), line.arrivesWithinMs);
      this.#arrive(call, `${name} arrives again`, batch, second, work);
    }
  }

  #arrive<T>(call: Call<T>, name: string, batch: number, ms: number, work: () => T): void {
    const world = this.#world;
    const travel = { batch };
    this.underway.add(travel);
    world.at(ms, undefined, name, () => {
      this.underway.delete(travel);
      if (!call.process.alive) world.mark('a request of a dead process arrived');
      if (!call.heard) world.mark('a request arrived while somebody waited for it');
      else world.mark('a request arrived after its sender had given it up');
      this.#answer(call, work);
    });
  }

  #answer<T>(call: Call<T>, work: () => T): void {
    const world = this.#world;
    let back: () => void;
    try {
      const value = work();
      back = () => call.resolve(value);
    } catch (error) {
      back = () => call.reject(error);
    }
    if (world.fault('answer-lost')) return;
    const reset = world.fault('answer-reset');
    const ms = world.fault('answer-late') ? world.tape.between(1, 400) : world.tape.between(1, 20);
    world.at(ms, call.process, `${call.name} answered`, reset ? () => call.reject(lost('read ECONNRESET')) : back);
  }
}

class Call<T> {
  readonly process: SimProcess;
  readonly name: string;
  readonly promise: Promise<T>;
  heard = false;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;
  readonly #timer: { cancelled: boolean };
  readonly #deaf: () => void;

  constructor(process: SimProcess, name: string, line: Line) {
    this.process = process;
    this.name = name;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#timer = process.world.at(line.timeoutMs, process, `${name} timeout`, () => {
      this.reject(lost(`no answer within ${line.timeoutMs} ms`));
    });
    this.#deaf = process.listen(line.signal, () => this.reject(lost('the request was aborted')));
  }

  breaksAfter(ms: number): void {
    this.process.world.at(ms, this.process, `${this.name} breaks`, () => this.reject(lost('read ECONNRESET')));
  }

  resolve(value: T): void {
    if (this.#hear()) this.#resolve(value);
  }

  reject(error: unknown): void {
    if (this.#hear()) this.#reject(error);
  }

  /** True for the first thing that is heard, by a process that lives to hear it. */
  #hear(): boolean {
    if (this.heard) return false;
    this.heard = true;
    this.#timer.cancelled = true;
    this.#deaf();
    this.process.open.effects--;
    return this.process.passes(`after ${this.name}`);
  }
}
