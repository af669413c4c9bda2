/** What a disk can be asked. The first line changes something; the second only looks. */
export type CallKind =
  | ('write' | 'truncate' | 'sync' | 'sync-folder' | 'make' | 'rename' | 'remove')
  | ('open' | 'read' | 'list' | 'stat');

const CHANGING: ReadonlySet<CallKind> = new Set([
  'write',
  'truncate',
  'sync',
  'sync-folder',
  'make',
  'rename',
  'remove',
] satisfies CallKind[]);

export type Refusal = 'EIO' | 'ENOSPC' | 'short';
const CAN_END: Readonly<Record<Refusal, ReadonlySet<CallKind>>> = {
  EIO: new Set([...CHANGING, 'open', 'read', 'list', 'stat'] satisfies CallKind[]),
  // A file system may give out room only when it has to, at a sync.
  ENOSPC: new Set(['write', 'make', 'sync', 'sync-folder'] satisfies CallKind[]),
  short: new Set(['write'] satisfies CallKind[]),
};

export interface Cut {
  /** 1-based. */
  readonly at: number;
  /** Only calls whose name and path fit are counted; all of them when absent. */
  readonly of?: RegExp;
}

export interface DiskPlanOptions {
  /** The power goes at this call that changes something, before it has any effect. */
  readonly cut?: Cut;
  /** Of the calls that can end like that, the one of this number, 1-based; `short` writes half of what it was given. */
  readonly refuse?: { readonly at: number; readonly how: Refusal };
  /** Told of every call that can end like that. */
  readonly watch?: { readonly how: Refusal; tell(what: string): void };
  /** A disk that lies, or a program that leaves a sync out: the call returns and nothing is durable. For canaries. */
  readonly skip?: (kind: 'sync' | 'sync-folder', path: string) => boolean;
}

/** Resolves never: what a process that is gone waits for. */
export const NEVER = new Promise<never>(() => undefined);

/** When a disk says no, and when it loses power. Counts every call. */
export class DiskPlan {
  readonly #options: DiskPlanOptions;
  readonly #end: Promise<void>;
  #resolve!: () => void;
  #calls = 0;
  #changes = 0;
  /** Of those that the cut counts. */
  #counted = 0;
  #refusable = 0;
  #ended: string | undefined;
  /** What was asked when the power went, or when the call was refused. */
  where = 'nowhere';

  constructor(options: DiskPlanOptions = {}) {
    this.#options = options;
    this.#end = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Resolves when there is nobody left who could be answered. */
  get over(): Promise<void> {
    return this.#end;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  get calls(): number {
    return this.#calls;
  }

  /** How many calls there were that change something. */
  get changes(): number {
    return this.#changes;
  }

  /** Has the call that is to be refused been met? */
  get refused(): boolean {
    return this.where !== 'nowhere';
  }

  end(why: string): void {
    this.#ended ??= why;
    this.#resolve();
  }

  /** `short` when this write is to be cut short. Throws what the plan has in store for this call. */
  call(kind: CallKind, path: string): 'short' | undefined {
    if (this.#ended !== undefined) throw new DiskError('EIO', kind, path);
    this.#calls++;
    if (CHANGING.has(kind) && this.#isCut(`${kind} ${path}`)) {
      this.where = `${kind} ${path}`;
      this.end('the power is off');
      throw new DiskError('EIO', kind, path);
    }
    const { refuse, watch } = this.#options;
    if (watch !== undefined && CAN_END[watch.how].has(kind)) watch.tell(`${kind} ${path}`);
    if (refuse === undefined || !CAN_END[refuse.how].has(kind)) return undefined;
    this.#refusable++;
    if (refuse.at !== this.#refusable) return undefined;
    this.where = `${kind} ${path}`;
    if (refuse.how === 'short') return 'short';
    throw new DiskError(refuse.how, kind, path);
  }

  #isCut(what: string): boolean {
    this.#changes++;
    const { cut } = this.#options;
    if (cut === undefined || cut.of?.test(what) === false) return false;
    this.#counted++;
    return this.#counted === cut.at;
  }

  skips(kind: 'sync' | 'sync-folder', path: string): boolean {
    return this.#options.skip?.(kind, path) === true;
  }
}

/** As Node has them: known by their `code`. */
export class DiskError extends Error {
  readonly code: string;

  constructor(code: string, call: string, path: string) {
    super(`${code}: ${call} '${path}'`);
    this.name = 'DiskError';
    this.code = code;
  }
}
