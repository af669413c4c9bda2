/**
 * What a peer does with a request. Everything here is plain JSON, so that a peer in a process of its own can be told
 * over its control endpoint, too.
 */
export interface Behaviour {
  /** How replies of success look; named after the APIs in the list of batch APIs. */
  readonly shape: ShapeName;
  /** Dotted path of the array of records in a JSON body; empty: the body itself. Lines are recognised by their type. */
  readonly recordsAt: string;
  /** Dotted path of the field that holds one record, where each is wrapped. */
  readonly recordIn?: string;
  /** Records that the peer refuses, one by one. */
  readonly reject: readonly RejectRule[];
  /** The first one that matches a request decides. */
  readonly faults: readonly Fault[];
  readonly auth?: ExpectedAuth;
  readonly idempotency?: Idempotency;
  /** Dotted path of a record's key: a later record with the same key replaces the earlier one. */
  readonly upsertKey?: string;
  /** Dotted path of the id that records are looked up by. */
  readonly idAt: string;
  /** How long an applied record stays out of sight of look-ups. */
  readonly visibilityLagMs: number;
  readonly job: JobBehaviour;
  /** A time that every data request takes. */
  readonly delayMs: number;
}

export const SHAPES = ['rokt', 'mparticle', 'salesforce', 'hubspot', 'braze', 'meta', 'counts', 'none'] as const;
export type ShapeName = (typeof SHAPES)[number];

export interface RejectRule {
  readonly path: string;
  readonly values: readonly (string | number | boolean)[];
  readonly code: string;
  readonly message: string;
}

/** `half`: the first half of the records. `later`: applied after the answer, so that a look-up at once misses them. */
export type Apply = 'all' | 'none' | 'half' | { readonly laterMs: number };

export type Answer =
  | 'normal'
  | 'close'
  | 'reset'
  | 'hang'
  /** The connection is closed before the body is read. */
  | 'close-before-reading'
  /** Fewer bytes than the length that was announced, then the end. */
  | 'truncated'
  /** A success whose body is cut in the middle, with a length that fits. */
  | 'cut-json'
  | 'garbage'
  | 'not-json'
  | 'huge'
  /** A success whose figures or names do not fit what was sent. */
  | 'lie'
  | 'packed'
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown };

export interface Fault {
  readonly when?: Match;
  /** Fires at most this often. */
  readonly times?: number;
  readonly delayMs?: number;
  readonly apply?: Apply;
  readonly answer: Answer;
}

/** All that is given must hold. */
export interface Match {
  /** 1-based numbers of data requests. */
  readonly nth?: readonly number[];
  readonly from?: number;
  readonly every?: number;
  /** A share of requests, at least 0 and at most 1; the same requests each time for the same seed. */
  readonly rate?: number;
  readonly seed?: number;
  readonly path?: string;
  /** Some record holds one of these values there. */
  readonly record?: { readonly path: string; readonly values: readonly unknown[] };
}

export type ExpectedAuth =
  | { readonly bearer: string }
  | { readonly basic: { readonly username: string; readonly password: string } }
  | { readonly header: { readonly name: string; readonly value: string } }
  | {
      readonly oauth: {
        readonly clientId: string;
        readonly clientSecret: string;
        readonly lifetimeMs: number;
        readonly scope?: string;
      };
    };

export interface Idempotency {
  /** In lower case. */
  readonly header: string;
  readonly horizonMs: number;
  /** An answer of an error is stored and repeated, too. */
  readonly storesErrors: boolean;
  /** Every answer carries this header, with this value. */
  readonly confirm?: { readonly name: string; readonly value: string };
  /** The header is read by nobody. */
  readonly ignored?: boolean;
}

export interface JobBehaviour {
  /** From the end of the upload to the end of the work. */
  readonly processMs: number;
  /** Data is worked on only after a call that says it is complete. */
  readonly needsComplete: boolean;
  /** The state that every job ends in instead of `complete`. */
  readonly endsAs?: string;
}

export const QUIET: Behaviour = {
  shape: 'none',
  recordsAt: '',
  reject: [],
  faults: [],
  idAt: 'id',
  visibilityLagMs: 0,
  job: { processMs: 0, needsComplete: false },
  delayMs: 0,
};

/** Own properties only; arrays by number. */
export function at(value: unknown, path: string): unknown {
  let here = value;
  for (const name of path === '' ? [] : path.split('.')) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, name)) return undefined;
    here = (here as Record<string, unknown>)[name];
  }
  return here;
}

/** Decides which fault meets which request, and remembers how often each has fired. */
export class FaultPlan {
  readonly #faults: readonly Fault[];
  readonly #fired: number[];

  constructor(faults: readonly Fault[]) {
    this.#faults = faults;
    this.#fired = faults.map(() => 0);
  }

  /** Before the body is read, `records` is undefined, and only faults that close the connection unread count. */
  pick(request: { nth: number; path: string; records?: readonly unknown[] }): Fault | undefined {
    const unread = request.records === undefined;
    for (const [index, fault] of this.#faults.entries()) {
      if (unread !== (fault.answer === 'close-before-reading')) continue;
      if ((this.#fired[index] ?? 0) >= (fault.times ?? Number.POSITIVE_INFINITY) || !matches(fault.when, request))
        continue;
      this.#fired[index] = (this.#fired[index] ?? 0) + 1;
      return fault;
    }
    return undefined;
  }
}

function matches(
  when: Match | undefined,
  request: { nth: number; path: string; records?: readonly unknown[] },
): boolean {
  if (when === undefined) return true;
  const { nth, path, records = [] } = request;
  if (when.nth !== undefined && !when.nth.includes(nth)) return false;
  if (when.from !== undefined && nth < when.from) return false;
  if (when.every !== undefined && nth % when.every !== 0) return false;
  if (when.path !== undefined && !path.startsWith(when.path)) return false;
  if (when.rate !== undefined && chance(nth, when.seed ?? 1) >= when.rate) return false;
  const { record } = when;
  return record === undefined || records.some((one) => record.values.includes(at(one, record.path)));
}

/** At least 0 and below 1, the same for the same numbers: a mix of the bits as in murmur3's last step. */
function chance(nth: number, seed: number): number {
  let bits = Math.imul(nth + Math.imul(seed, 0x9e3779b9), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
}
