import type { Clock } from '../../model/ports.ts';
import type { Answer, Child, Ledger, LedgerIdentity, LedgerReader, SettleDecision } from '../ledger.ts';
import type { Ask, Command, Result, Verb } from './verbs/all.ts';
import { packSeal } from './verbs/seal.ts';

type Asked<K extends keyof Ledger> = Ledger[K];

/** Where commands go. Resolves when what the command wrote is durable. */
export interface Submit {
  submit(command: Command): Promise<unknown>;
  /** Carries out what is waiting, then closes. */
  close(): Promise<void>;
}

interface Parts {
  readonly identity: LedgerIdentity;
  readonly reader: LedgerReader;
  readonly writer: Submit;
  readonly ports: Clock & { id(): string };
  /** Called before the writer is closed. */
  closeReader(): Promise<void> | void;
}

/** The ledger as others see it: hands each verb, with the time of its call, to the one writer. */
export class BooksLedger implements Ledger {
  readonly identity: LedgerIdentity;
  readonly read: LedgerReader;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.identity = parts.identity;
    this.read = parts.reader;
    this.#parts = parts;
  }

  readonly openRun: Asked<'openRun'> = (ask) => this.#write('openRun', { ...ask, freshId: this.#parts.ports.id() });
  readonly renewRun: Asked<'renewRun'> = (ask) => this.#write('renewRun', ask);
  readonly releaseRun: Asked<'releaseRun'> = (ask) => this.#write('releaseRun', ask);
  readonly breakLeases: Asked<'breakLeases'> = (ask) => this.#write('breakLeases', ask);
  readonly startGeneration: Asked<'startGeneration'> = (ask) => this.#write('startGeneration', ask);
  readonly seal: Asked<'seal'> = async (ask) => this.#write('seal', packSeal(ask));
  readonly interruptGeneration: Asked<'interruptGeneration'> = (ask) => this.#write('interruptGeneration', ask);
  readonly closeGeneration: Asked<'closeGeneration'> = (ask) => this.#write('closeGeneration', ask);
  readonly abandonGeneration: Asked<'abandonGeneration'> = (ask) => this.#write('abandonGeneration', ask);
  readonly claimShard: Asked<'claimShard'> = (ask) => this.#write('claimShard', ask);
  readonly renewShard: Asked<'renewShard'> = (ask) => this.#write('renewShard', ask);
  readonly releaseShard: Asked<'releaseShard'> = (ask) => this.#write('releaseShard', ask);
  readonly intend: Asked<'intend'> = (ask) => this.#write('intend', ask);
  readonly note: Asked<'note'> = (ask) => this.#write('note', ask);
  readonly answer: Asked<'answer'> = (ask) => this.#write('answer', { ...ask, answer: ownAnswer(ask.answer) });
  readonly settle: Asked<'settle'> = (ask) => this.#write('settle', { ...ask, decision: ownDecision(ask.decision) });
  readonly retry: Asked<'retry'> = (ask) => this.#write('retry', { ...ask, children: ask.children.map(ownChild) });
  readonly moveLoad: Asked<'moveLoad'> = (ask) => this.#write('moveLoad', ask);
  readonly keepSchema: Asked<'keepSchema'> = (ask) => this.#write('keepSchema', ask);
  readonly pause: Asked<'pause'> = (ask) => this.#write('pause', ask);
  readonly resume: Asked<'resume'> = (ask) => this.#write('resume', ask);
  readonly cancel: Asked<'cancel'> = (ask) => this.#write('cancel', ask);
  readonly concludeRun: Asked<'concludeRun'> = (ask) => this.#write('concludeRun', ask);
  readonly failRun: Asked<'failRun'> = (ask) => this.#write('failRun', ask);
  readonly setPosition: Asked<'setPosition'> = (ask) => this.#write('setPosition', ask);
  readonly looked: Asked<'looked'> = (ask) => this.#write('looked', ask);
  readonly indexKeys: Asked<'indexKeys'> = (ask) => this.#write('indexKeys', ask);
  readonly emitted: Asked<'emitted'> = (ask) => this.#write('emitted', ask);

  async close(): Promise<void> {
    // The last connection to close folds the log into the file, and one that cannot write would not.
    await this.#parts.closeReader();
    await this.#parts.writer.close();
  }

  #write<V extends Verb>(verb: V, ask: Ask<V>): Promise<Result<V>> {
    const command: Command = { verb, ask, nowMs: this.#parts.ports.wallMs() };
    return this.#parts.writer.submit(command) as Promise<Result<V>>;
  }
}

/** Bytes that are views into larger buffers would take the whole buffer along to another thread. */
function ownAnswer(answer: Answer): Answer {
  if (answer.kind === 'verdict')
    return { ...answer, outcomes: new Uint8Array(answer.outcomes), children: answer.children.map(ownChild) };
  return answer.kind === 'refused' ? { ...answer, children: answer.children.map(ownChild) } : answer;
}

function ownDecision(decision: SettleDecision): SettleDecision {
  if (decision.kind === 'known')
    return { ...decision, outcomes: new Uint8Array(decision.outcomes), children: decision.children.map(ownChild) };
  return 'child' in decision && decision.child !== undefined
    ? { ...decision, child: ownChild(decision.child) }
    : decision;
}

const ownChild = (child: Child): Child => ({ ...child, digest: new Uint8Array(child.digest) });
