import type { Abilities, LoadAbilities, Sink } from '../../connectors/connector.ts';

export type Ability = keyof Abilities;
/** The abilities that bring records into the sink. */
export type Sending = Exclude<Ability, 'marked' | 'find' | 'fence'>;

/** Every ability that the suite has cases for; the compiler misses here one that joins the contract. */
const KNOWN: Readonly<Record<Ability, 'sends' | 'asks'>> = {
  append: 'sends',
  appendAt: 'sends',
  appendOnce: 'sends',
  commitOnce: 'sends',
  marked: 'asks',
  put: 'sends',
  job: 'sends',
  find: 'asks',
  fence: 'asks',
};

export const isKnown = (name: string): name is Ability => Object.hasOwn(KNOWN, name);
export const isSending = (name: Ability): name is Sending => KNOWN[name] === 'sends';

/**
 * The ways in which an answer can be lost, after which nobody knows what became of the batch. `lost-request`: it never
 * arrived. `lost-reply`: all of it was applied. `half-applied`: some of it was. `applied-late`: it is applied after
 * somebody else has begun to find out.
 */
export const LOSSES = ['lost-request', 'lost-reply', 'half-applied', 'applied-late'] as const;
export type Loss = (typeof LOSSES)[number];

/** A sink and what its author says of it. */
export interface SinkSubject {
  readonly name: string;
  /** What it can do. The suite fails when the sink shows more, or less. */
  readonly abilities: readonly Ability[];
  /** What it can do with loads, which `loadSuite` holds it to; here it only has to be named. */
  readonly loads?: readonly (keyof LoadAbilities)[];
  /** Given for a sink that shows `schema`, and only then. */
  readonly schema?: SchemaSubject;
  /** Called once a case: an empty sink each time. */
  open(): SinkFixture | Promise<SinkFixture>;
}

/** A sink that knows its columns and lets them be changed. */
export interface SchemaSubject {
  /** Called once a case: a sink of whose name there is nothing yet. */
  open(): SchemaFixture | Promise<SchemaFixture>;
}

export interface SchemaFixture {
  readonly sink: Sink;
  /** The same place as another process has it open. Without it the suite goes on with the same sink. */
  another?(): Sink;
  close?(): Promise<void> | void;
}

export interface SinkFixture {
  readonly sink: Sink;
  /** Record number `n` as the sink takes it; another `version` is other content under the same key. */
  record(n: number, version?: number): object | string;
  /** Field names in order, for sinks whose first format does not carry them. */
  readonly columns?: readonly string[];
  /** Which records the sink holds now, `<n>` or `<n>v<version>` a record, as often as it holds them; in any order. */
  held(): Promise<readonly string[]>;
  /**
   * Lets everything that is on its way arrive, and lets pass what time it takes until it can be seen. Needed with a
   * visibility lag, and where `lose` makes something arrive late.
   */
  settle?(): Promise<void>;
  /** The same place as another process has it open. Without it the suite goes on with the same sink. */
  another?(): Sink;
  /**
   * A record that the sink refuses because of what it holds, as the sink takes records; or why it refuses none.
   */
  readonly refused?: { readonly record: object | string } | { readonly never: string };
  /**
   * How an answer is lost beneath the connector: the function is given the send, and resolves or rejects as that does.
   * Without one the suite loses the answer between itself and the connector. `half-applied` has to be given where a
   * batch is taken as a whole: how to break it off half-way, or why it cannot happen.
   */
  readonly lose?: Partial<Readonly<Record<Loss, Losing | { readonly never: string }>>>;
  close?(): Promise<void> | void;
}

export type Losing = <T>(send: () => Promise<T>) => Promise<T>;
