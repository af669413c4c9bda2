import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { WaybillError } from '../../model/errors.ts';
import { type Framing, Message } from './message.ts';

export type Side = 'request' | 'answer';

/**
 * Where in a message a cut falls: after so many of its bytes (0: the message has begun to arrive, and nothing of it is
 * handed on), after a text in it, or after the whole of it, which only a framing can tell.
 */
export type Place = number | 'end' | { readonly after: string };

/**
 * What happens at the place. What came before it has been handed on.
 * - `close`: both connections end. The server still gets to read what it was sent; what it answers goes nowhere.
 * - `reset`: the same, but the client is told by a reset instead of an orderly end.
 * - `hold`: nothing passes any more, in either direction, until `release()`.
 * - `late`: for a request from its first byte: it is taken to its end, the client's connection is closed, and the
 *   server gets it only at `release()`. So does a request that a gateway still had in its hands.
 */
export type Act = 'close' | 'reset' | 'hold' | 'late';

export interface Cut {
  /** All that is given must hold; absent: every request. */
  readonly when?: {
    /** 1-based numbers of connections, in the order of being accepted. */
    readonly connection?: readonly number[];
    /** 1-based numbers of requests, over all connections, in the order in which their first byte arrived. */
    readonly request?: readonly number[];
    /** Every so many of the requests that fit the rest. */
    readonly every?: number;
    /** Which of them is the first one, 1-based; `every` when absent. */
    readonly first?: number;
    /** Texts in the first bytes of the request that arrive together: in its head, or its query. */
    readonly holds?: string | readonly string[];
  };
  readonly side: Side;
  readonly at: Place;
  readonly act: Act;
  /** Fires at most this often. */
  readonly times?: number;
}

/** A cut that was made. */
export interface Made {
  readonly cut: Cut;
  readonly connection: number;
  readonly request: number;
}

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

interface LineWorld {
  readonly framing: Framing;
  /** A request begins; returns what is to happen to it or to its answer. */
  begin(first: Buffer): Made | undefined;
  made(made: Made): void;
  over(): void;
}

const OTHER = { request: 'answer', answer: 'request' } as const;

/**
 * One connection through the proxy. Open: bytes pass. Held: they pile up here until `release()`. Late: the client is
 * gone, the request waits here. Cut: whatever still comes is thrown away.
 */
class Line {
  readonly #sockets: Readonly<Record<Side, { readonly from: Socket; readonly to: Socket }>>;
  readonly #world: LineWorld;
  readonly #messages: Partial<Record<Side, Message>> = {};
  #state: 'open' | 'held' | 'late' | 'cut' = 'open';
  #due: Made | undefined;
  /** What is held back, in the order of arrival. */
  #held: { readonly side: Side; readonly bytes: Buffer | 'end' }[] = [];
  #open = 2;

  constructor(client: Socket, server: Socket, world: LineWorld) {
    this.#world = world;
    this.#sockets = { request: { from: client, to: server }, answer: { from: server, to: client } };
    for (const side of ['request', 'answer'] as const) {
      const { from } = this.#sockets[side];
      from.on('data', (bytes) => this.#arrive(side, bytes));
      from.on('end', () => this.#ended(side));
      // Either side may reset its connection at any time; the close that follows is all that matters here.
      from.on('error', () => from.destroy());
      from.on('close', () => this.#closed(side));
    }
  }

  release(): boolean {
    if (this.#state === 'late') {
      this.#state = 'cut';
      const { to } = this.#sockets.request;
      for (const { bytes } of this.#held) if (bytes !== 'end') to.write(bytes);
      to.end();
      return true;
    }
    if (this.#state !== 'held') return false;
    this.#state = 'open';
    const held = this.#held;
    this.#held = [];
    for (const { side, bytes } of held) {
      if (bytes === 'end') this.#sockets[side].to.end();
      else this.#write(side, bytes);
    }
    return true;
  }

  destroy(): void {
    this.#state = 'cut';
    for (const { from } of Object.values(this.#sockets)) from.destroy();
  }

  #arrive(side: Side, bytes: Buffer): void {
    if (this.#state === 'cut') return;
    if (this.#world.framing === 'none') delete this.#messages[OTHER[side]];
    for (let rest = bytes; rest.length > 0; ) {
      const message = this.#messages[side] ?? this.#begin(side, rest);
      const part = message.take(rest);
      rest = rest.subarray(part.length);
      if (message.ended) delete this.#messages[side];
      this.#pass(side, part, message);
    }
  }

  #begin(side: Side, first: Buffer): Message {
    const message = new Message(this.#world.framing, side);
    this.#messages[side] = message;
    if (side === 'request' && this.#state === 'open') this.#due = this.#world.begin(first);
    return message;
  }

  #pass(side: Side, part: Buffer, message: Message): void {
    if (this.#state === 'cut') return;
    if (this.#state === 'late' || this.#state === 'held') {
      this.#held.push({ side, bytes: part });
      if (this.#state === 'late' && message.ended) this.#leaveClient();
      return;
    }
    const due = this.#due;
    const place = due?.cut.side === side ? message.placeOf(due.cut.at) : undefined;
    if (due === undefined || place === undefined) {
      this.#write(side, part);
      return;
    }
    this.#due = undefined;
    this.#world.made(due);
    this.#act(due.cut.act, side, [part.subarray(0, place), part.subarray(place)], message);
  }

  #act(act: Act, side: Side, [before, after]: readonly [Buffer, Buffer], message: Message): void {
    if (before.length > 0) this.#write(side, before);
    if (act === 'close' || act === 'reset') {
      this.#cut(act, side);
      return;
    }
    this.#state = act === 'hold' ? 'held' : 'late';
    this.#held = after.length === 0 ? [] : [{ side, bytes: after }];
    if (act === 'late' && message.ended) this.#leaveClient();
  }

  #cut(act: 'close' | 'reset', side: Side): void {
    this.#state = 'cut';
    const { from: client, to: server } = this.#sockets.request;
    // A server that is cut off in the middle of its answer may have much more to say, and is not listened to.
    if (side === 'request') server.end();
    else server.destroy();
    // Behind whatever is still to be written, so that the client gets exactly the bytes before the place.
    if (act === 'close') client.destroySoon();
    else client.write('', () => client.resetAndDestroy());
  }

  /** The whole request is here: its sender is left without an answer. */
  #leaveClient(): void {
    this.#sockets.request.from.destroySoon();
  }

  #write(side: Side, bytes: Buffer): void {
    const { from, to } = this.#sockets[side];
    if (to.write(bytes)) return;
    from.pause();
    to.once('drain', () => from.resume());
  }

  #ended(side: Side): void {
    if (this.#state === 'held') this.#held.push({ side, bytes: 'end' });
    else if (this.#state === 'open') this.#sockets[side].to.end();
    else if (this.#state === 'cut') this.#sockets[side].from.destroySoon();
  }

  #closed(side: Side): void {
    if (--this.#open === 0) this.#world.over();
    // A request that is late outlives its sender; an answer that is on its way to the client is still written.
    else if (this.#state === 'open') this.#sockets[side].to.destroySoon();
    else if (this.#state === 'held' && side === 'request') this.destroy();
  }
}
