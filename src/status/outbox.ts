import type { LedgerReader } from '../ledger/ledger.ts';
import { MessageMaker, type MessageWorld } from './messages.ts';
import type { Emitter, StatusMessage } from './status.ts';

const EVENTS_A_PAGE = 500;

/** The two things that an outbox needs of a ledger. */
export interface OutboxLedger {
  readonly read: Pick<LedgerReader, 'events' | 'emitted'> & MessageWorld['read'];
  emitted(ask: { emitter: string; seq: number }): Promise<void>;
}

export interface Delivery {
  readonly emitter: string;
  readonly messages: number;
  /** Why it did not come to the end of the outbox; the rest is passed on next time. */
  readonly failed?: unknown;
}

/**
 * Carries the ledger's events to the emitters. The ledger writes an event in the same transaction as what it tells
 * of, and remembers how far each emitter has come, so no status is lost to a crash or to an emitter that is away:
 * it is passed on by the next process that comes by. At least once, since a crash may come between the two writes.
 */
export class Outbox {
  readonly #ledger: OutboxLedger;
  readonly #emitters: readonly Emitter[];
  readonly #maker: MessageMaker;
  #pumping: Promise<readonly Delivery[]> | undefined;

  constructor(ledger: OutboxLedger, emitters: readonly Emitter[], world: Omit<MessageWorld, 'read'>) {
    this.#ledger = ledger;
    this.#emitters = emitters;
    this.#maker = new MessageMaker({ read: ledger.read, ledger: world.ledger, showKey: world.showKey });
  }

  /** Passes on what there is. Never rejects: a status that cannot be told must not harm the transfer. */
  async pump(): Promise<readonly Delivery[]> {
    this.#pumping ??= this.#all().finally(() => {
      this.#pumping = undefined;
    });
    return await this.#pumping;
  }

  async #all(): Promise<readonly Delivery[]> {
    return await Promise.all(this.#emitters.map((emitter) => this.#one(emitter)));
  }

  async #one(emitter: Emitter): Promise<Delivery> {
    let messages = 0;
    try {
      let after = await this.#ledger.read.emitted(emitter.name);
      for (;;) {
        const events = await this.#ledger.read.events({ after, limit: EVENTS_A_PAGE });
        const last = events.at(-1);
        if (last === undefined) return { emitter: emitter.name, messages };
        const page: StatusMessage[] = [];
        for (const event of events) page.push(...(await this.#maker.of(event)));
        if (page.length > 0) await emitter.emit(page);
        await this.#ledger.emitted({ emitter: emitter.name, seq: last.seq });
        messages += page.length;
        after = last.seq;
      }
    } catch (failed) {
      return { emitter: emitter.name, messages, failed };
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#emitters.map((emitter) => emitter.close()));
  }
}
