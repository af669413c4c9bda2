import type { FaultKind, Swarm } from './faults.ts';
import { type Happening, Heap } from './heap.ts';
import type { Tape } from './tape.ts';

/** Longer than any schedule; one that is still busy then is a livelock. */
const EVENTS_MAX = 200_000;
export const WALL_START_MS = Date.UTC(2026, 10, 19, 6);

/** Whom an event happens to, as far as time is concerned. */
export interface Owner {
  readonly name: string;
  readonly alive: boolean;
  /** It hears nothing before this. */
  pausedUntilMs: number;
  stalledAtMs: number | undefined;
}

interface WorldEvent extends Happening {
  readonly owner: Owner | undefined;
}

/** What a watcher of effect boundaries orders. */
export type Blow = 'kill' | 'power-cut' | 'pause';

/**
 * Virtual time and everything that happens in it. One event at a time: its effect, then all that the processes make of
 * it until each of them waits for another event. There is no other source of time, order or chance, so a tape makes a
 * schedule. Real I/O would escape this; that nothing waits on it is what `stuck` finds out.
 */
export class World {
  readonly tape: Tape;
  readonly swarm: Swarm;
  nowMs = 0;
  /** What a jump has added to the wall clock of the machine. */
  wallSkewMs = 0;
  /** While true, faults may happen. */
  faulty = true;
  events = 0;
  boundaries = 0;
  readonly faults = new Map<string, number>();
  readonly marks = new Map<string, number>();
  /** Called at every effect boundary of a process; its order is carried out. */
  watcher: ((process: Owner, where: string, nowMs: number) => Blow | undefined) | undefined;
  readonly timeline: string[] | undefined;
  readonly #heap = new Heap<WorldEvent>();
  #sequence = 0;
  #hash = 0x811c9dc5;

  constructor(tape: Tape, swarm: Swarm, options: { keepTimeline?: boolean } = {}) {
    this.tape = tape;
    this.swarm = swarm;
    this.timeline = options.keepTimeline === true ? [] : undefined;
  }

  get wallMs(): number {
    return WALL_START_MS + this.nowMs + this.wallSkewMs;
  }

  /** Of everything that happened so far, in order. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  at(delayMs: number, owner: Owner | undefined, name: string, run: () => void): Happening {
    const atMs = this.nowMs + Math.max(0, Math.ceil(delayMs));
    const event = { atMs, tie: this.tape.draw(4), sequence: this.#sequence++, name, owner, cancelled: false, run };
    this.#heap.push(event);
    return event;
  }

  /** Takes part in the hash; told to whoever replays a case. */
  tell(who: string, what: string): void {
    let hash = Math.imul(this.#hash ^ this.nowMs, 0x01000193);
    for (let at = 0; at < who.length; at++) hash = Math.imul(hash ^ who.charCodeAt(at), 0x01000193);
    for (let at = 0; at < what.length; at++) hash = Math.imul(hash ^ what.charCodeAt(at), 0x01000193);
    this.#hash = hash;
    this.timeline?.push(`${String(this.nowMs).padStart(8)} ${who.padEnd(10)} ${what}`);
  }

  /** A state that a campaign must have seen. */
  mark(name: string): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + 1);
  }

  /** Whether this fault happens here and now; counted when it does. */
  fault(kind: FaultKind): boolean {
    const rate = this.swarm[kind];
    if (!this.faulty || rate === undefined || !this.tape.chance(rate)) return false;
    this.count(kind);
    return true;
  }

  count(kind: string): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
    this.tell('fault', kind);
  }

  /** Runs until `over` or until nothing is left to happen. Says which. */
  async run(over: () => boolean): Promise<'over' | 'stuck' | 'livelock'> {
    for (;;) {
      await drained();
      if (over()) return 'over';
      if (this.events >= EVENTS_MAX) return 'livelock';
      const event = this.#next();
      if (event === undefined) return 'stuck';
      this.events++;
      this.nowMs = Math.max(this.nowMs, event.atMs);
      this.tell(event.owner?.name ?? 'world', event.name);
      event.run();
    }
  }

  #next(): WorldEvent | undefined {
    for (let event = this.#heap.pop(); event !== undefined; event = this.#heap.pop()) {
      if (event.cancelled || event.owner?.alive === false) continue;
      const wakesMs = event.owner?.pausedUntilMs ?? 0;
      if (wakesMs <= event.atMs || wakesMs <= this.nowMs) return event;
      // A stalled process hears nothing until it wakes; then everything at once.
      event.atMs = wakesMs;
      this.#heap.push(event);
    }
    return undefined;
  }
}

/** One turn of the real event loop: whatever a process could do without waiting for an event, it has done. */
const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
