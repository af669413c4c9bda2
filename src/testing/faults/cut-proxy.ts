import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { WaybillError } from '../../model/errors.ts';
import type { Cut, Made } from './cut.ts';
import { Line } from './cut-line.ts';
import type { Framing } from './message.ts';

export interface CutProxy {
  readonly port: number;
  readonly connections: number;
  readonly requests: number;
  /** Those that were made, in order: a cut whose place never came is not among them. */
  readonly made: readonly Made[];
  /** Replaces the cuts for requests that begin from now on; their counters start anew. */
  set(cuts: readonly Cut[]): void;
  /** Lets go on what is held, and delivers what is late. Returns how many connections that were. */
  release(): number;
  /** Ends what is held, which gets nowhere then; what is late waits on. */
  discard(): void;
  close(): Promise<void>;
}

export interface CutProxyOptions {
  readonly target: { readonly host?: string; readonly port: number };
  /** `http`: the ends of messages are known. `none`: a message ends where the other side begins to speak. */
  readonly framing?: Framing;
  readonly cuts?: readonly Cut[];
}

/**
 * A TCP proxy on 127.0.0.1 that passes everything on until a cut is due. It has no clock and no chance of its own:
 * which request is met is decided by numbers and texts only, so the same traffic is cut in the same places.
 */
export async function openCutProxy(options: CutProxyOptions): Promise<CutProxy> {
  const proxy = new TcpProxy(options);
  await proxy.listen();
  return proxy;
}

class TcpProxy implements CutProxy {
  readonly #target: CutProxyOptions['target'];
  readonly #framing: Framing;
  readonly #server: Server;
  readonly #lines = new Set<Line>();
  readonly made: Made[] = [];
  #cuts: readonly Cut[] = [];
  /** How many requests fitted each cut, and how often it was chosen. */
  #fitted: number[] = [];
  #chosen: number[] = [];
  connections = 0;
  requests = 0;

  constructor(options: CutProxyOptions) {
    this.#target = options.target;
    this.#framing = options.framing ?? 'none';
    this.set(options.cuts ?? []);
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  set(cuts: readonly Cut[]): void {
    for (const cut of cuts) expectPossible(cut, this.#framing);
    this.#cuts = cuts;
    this.#fitted = cuts.map(() => 0);
    this.#chosen = cuts.map(() => 0);
  }

  release(): number {
    return [...this.#lines].filter((line) => line.release()).length;
  }

  discard(): void {
    for (const line of this.#lines) line.discard();
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const line of this.#lines) line.destroy();
    await closed;
  }

  #accept(client: Socket): void {
    const connection = ++this.connections;
    const { host = '127.0.0.1', port } = this.#target;
    const server = connect({ host, port, allowHalfOpen: true });
    const line: Line = new Line(client, server, {
      framing: this.#framing,
      begin: (first) => {
        const request = ++this.requests;
        const cut = this.#choose(connection, request, first);
        return cut === undefined ? undefined : { cut, connection, request };
      },
      made: (made) => this.made.push(made),
      over: () => this.#lines.delete(line),
    });
    this.#lines.add(line);
  }

  /** The first cut that fits and is due; every one that fits counts the request. */
  #choose(connection: number, request: number, first: Buffer): Cut | undefined {
    let chosen: Cut | undefined;
    for (const [nth, cut] of this.#cuts.entries()) {
      if (!fits(cut.when, connection, request, first)) continue;
      this.#fitted[nth] = this.#fitted[nth]! + 1;
      const left = this.#chosen[nth]! < (cut.times ?? Number.POSITIVE_INFINITY);
      if (chosen !== undefined || !left || !isDue(cut.when, this.#fitted[nth]!)) continue;
      this.#chosen[nth] = this.#chosen[nth]! + 1;
      chosen = cut;
    }
    return chosen;
  }
}

function fits(when: Cut['when'], connection: number, request: number, first: Buffer): boolean {
  if (when?.connection !== undefined && !when.connection.includes(connection)) return false;
  if (when?.request !== undefined && !when.request.includes(request)) return false;
  return [when?.holds ?? []].flat().every((text) => first.includes(text, 0, 'latin1'));
}

function isDue(when: Cut['when'], nth: number): boolean {
  const every = when?.every ?? 1;
  const from = when?.first ?? every;
  return nth >= from && (nth - from) % every === 0;
}

function expectPossible(cut: Cut, framing: Framing): void {
  const late = cut.act === 'late';
  if (late && (cut.side !== 'request' || cut.at !== 0)) throw impossible('only a request from its first byte is late');
  if (framing === 'none' && (late || cut.at === 'end')) throw impossible('without a framing no message has an end');
}

const impossible = (why: string): WaybillError => new WaybillError('CONFIG_INVALID', `this cut cannot be made: ${why}`);
