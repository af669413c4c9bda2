import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Act, Made, Side } from './cut.ts';
import { type Framing, Message } from './message.ts';

export interface LineWorld {
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
export class Line {
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

  discard(): void {
    if (this.#state === 'held') this.destroy();
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
