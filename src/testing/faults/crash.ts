import type { Sink } from '../../connectors/connector.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Staging } from '../../ledger/staging.ts';

/**
 * A process that dies at one of its effects. Every call of the ledger, of the staging folder and of the sink has two
 * boundaries: just before it takes effect, and after it did but before the answer is heard. At the one that was
 * chosen the process ends: the call and every later one never come back. Only effects can be observed from outside,
 * so dying between two of them is the same as dying at the next.
 */
export class CrashPlan {
  #at: number;
  #passed = 0;
  #died!: () => void;
  /** Resolves when the process has died. */
  readonly dead: Promise<void>;
  /** Every boundary that was passed, in order. */
  readonly names: string[] = [];
  /** What it was about to do, or had just done. */
  where = 'nowhere';

  /** `at`: 1-based number of the boundary; `Infinity` to count them. */
  constructor(at: number) {
    this.#at = at;
    this.dead = new Promise((resolve) => {
      this.#died = resolve;
    });
  }

  get passed(): number {
    return this.#passed;
  }

  async boundary(name: string): Promise<void> {
    this.#passed++;
    this.names.push(name);
    if (this.#passed === this.#at) {
      this.where = name;
      this.#died();
    }
    if (this.#passed >= this.#at) await NEVER;
  }

  /** Dies now, whatever was planned: in the middle of something that has no boundary of its own. */
  async dieHere(name: string): Promise<never> {
    this.#at = this.#passed;
    this.where = name;
    this.#died();
    return await NEVER;
  }
}

const NEVER = new Promise<never>(() => undefined);

type Method = (...args: never[]) => unknown;

/** The same object, each of whose methods has a boundary before and after its effect. */
function crashing<T extends object>(
  target: T,
  plan: CrashPlan,
  what: string,
  inner: Record<string, (value: object) => object> = {},
): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object);
      const wrap = inner[String(name)];
      if (wrap !== undefined && typeof value === 'object' && value !== null) return wrap(value);
      if (typeof value !== 'function') return value;
      return async (...args: never[]) => {
        await plan.boundary(`before ${what}.${String(name)}`);
        const result = await (value as Method).apply(object, args);
        await plan.boundary(`after ${what}.${String(name)}`);
        return result;
      };
    },
  });
}

/** Questions have no effect, but a dead process does not ask any. */
function mute<T extends object>(target: T, plan: CrashPlan): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value !== 'function') return value;
      return async (...args: never[]) => {
        const result = await (value as Method).apply(object, args);
        return plan.where === 'nowhere' ? result : NEVER;
      };
    },
  });
}

export function crashingLedger(ledger: Ledger, plan: CrashPlan): Ledger {
  return crashing(ledger, plan, 'ledger', { read: (reader) => mute(reader, plan), identity: (identity) => identity });
}

export function crashingStaging(staging: Staging, plan: CrashPlan): Staging {
  return {
    place: staging.place,
    writer: (run, lane) => crashing(staging.writer(run, lane), plan, 'staging'),
    read: (at) => mute(staging, plan).read(at),
    digests: (at) => mute(staging, plan).digests(at),
    sweep: (run, kept) => staging.sweep(run, kept),
  };
}

/** Dies before the request leaves, or after the sink has answered. */
export function crashingSink(sink: Sink, plan: CrashPlan): Sink {
  // An ability is a method, or an object of methods like `job`.
  const groups = Object.entries(sink.can).flatMap(([name, value]) =>
    typeof value === 'object' ? [[name, (group: object) => crashing(group, plan, `sink.${name}`)] as const] : [],
  );
  const can = crashing(sink.can, plan, 'sink', Object.fromEntries(groups));
  return {
    ...sink,
    can: Object.fromEntries(Object.keys(sink.can).map((name) => [name, can[name as keyof typeof can]])),
  };
}
