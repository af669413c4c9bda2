import type { ReadRange, Source } from '../../connectors/connector.ts';
import type { Position } from '../../model/position.ts';

/**
 * What a source may be able to do beside reading from the top. `resume`: its `resumable` is true. `pull`: it has
 * `pulls`. `parts`: what it brings in a pull closes parts, each of them a commit of its own.
 */
export const SOURCE_ABILITIES = ['resume', 'remaining', 'reread', 'pull', 'parts'] as const;
export type SourceAbility = (typeof SOURCE_ABILITIES)[number];

type Row = Readonly<Record<string, unknown>>;

/** A source and what its author says of it. */
export interface SourceSubject {
  readonly name: string;
  /** What it can do. The suite fails when the source shows more, or less. */
  readonly abilities: readonly SourceAbility[];
  /** Called once a case; gives a source that holds the same records each time. */
  open(): SourceFixture | Promise<SourceFixture>;
}

export interface SourceFixture {
  readonly source: Source;
  readonly range: ReadRange;
  /** What the source holds for this range, in order. Enough for two chunks, so that resuming means something. */
  readonly expected: readonly Row[];
  /** The same place as another process has it open: positions have to mean the same there. */
  another?(): Source;
  /** What the suite cannot know by itself of a source that has `pulls`. */
  readonly pull?: PullFacts;
  /** Frees what the fixture needed; the suite closes the sources itself. */
  close?(): Promise<void> | void;
}

export interface PullFacts {
  /** Positions of a kind of its own whose values it cannot read; or why it can read every text. */
  readonly unreadable: readonly Position[] | { readonly never: string };
  /** Changes what the place holds, and answers what a pull from the last position brings then, in order. */
  grow(): Promise<readonly Row[]>;
  /** What people call a part whose name says more than that; its name when absent. */
  called?(part: string): string;
  /**
   * What `look` says where nobody has changed anything: `unchanged`; or that nobody can tell; or `new`, where only
   * reading tells, and brings nothing.
   */
  readonly atEnd?: 'unchanged' | 'uncacheable' | 'new';
}

/** What a case is given: the fixture, and what a second process would read from. */
export interface SourceBench extends SourceFixture {
  readonly other: Source;
  readonly abilities: readonly SourceAbility[];
}

export type SourceCheck = (bench: SourceBench) => Promise<void>;
