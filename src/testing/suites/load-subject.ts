import type { LoadAbilities, Sink } from '../../connectors/connector.ts';
import type { Load, Scope } from '../../model/load.ts';
import type { Losing } from './sink-subject.ts';

export type LoadAbility = keyof LoadAbilities;
/** The abilities that publish a load. */
export type Publishing = Exclude<LoadAbility, 'load' | 'versions'>;

/** Every ability that the suite has cases for; the compiler misses here one that joins the contract. */
const KNOWN: Readonly<Record<LoadAbility, 'collects' | 'publishes' | 'keeps'>> = {
  load: 'collects',
  appendLoad: 'publishes',
  replace: 'publishes',
  merge: 'publishes',
  mergeAt: 'publishes',
  addToPeriod: 'publishes',
  publish: 'publishes',
  versions: 'keeps',
};

export const isLoadAbility = (name: string): name is LoadAbility => Object.hasOwn(KNOWN, name);
export const isPublishing = (name: LoadAbility): name is Publishing => KNOWN[name] === 'publishes';

/** What the suite moves. The columns of the place have these names, and `n` is the key. */
export interface LoadRecord {
  readonly n: number;
  readonly version: number;
  /** `2026-11-16`. */
  readonly day: string;
  /** Where rows can be deleted: this one is a deletion. */
  readonly gone: boolean;
}

/** A sink and what its author says that it can do with loads. */
export interface LoadSubject {
  readonly name: string;
  /** The suite fails when the sink shows more, or less. */
  readonly abilities: readonly LoadAbility[];
  /** Called once a case, with the ability that the case is about: a place without records each time. */
  open(about: LoadAbility): LoadFixture | Promise<LoadFixture>;
}

export interface LoadFixture {
  readonly sink: Sink;
  /** The same place as another process has it open. Without it the suite goes on with the same sink. */
  another?(): Sink;
  /** The record as the sink takes it; the object itself when absent. */
  record?(record: LoadRecord): object | string;
  /** Field names in order, for sinks whose first format does not carry them. */
  readonly columns?: readonly string[];
  /** What a reader of the sink's name sees now, in any order; nothing where the name is not there yet. */
  seen(): Promise<readonly LoadRecord[]>;
  /** The ids of the loads that have a place in the sink now, published or not, in any order. */
  places(): Promise<readonly string[]>;
  /** A record that the sink refuses because of what it holds, or why it refuses none. */
  readonly refused: { readonly record: object | string } | { readonly never: string };
  /**
   * Runs one call of the sink and breaks it off in the middle, as a process that is killed there or a connection that
   * is cut; or why a call has no middle. The sink may be unusable afterwards: the suite goes on with `another`.
   */
  readonly breakOff: Losing | { readonly never: string };
  /** Reads all the time, from another thread or process, until `stop`, which tells every content that was seen. */
  watch?(): Promise<{ stop(): Promise<readonly (readonly LoadRecord[])[]> }>;
  /** For `publish`: tries to write to the place of a load that was published, and rejects if that cannot be done. */
  tamper?(load: Load): Promise<unknown>;
  /** For `replace`: what it can take the place of; all kinds when absent. */
  readonly scopes?: readonly Scope['kind'][];
  /** Why the sink cannot tell a step with an older fence, if it cannot. */
  readonly fenceless?: string;
  close?(): Promise<void> | void;
}
