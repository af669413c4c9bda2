import type { Permit, Sink } from '../../connectors/connector.ts';
import { pick } from '../../ledger/staging.ts';
import type { Framing, Payload } from '../../model/batch.ts';
import { WaybillError } from '../../model/errors.ts';
import type { LoadStep } from '../../model/load.ts';
import type { Ports } from '../../model/ports.ts';
import type { CrashPlan } from '../faults/crash.ts';
import type { Loss } from './sink-subject.ts';

/** Which calls of the sink go wrong, and how. */
export interface LossAsk {
  /** 1-based, over all methods of the sink, in the order in which they are called. */
  readonly calls: readonly number[];
  readonly loss: Loss;
  /** The process dies in the call, instead of being told that the answer is lost. */
  readonly dies?: boolean;
}

type Method = (...args: unknown[]) => Promise<unknown>;

/** Abilities whose effect may stop half-way: each record is applied for itself. All others take a batch as a whole. */
const RECORD_BY_RECORD: ReadonlySet<string> = new Set(['append', 'put']);

/**
 * Loses answers of a sink, whatever its abilities are called: anything that is called with a permit or with the step of
 * a load has an effect, everything else asks. Counts the calls, and knows how many are under way, so that no time
 * passes meanwhile: a sink may be real.
 */
export class LossySink {
  calls = 0;
  underWay = 0;
  readonly #ask: LossAsk | undefined;
  readonly #ports: Ports;
  readonly #plan: CrashPlan;
  readonly #late = new Set<Promise<void>>();

  constructor(ports: Ports, plan: CrashPlan, ask?: LossAsk) {
    this.#ports = ports;
    this.#plan = plan;
    this.#ask = ask;
  }

  /** Resolves when whatever was held up has arrived. */
  async landed(): Promise<void> {
    await Promise.all(this.#late);
  }

  wrap(sink: Sink): Sink {
    return { ...sink, can: this.#wrapAll(sink.can, sink) };
  }

  /** Abilities are methods, or objects of methods. */
  #wrapAll<T extends object>(methods: T, sink: Sink): T {
    const wrapped = Object.entries(methods).map(([name, value]: [string, unknown]) => {
      if (typeof value === 'function') return [name, this.#lossy(name, (value as Method).bind(methods), sink)];
      return [name, typeof value === 'object' && value !== null ? this.#wrapAll(value, sink) : value];
    });
    return Object.fromEntries(wrapped) as T;
  }

  #lossy(name: string, method: Method, sink: Sink): Method {
    return async (...args) => {
      const number = ++this.calls;
      this.underWay++;
      try {
        if (this.#ask?.calls.includes(number) !== true) return await method(...args);
        await this.#apply(name, method, args, sink);
      } finally {
        this.underWay--;
      }
      if (this.#ask.dies === true) await this.#plan.dieHere(`in sink.${name}, ${this.#ask.loss}`);
      throw new WaybillError('SINK_FAILED', `the answer to ${name} was lost: ${this.#ask.loss}`);
    };
  }

  async #apply(name: string, method: Method, args: unknown[], sink: Sink): Promise<void> {
    const { loss } = this.#ask!;
    const permit = args.find(isPermit);
    if (loss === 'lost-reply') await method(...args);
    if (permit === undefined) {
      const step = args.find(isStep);
      const late = (): Promise<unknown> =>
        method(...args.map((arg) => (arg === step ? { ...step, ...endless() } : arg)));
      if (step !== undefined && loss === 'applied-late') this.#later(late, sink.requestTimeoutMs / 2);
      return;
    }
    if (loss === 'half-applied' && RECORD_BY_RECORD.has(name)) {
      const half = await halfOf(permit, sink.accepts[0]!);
      if (half !== undefined) await method(...args.map((arg) => (arg === permit ? half : arg)));
    }
    if (loss === 'applied-late') {
      const held = await withBytes(permit);
      this.#later(() => method(...args.map((arg) => (arg === permit ? held : arg))), sink.requestTimeoutMs / 2);
    }
  }

  /** What the sink says to it is heard by nobody: it may have learned meanwhile that it does not want it. */
  #later(work: () => Promise<unknown>, afterMs: number): void {
    const landing = this.#ports
      .sleep(afterMs)
      .then(async () => {
        this.underWay++;
        await Promise.allSettled([work()]);
        this.underWay--;
      })
      .finally(() => this.#late.delete(landing));
    this.#late.add(landing);
  }
}

const isPermit = (value: unknown): value is Permit =>
  typeof value === 'object' && value !== null && 'payload' in value && 'fence' in value && 'signal' in value;

/** A step of a load, which is asked of the sink without a permit. */
const isStep = (value: unknown): value is LoadStep =>
  typeof value === 'object' && value !== null && 'load' in value && 'fence' in value && !('payload' in value);

/** A request that has left knows no deadline any more. */
const endless = (): Pick<Permit, 'signal'> => ({ signal: new AbortController().signal });

/** Each part by its name: those of the engine's permits do not come along with `...permit`. */
const copyOf = (permit: Permit, payload: Payload): Permit => ({
  batch: permit.batch,
  attempt: permit.attempt,
  shard: permit.shard,
  fence: permit.fence,
  correlationId: permit.correlationId,
  ...(permit.load === undefined ? {} : { load: permit.load }),
  ...endless(),
  payload: async () => payload,
});

/** The bytes are on the wire already. */
const withBytes = async (permit: Permit): Promise<Permit> => copyOf(permit, await permit.payload());

async function halfOf(permit: Permit, framing: Framing): Promise<Permit | undefined> {
  const whole = await permit.payload();
  const count = Math.floor(permit.batch.records / 2);
  if (count === 0) return undefined;
  const payload = pick(
    whole,
    Array.from({ length: count }, (_, at) => at),
    framing,
  );
  const copy = copyOf(permit, payload);
  return { ...copy, batch: { ...permit.batch, records: count, bytes: payload.bytes.length } };
}
