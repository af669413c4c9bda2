import type { Journal, JournalEntry } from '../../ledger/journal.ts';
import type { EventRow, Ledger } from '../../ledger/ledger.ts';
import { NEVER } from './disk-plan.ts';

/**
 * What a machine was told is durable, kept where no power cut reaches. Every verb of the ledger writes an event in its
 * own transaction, so the events that could be read when a verb had resolved stand for all verbs up to then.
 */
export class Witness {
  readonly #events: EventRow[] = [];
  readonly #written = new Map<string, string>();
  readonly #struck = new Set<string>();
  readonly #asked = new Set<string>();

  /** Events that must be there, in this order, whatever happens. */
  get events(): readonly EventRow[] {
    return this.#events;
  }

  /** Journal entries that must be there: written, and not even begun to be struck out. */
  get entries(): ReadonlyMap<string, string> {
    return new Map([...this.#written].filter(([name]) => !this.#struck.has(name)));
  }

  /** Whether the journal was ever given this entry. */
  wasAsked(entry: string): boolean {
    return this.#asked.has(entry);
  }

  /** The same ledger; what is durable when a verb resolves is remembered. Who is gone gets no answer. */
  ledger(ledger: Ledger, isGone: () => boolean): Ledger {
    const read = answering(ledger.read, isGone, async () => undefined);
    const verbs = answering(ledger, isGone, () => this.#learn(ledger));
    return new Proxy(verbs, { get: (target, name) => (name === 'read' ? read : Reflect.get(target, name)) });
  }

  journal(journal: Journal): Journal {
    return {
      write: async (entry) => {
        this.#asked.add(asText(entry));
        await journal.write(entry);
        this.#written.set(nameOf(entry), asText(entry));
      },
      entries: () => journal.entries(),
      strike: (ref) => {
        this.#struck.add(nameOf(ref as JournalEntry));
        return journal.strike(ref);
      },
      close: () => journal.close(),
    };
  }

  async #learn(ledger: Ledger): Promise<void> {
    const after = this.#events.at(-1)?.seq ?? 0;
    try {
      for (const event of await ledger.read.events({ after, limit: 10_000 })) {
        // Another verb may have learnt of it meanwhile.
        if (event.seq > (this.#events.at(-1)?.seq ?? 0)) this.#events.push(event);
      }
    } catch (error) {
      // The power went, or the disk said no, between the commit and the question: what it was is not known then.
      if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('LEDGER_'))) throw error;
    }
  }
}

/** The same methods, each followed by something, and without an answer for a process that is gone by then. */
function answering<T extends object>(target: T, isGone: () => boolean, then: () => Promise<void>): T {
  return new Proxy(target, {
    get: (_, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return async (...args: never[]) => {
        try {
          const result: unknown = await (value as (...args: never[]) => unknown).apply(target, args);
          if (name !== 'close') await then();
          return isGone() ? await NEVER : result;
        } catch (error) {
          if (isGone()) return await NEVER;
          throw error;
        }
      };
    },
  });
}

export const nameOf = (entry: { ledger?: string; batch: number; attempt: number }): string =>
  `${entry.ledger ?? ''}/${entry.batch}/${entry.attempt}`;

/** For comparing: the same thing is the same text. */
export const asText = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    part instanceof Uint8Array ? `bytes ${Buffer.from(part).toString('hex')}` : part,
  ) ?? 'nothing';
